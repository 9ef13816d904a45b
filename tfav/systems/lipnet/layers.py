"""Layers of this system: which frames are real, and a first convolution for CPUs."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

_CERTAIN = 1e4  # logit by which the blank leads in padded frames


@keras.saving.register_keras_serializable(package="tfav")
class FrameMask(keras.layers.Layer):
    """From `[B]` int32 counts to `[B, num_frames]` bool: True where a frame is real."""

    def __init__(self, num_frames: int, **kwargs):
        super().__init__(**kwargs)
        self.num_frames = num_frames

    def call(self, frame_count):
        """The mask."""
        return ops.less(ops.arange(self.num_frames), ops.cast(frame_count, "int32")[:, None])

    def get_config(self):
        """Length."""
        return {**super().get_config(), "num_frames": self.num_frames}


@keras.saving.register_keras_serializable(package="tfav")
class BlankInPadding(keras.layers.Layer):
    """Replaces the logits `[B, T, K]` of frames beyond the count `[B]` by a certain blank."""

    def __init__(self, blank: int, **kwargs):
        super().__init__(**kwargs)
        self.blank = blank

    def call(self, logits, frame_count):
        """The same logits where frames are real."""
        real = ops.less(ops.arange(logits.shape[1]), ops.cast(frame_count, "int32")[:, None])
        certain = np.zeros(logits.shape[-1], np.float32)
        certain[self.blank] = _CERTAIN
        return ops.where(real[..., None], logits, ops.cast(certain, logits.dtype))

    def get_config(self):
        """Which class the blank is."""
        return {**super().get_config(), "blank": self.blank}


@keras.saving.register_keras_serializable(package="tfav")
class StemConv3D(keras.layers.Conv3D):
    """`keras.layers.Conv3D` with `"same"` padding and strides of `(1, 2, 2)`, with its weights and its result.

    oneDNN is slow where there are few channels, as in raw pictures. In training on a CPU, squares of 2 by 2 places and
    the frames under the kernel become channels first, and one convolution over pictures of half the size does the rest.
    Elsewhere, and for pictures with odd sides, it is just Keras'.

    Args:
        filters: Channels of the output.
        kernel_size: One number, or one each for time, height and width.
        kwargs: As `keras.layers.Conv3D`, without padding and strides.
    """

    def __init__(self, filters: int, kernel_size, **kwargs):
        super().__init__(filters, kernel_size, strides=(1, 2, 2), padding="same", **kwargs)

    def call(self, inputs, training=None):
        """`[B, T, H, W, C]` to `[B, T, H / 2, W / 2, filters]`, rounded up."""
        sides = inputs.shape[1:4]
        folds = training and None not in sides and sides[1] % 2 == sides[2] % 2 == 0
        folds = folds and self.groups == 1 and set(self.dilation_rate) == {1} and self.data_format == "channels_last"
        if not folds or tf.config.list_physical_devices("GPU"):
            return super().call(inputs)
        blocks = _stack_frames(_fold_squares(inputs), self.kernel_size[0])
        kernel = _fold_kernel(tf.cast(self.kernel, blocks.dtype))
        outputs = tf.nn.conv2d(blocks, kernel, 1, "SAME")
        outputs = tf.reshape(outputs, (-1, sides[0], *outputs.shape[1:]))
        outputs = outputs + tf.cast(self.bias, outputs.dtype) if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self):
        """As Keras', without what is fixed here."""
        return {name: value for name, value in super().get_config().items() if name not in ("strides", "padding")}


def _fold_squares(x):
    """`[B, T, H, W, C]` to `[B, T, H / 2, W / 2, 4 C]`."""
    frames, height, width, channels = x.shape[1:]
    x = tf.reshape(x, (-1, height // 2, 2, width // 2, 2 * channels))
    x = tf.transpose(x, (0, 1, 3, 2, 4))
    return tf.reshape(x, (-1, frames, height // 2, width // 2, 4 * channels))


def _stack_frames(x, size: int):
    """`[B, T, H, W, C]` to `[B * T, H, W, size * C]`: each frame with its neighbours."""
    frames = x.shape[1]
    before = (size - 1) // 2
    x = tf.pad(x, ((0, 0), (before, size - 1 - before), (0, 0), (0, 0), (0, 0)))
    x = tf.concat([x[:, start : start + frames] for start in range(size)], axis=-1)
    return tf.reshape(x, (-1, *x.shape[2:]))


def _fold_kernel(kernel):
    """`[size, kh, kw, C, F]` to `[mh, mw, size * 4 * C, F]`, to be moved over squares of 2 by 2."""
    size, *sides, channels, filters = kernel.shape
    # The first place that a kernel of k sees lies (k - 2) // 2 before its square, and squares begin at even places. A
    # kernel of one sees its square's first place.
    pads = []
    for side in sides:
        before = max(0, side - 2) // 2 % 2
        pads.append((before, (side + before) % 2))
    kernel = tf.pad(kernel, ((0, 0), *pads, (0, 0), (0, 0)))
    high, wide = kernel.shape[1] // 2, kernel.shape[2] // 2
    kernel = tf.reshape(kernel, (size, high, 2, wide, 2, channels, filters))
    kernel = tf.transpose(kernel, (1, 3, 0, 2, 4, 5, 6))
    return tf.reshape(kernel, (high, wide, size * 4 * channels, filters))
