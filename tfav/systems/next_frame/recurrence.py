"""The forecaster's recurrence: ConvLSTM cells stepped over the frames seen, then over the model's own.

`Forecaster` is the loop and owns what turns frames into patches and back. What one step does is in `ConvLSTMStack`; any
layer with the same three methods can stand in its place.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class ConvLSTMStack(keras.layers.Layer):
    """ConvLSTM cells on top of one another, for one step of time.

    Each cell makes its four gates in one convolution over its input and its last output together.

    Args:
        filters: Channels of each cell.
        kernel_sizes: Side of each cell's kernel.

    Reference:
        X. Shi et al., "Convolutional LSTM network", NIPS 2015.
    """

    def __init__(self, filters, kernel_sizes, **kwargs):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.kernel_sizes = tuple(kernel_sizes)
        self.gates = [
            keras.layers.Conv2D(4 * count, size, padding="same", dtype=self.dtype_policy, name=f"gates_{number}")
            for number, (count, size) in enumerate(zip(self.filters, self.kernel_sizes, strict=True))
        ]

    def build(self, input_shape):
        """Builds each cell's convolution; forget gates start open, or nothing is remembered at first."""
        channels = input_shape[-1]
        for gates, count in zip(self.gates, self.filters, strict=True):
            gates.build((*input_shape[:-1], channels + count))
            gates.bias.assign(ops.concatenate([ops.zeros(count), ops.ones(count), ops.zeros(2 * count)]))
            channels = count
        self.built = True

    def initial_states(self, batch, height, width):
        """Zeros: for each cell output and memory, `[B, height, width, filters]`."""
        shapes = [(batch, height, width, count) for count in self.filters]
        return [(ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)) for shape in shapes]

    def call(self, patches, states):
        """`patches` `[B, h, w, C]` and states to the last cell's output `[B, h, w, filters]` and new states."""
        new_states = []
        for gates, (output, memory) in zip(self.gates, states, strict=True):
            enter, forget, leave, value = ops.split(gates(ops.concatenate([patches, output], axis=-1)), 4, axis=-1)
            memory = ops.sigmoid(forget) * memory + ops.sigmoid(enter) * ops.tanh(value)
            patches = ops.sigmoid(leave) * ops.tanh(memory)
            new_states.append((patches, memory))
        return patches, new_states

    def get_config(self):
        """The layer's settings."""
        return {**super().get_config(), "filters": self.filters, "kernel_sizes": self.kernel_sizes}


@keras.saving.register_keras_serializable(package="tfav")
class Forecaster(keras.layers.Layer):
    """Sees `input_frames` frames and goes on for `output_frames`, each made from the one before.

    After the frames seen, its input is its own last output. In training a share of the true frames, `true_share`, takes
    its place, sequence by sequence and step by step (scheduled sampling); outside of training true frames beyond
    `input_frames` are never looked at, so they need not be there.

    Args:
        input_frames: Frames seen.
        output_frames: Frames predicted after them.
        filters: Of the cells.
        kernel_sizes: Of the cells.
        patch_size: Pixels on a side that become channels of one place.
        activation: Of the frames made: `"sigmoid"`, or `"linear"`.
        true_share: At the start of training; a callback moves it.
        seed: Of the scheduled sampling.
    """

    def __init__(
        self,
        input_frames,
        output_frames,
        filters,
        kernel_sizes,
        patch_size=1,
        activation="sigmoid",
        true_share=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "input_frames": input_frames,
            "output_frames": output_frames,
            "filters": tuple(filters),
            "kernel_sizes": tuple(kernel_sizes),
            "patch_size": patch_size,
            "activation": activation,
            "true_share": true_share,
            "seed": seed,
        }
        self.input_frames = input_frames
        self.output_frames = output_frames
        self.patch_size = patch_size
        self.stack = ConvLSTMStack(filters, kernel_sizes, dtype=self.dtype_policy, name="stack")
        self.activation = keras.activations.get(activation)
        self.draws = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        """Builds the cells, and the convolution that makes patches of their output."""
        _, _, height, width, channels = input_shape
        place = (None, height // self.patch_size, width // self.patch_size)
        self.num_channels = channels * self.patch_size**2
        self.stack.build((*place, self.num_channels))
        self.to_patches = keras.layers.Conv2D(self.num_channels, 1, dtype=self.dtype_policy, name="to_patches")
        self.to_patches.build((*place, self.stack.filters[-1]))
        self.true_share = self.add_weight(
            name="true_share",
            shape=(),
            initializer=keras.initializers.Constant(self.settings["true_share"]),
            trainable=False,
            dtype="float32",
            autocast=False,
        )
        self.built = True

    def initial_states(self, frame):
        """States before the first frame, for frames like `frame`, `[B, H, W, C]`."""
        batch, height, width = ops.shape(frame)[:3]
        return self.stack.initial_states(batch, height // self.patch_size, width // self.patch_size)

    def step(self, frame, states):
        """One step of time: `frame` `[B, H, W, C]` float, 0-1, to the next one, float32, and new states."""
        out, states = self.stack(_to_patches(ops.cast(frame, self.compute_dtype), self.patch_size), states)
        out = _to_frame(ops.cast(self.to_patches(out), "float32"), self.patch_size)
        return self.activation(out), states

    def call(self, frames, training=False):
        """`[B, T, H, W, C]` to what follows each frame but the last, `[B, input + output - 1, H, W, C]` float32.

        `T` is `input_frames` or, in training, `input_frames + output_frames`.
        """
        states = self.initial_states(frames[:, 0])
        made = []
        for number in range(self.input_frames + self.output_frames - 1):
            if number < self.input_frames:
                frame = frames[:, number]
            elif training:
                frame = self._sample(frames[:, number], made[-1])
            else:
                frame = made[-1]
            next_frame, states = self.step(frame, states)
            made.append(next_frame)
        return ops.stack(made, axis=1)

    def _sample(self, true, own):
        drawn = keras.random.uniform((ops.shape(true)[0], 1, 1, 1), seed=self.draws)
        return ops.where(drawn < self.true_share, ops.cast(true, own.dtype), own)

    def compute_output_shape(self, input_shape):
        """`(B, T, H, W, C)` to `(B, input + output - 1, H, W, C)`."""
        return (input_shape[0], self.input_frames + self.output_frames - 1, *input_shape[2:])

    def get_config(self):
        """The layer's settings."""
        return {**super().get_config(), **self.settings}


def _to_patches(frame, size):
    """`[B, H, W, C]` to `[B, H / size, W / size, size * size * C]`."""
    if size == 1:
        return frame
    height, width, channels = frame.shape[1:]
    frame = ops.reshape(frame, (-1, height // size, size, width // size, size, channels))
    frame = ops.transpose(frame, (0, 1, 3, 2, 4, 5))
    return ops.reshape(frame, (-1, height // size, width // size, size * size * channels))


def _to_frame(patches, size):
    """The way back of `_to_patches`."""
    if size == 1:
        return patches
    height, width, channels = patches.shape[1:]
    channels //= size * size
    frame = ops.reshape(patches, (-1, height, width, size, size, channels))
    frame = ops.transpose(frame, (0, 1, 3, 2, 4, 5))
    return ops.reshape(frame, (-1, height * size, width * size, channels))
