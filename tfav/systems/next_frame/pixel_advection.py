"""A step that moves the pixels of the newest frame, where `ConvLSTMStep` draws each frame anew.

Most of the next frame is this one, displaced. So the step measures by how much the last frame moved (the correlation of
each patch with the frame before, over all displacements within a patch's length), lets ConvLSTM cells on two scales
think about it, and makes the next frame as a sum of displaced copies of this one, with weights from 0 to 1 for every
pixel, plus what the cells draw. Displacements are softmaxes that start out at the measured motion: the model begins
with motion compensation and learns what goes beyond it. At the same number of sequences that is far ahead of cells
alone; the README has the figures.

References:
    C. Finn et al., "Unsupervised learning for physical interaction through video prediction", NIPS 2016 (displaced
    copies by predicted kernels).
    B. De Brabandere et al., "Dynamic filter networks", NIPS 2016 (a kernel for every place).
"""

import keras
import numpy as np
from keras import ops

from tfav.systems.next_frame.convlstm import gate, open_forget_gates

NUM_COPIES = 2  # displaced copies of a patch: two things may cross in it
_SHARPNESS = 8.0  # softmax of correlations 0-1 times this, at the start, for the first copy; half of it for the others
_WEIGHT_LOGIT = 2.0  # of the first copy at the start, the others minus this: it is shown, they are not
_POOL = 5  # patches on a side over which the correlation is taken, so that blank ones learn from those beside them
_NOISE = 0.02  # energy of a patch below which there is no motion to speak of


@keras.saving.register_keras_serializable(package="tfav")
class MotionStep(keras.layers.Layer):
    """One step of time: frame and states to the next frame and states.

    Frames are patches `[B, h, w, C, p * p]` float32; displacements go up to `p` pixels each way.

    Args:
        filters: Channels of the ConvLSTM cells, on the patches and on twice their size.
        kernel_sizes: Side of each cell's kernel.
        patch_size: Pixels on a side of a patch, `p`.
    """

    def __init__(self, filters, kernel_sizes, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_sizes, self.patch_size = tuple(filters), tuple(kernel_sizes), patch_size
        self.num_shifts = (2 * patch_size + 1) ** 2
        fine, coarse = self.filters
        conv = {"padding": "same", "dtype": self.dtype_policy}
        small = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01), "dtype": "float32"}
        self.copy_weights = keras.layers.Conv2D(NUM_COPIES * patch_size**2, 1, name="copy_weights", **small)
        self.stem = keras.layers.Conv2D(fine, 3, activation="relu", name="stem", **conv)
        self.fine = keras.layers.Conv2D(4 * fine, self.kernel_sizes[0], name="fine_gates", **conv)
        self.down = keras.layers.Conv2D(coarse, 2, strides=2, activation="relu", name="down", **conv)
        self.coarse = keras.layers.Conv2D(4 * coarse, self.kernel_sizes[1], name="coarse_gates", **conv)
        self.up = keras.layers.Conv2DTranspose(fine, 2, strides=2, name="up", **conv)
        self.merge = keras.layers.Conv2D(fine, 3, activation="relu", name="merge", **conv)
        self.shifts = keras.layers.Conv2D(NUM_COPIES * self.num_shifts, 1, name="shifts", **small)

    def build(self, input_shape):
        """Builds the convolutions for frames `[B, H, W, C]`."""
        _, height, width, channels = input_shape
        size, (fine, coarse) = self.patch_size, self.filters
        height, width, pixels = height // size, width // size, size * size
        self.channels = channels
        seen = 2 * channels * pixels + self.num_shifts
        self.stem.build((None, height, width, seen))
        self.fine.build((None, height, width, 2 * fine))
        self.down.build((None, height, width, fine))
        self.coarse.build((None, height // 2, width // 2, 2 * coarse))
        self.up.build((None, height // 2, width // 2, coarse))
        self.merge.build((None, height, width, 2 * fine + channels * pixels))
        self.shifts.build((None, height, width, fine))
        self.copy_weights.build((None, height, width, fine))
        self.draw = keras.layers.Conv2D(channels * pixels, 1, dtype="float32", name="draw")
        self.draw.build((None, height, width, fine))
        open_forget_gates(self.fine, fine)
        open_forget_gates(self.coarse, coarse)
        self.sharpness = self.add_weight(
            name="sharpness",
            shape=(NUM_COPIES, 1),
            initializer=lambda shape, dtype=None: ops.convert_to_tensor(
                [[_SHARPNESS]] + [[_SHARPNESS / 2]] * (NUM_COPIES - 1), dtype
            ),
            dtype="float32",
        )
        self.built = True

    def initial_states(self, batch, height, width):
        """Zeros: both cells' output and memory, the frame before as patches, and its shifted copies."""
        place = (height // self.patch_size, width // self.patch_size)
        coarse_place = (place[0] // 2, place[1] // 2)
        pixels = self.patch_size**2

        def zeros(place, *rest, dtype=None):
            return ops.zeros((batch, *place, *rest), dtype or self.compute_dtype)

        return [
            (zeros(place, self.filters[0]), zeros(place, self.filters[0])),
            (zeros(coarse_place, self.filters[1]), zeros(coarse_place, self.filters[1])),
            zeros(place, self.channels * pixels, dtype="float32"),
            zeros(place, self.channels, pixels, self.num_shifts),
        ]

    def call(self, patches, states):
        """`[B, h, w, C * p * p]` float32 and states to the next patches, float32, and new states."""
        fine, coarse, before, shifted_before = states
        # No gradient through frames: each is made right by its own error, and the way back is half of the work.
        patches = ops.stop_gradient(patches)
        shifted = self._shifted(patches)
        motion = self._correlation(patches, ops.stop_gradient(shifted_before))
        seen = ops.cast(ops.concatenate([patches, patches - before, motion], axis=-1), self.compute_dtype)
        x, fine = gate(self.fine, self.stem(seen), fine)
        y, coarse = gate(self.coarse, self.down(x), coarse)
        x = self.merge(ops.concatenate([self.up(y), x, seen[..., : patches.shape[-1]]], axis=-1))
        return self._made(x, motion, shifted), [fine, coarse, patches, shifted]

    def _shifted(self, patches):
        """Each patch and what is around it, `[B, h, w, C * p * p]` to `[B, h, w, C, p * p, shifts]`."""
        _, height, width, _ = patches.shape
        pixels = self.patch_size**2
        # Colours join the batch. A convolution with ones and zeros is the fastest way to fetch the neighbours.
        x = ops.reshape(patches, (-1, height, width, pixels, self.channels))
        x = ops.reshape(ops.transpose(x, (0, 4, 1, 2, 3)), (-1, height, width, pixels))
        x = ops.conv(
            ops.cast(x, self.compute_dtype), ops.cast(_neighbours(self.patch_size), self.compute_dtype), padding="same"
        )
        x = ops.reshape(x, (-1, self.channels, height, width, pixels, self.num_shifts))
        return (
            ops.transpose(x, (0, 2, 3, 1, 4, 5))
            if self.channels > 1
            else ops.reshape(x, (-1, height, width, 1, pixels, self.num_shifts))
        )

    def _correlation(self, patches, shifted_before):
        """How well each displacement explains what came of the frame before: `[B, h, w, shifts]` float32, about 0-1."""
        _, height, width, depth = patches.shape
        pixels = self.patch_size**2
        now = ops.reshape(patches, (-1, height, width, pixels, self.channels))
        now = ops.reshape(ops.swapaxes(now, -1, -2), (-1, 1, depth))
        both = ops.matmul(ops.cast(now, self.compute_dtype), ops.reshape(shifted_before, (-1, depth, self.num_shifts)))
        both = ops.cast(ops.reshape(both, (-1, height, width, self.num_shifts)), "float32")
        energy = ops.sum(patches**2, axis=-1, keepdims=True)
        around = ops.average_pool(ops.concatenate([both, energy], axis=-1), _POOL, 1, padding="same")
        return around[..., : self.num_shifts] / (around[..., self.num_shifts :] + _NOISE)

    def _made(self, x, motion, shifted):
        """The next patches out of features, measured motion and displaced copies."""
        _, height, width, _ = x.shape
        pixels = self.patch_size**2
        logits = ops.reshape(self.shifts(x), (-1, height, width, NUM_COPIES, self.num_shifts))
        kernels = ops.softmax(logits + self.sharpness * motion[:, :, :, None])
        kernels = ops.reshape(ops.cast(kernels, self.compute_dtype), (-1, NUM_COPIES, self.num_shifts))
        shifted = ops.reshape(shifted, (-1, self.channels * pixels, self.num_shifts))
        copies = ops.cast(ops.matmul(shifted, ops.swapaxes(kernels, -1, -2)), "float32")  # [B*h*w, C*p*p, copies]
        copies = ops.reshape(copies, (-1, height, width, self.channels, pixels, NUM_COPIES))
        start = np.array([_WEIGHT_LOGIT] + [-_WEIGHT_LOGIT] * (NUM_COPIES - 1), np.float32)
        weights = ops.reshape(self.copy_weights(x), (-1, height, width, 1, pixels, NUM_COPIES))
        moved = ops.sum(ops.sigmoid(weights + start) * copies, axis=-1)  # [B, h, w, C, p*p]
        moved = ops.reshape(ops.swapaxes(moved, -1, -2), (-1, height, width, pixels * self.channels))
        return moved + self.draw(x)

    def get_config(self):
        """The layer's settings."""
        settings = {"filters": self.filters, "kernel_sizes": self.kernel_sizes, "patch_size": self.patch_size}
        return {**super().get_config(), **settings}


def _neighbours(size: int) -> np.ndarray:
    """A kernel `[3, 3, p * p, p * p * shifts]` that fetches, for each pixel of a patch, all pixels within `p` of it."""
    reach = 2 * size + 1
    kernel = np.zeros((3, 3, size, size, size, size, reach, reach), np.float32)
    for row in range(size):
        for column in range(size):
            for down in range(reach):
                for across in range(reach):
                    from_row, from_column = row + down - size, column + across - size
                    place = from_row // size + 1, from_column // size + 1, from_row % size, from_column % size
                    kernel[(*place, row, column, down, across)] = 1
    return kernel.reshape(3, 3, size * size, -1)
