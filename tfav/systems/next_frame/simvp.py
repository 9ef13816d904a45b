"""SimVP, a forecaster without recurrence: all frames seen become one picture, and that all frames to come.

An encoder shrinks each frame by itself; the translator takes the frames' features as channels of one picture and mixes
time and space; a decoder draws each frame, helped by the encoder's first features. The translator is a U of grouped
Inception blocks, a row of gated spatio-temporal attention blocks, or a row of residual blocks, which is ours: plain
convolutions are what a CPU does best. All frames come at once, as many as were seen; for more, what was made is looked
at in turn.

Settings: `filters` are the channels of encoder and translator, `kernel_sizes` belong to encoder and decoder, `depths`
counts the convolutions of the encoder, every second of which halves the sides, and the blocks of the translator. With
`patch_size` squares of pixels are one place with as many channels from the beginning; an encoder of depth 0 leaves it
at that. Published sizes have neither.

References:
    Z. Gao, C. Tan, L. Wu and S. Z. Li, "SimVP: Simpler yet better video prediction", CVPR 2022 (Inception).
    C. Tan, Z. Gao, S. Li and S. Z. Li, "SimVPv2: Towards simple yet powerful spatiotemporal predictive learning", 2023
    (gated attention).
    C. Tan et al., "OpenSTL", NeurIPS 2023, whose sizes and counts of parameters these are.
"""

import keras
from keras import ops

from tfav.layers import FusedBatchNormalization
from tfav.systems.next_frame.convlstm import to_frame, to_patches

_INCEPTION_KERNELS = (3, 5, 7, 11)
_GROUPS = 8
_MLP_RATIO = 8
_LAYER_SCALE = 1e-2
_EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="tfav")
class PixelShuffle(keras.layers.Layer):
    """Channels become pixels: `[B, h, w, 4 * C]` to `[B, 2 * h, 2 * w, C]`."""

    def call(self, x):
        """`[B, h, w, 4 * C]` to `[B, 2 * h, 2 * w, C]`."""
        return to_frame(x, 2)


@keras.saving.register_keras_serializable(package="tfav")
class GroupedConv2D(keras.layers.Conv2D):
    """A convolution of groups of channels, one by one: TensorFlow's own gradient takes 40 times as long on a CPU."""

    def convolution_op(self, inputs, kernel):
        """The groups side by side, of the same kernel as `Conv2D`'s."""
        pairs = zip(ops.split(inputs, self.groups, axis=-1), ops.split(kernel, self.groups, axis=-1), strict=True)
        return ops.concatenate([ops.conv(x, part, padding=self.padding) for x, part in pairs], axis=-1)


@keras.saving.register_keras_serializable(package="tfav")
class LayerScale(keras.layers.Layer):
    """A learnt factor for each channel, small at the start, so that a new block changes little."""

    def build(self, input_shape):
        """One factor a channel."""
        constant = keras.initializers.Constant(_LAYER_SCALE)
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer=constant)
        self.built = True

    def call(self, x):
        """`x` times the factors."""
        return x * ops.cast(self.scale, x.dtype)


def build_simvp(
    frame: tuple[int, int, int],
    num_frames: int,
    *,
    filters: tuple[int, int],
    kernel_sizes: tuple[int, int],
    depths: tuple[int, int],
    translator: str,
    patch_size: int = 1,
    activation: str = "linear",
    name: str = "simvp",
) -> keras.Model:
    """The network: as many frames out as in.

    Args:
        frame: Height, width and channels; the sides must be multiples of `patch_size * 2 ** (depths[0] // 2)`.
        num_frames: Frames seen, and made.
        filters: Channels of encoder and translator.
        kernel_sizes: Sides of the encoder's and the decoder's kernels.
        depths: Convolutions of the encoder, and of the decoder; blocks of the translator, 2 or more (Inception: as many
            down as up).
        translator: `inception`, `gated` or `residual`.
        patch_size: Pixels on a side of what is one place to the encoder.
        activation: Of the frames made.
        name: Of the model.

    Returns:
        A model of `[B, T, H, W, C]` float to `[B, T, H, W, C]` float32.
    """
    height, width, channels = frame
    frames = keras.Input((num_frames, *frame), name="frames")
    x, skip = to_patches(ops.reshape(frames, (-1, height, width, channels)), patch_size), None
    for number in range(depths[0]):
        stride = 2 if number % 2 else 1
        x = apply_conv(x, filters[0], kernel_sizes[0], f"encoder_{number}", stride=stride)
        skip = x if number == 0 else skip
    *small, features = x.shape[1:]
    x = ops.reshape(x, (-1, num_frames, *small, features))
    x = ops.reshape(ops.transpose(x, (0, 2, 3, 1, 4)), (-1, *small, num_frames * features))
    x = _TRANSLATORS[translator](x, filters[1], depths[1])
    x = ops.transpose(ops.reshape(x, (-1, *small, num_frames, features)), (0, 3, 1, 2, 4))
    x = ops.reshape(x, (-1, *small, features))
    for number in reversed(range(depths[0])):
        x = keras.layers.Add(name="skip")([x, skip]) if number == 0 else x
        x = apply_conv(x, filters[0], kernel_sizes[1], f"decoder_{number}", grow=number % 2 == 1)
    depth = channels * patch_size**2
    x = keras.layers.Conv2D(depth, 1, activation=activation, dtype="float32", name="readout")(x)
    x = to_frame(x, patch_size)
    return keras.Model(frames, ops.reshape(x, (-1, num_frames, height, width, channels)), name=name)


def apply_conv(x, filters: int, kernel_size: int, name: str, *, stride: int = 1, grow: bool = False):
    """A convolution, normalisation of two groups of channels, SiLU; halves the sides by `stride`, or doubles them."""
    # Padded as in PyTorch: Keras' "same" puts the zeros of a stride of 2 on the other side.
    x = keras.layers.ZeroPadding2D((kernel_size - stride + 1) // 2, name=f"{name}_pad")(x)
    x = keras.layers.Conv2D(filters * (4 if grow else 1), kernel_size, stride, name=f"{name}_conv")(x)
    x = PixelShuffle(name=f"{name}_shuffle")(x) if grow else x
    x = keras.layers.GroupNormalization(2, epsilon=_EPSILON, name=f"{name}_norm")(x)
    return keras.layers.Activation("silu", name=f"{name}_act")(x)


def apply_inception_translator(x, filters: int, depth: int):
    """A U of `depth` blocks down and `depth` up; each one up also sees what the one across from it gave."""
    channels, across = x.shape[-1], []
    for number in range(depth):
        x = apply_inception(x, filters, f"down_{number}")
        across.append(x)
    x = apply_inception(x, filters, "up_0")
    for number in range(1, depth):
        x = keras.layers.Concatenate(name=f"up_{number}_across")([x, across[-1 - number]])
        x = apply_inception(x, filters if number < depth - 1 else channels, f"up_{number}", filters)
    return x


def apply_inception(x, filters: int, name: str, width: int | None = None):
    """The sum of grouped convolutions of four sizes, behind one that halves the channels (of `width`, or `filters`)."""
    x = keras.layers.Conv2D((width or filters) // 2, 1, name=f"{name}_squeeze")(x)
    groups = _GROUPS if x.shape[-1] % _GROUPS == 0 else 1
    branches = []
    for size in _INCEPTION_KERNELS:
        y = GroupedConv2D(filters, size, padding="same", groups=groups, name=f"{name}_conv_{size}")(x)
        y = keras.layers.GroupNormalization(groups, epsilon=_EPSILON, name=f"{name}_norm_{size}")(y)
        branches.append(keras.layers.LeakyReLU(0.2, name=f"{name}_act_{size}")(y))
    return keras.layers.Add(name=f"{name}_sum")(branches)


def apply_gated_translator(x, filters: int, depth: int):
    """A row of `depth` gated attention blocks, all but the first of `filters` channels; back to those of `x`."""
    channels = x.shape[-1]
    for number in range(depth):
        x = apply_gated_attention(x, f"block_{number}")
        wanted = channels if number == depth - 1 else filters
        if x.shape[-1] != wanted:
            x = keras.layers.Conv2D(wanted, 1, name=f"block_{number}_reduce")(x)
    return x


def apply_gated_attention(x, name: str):
    """A large kernel (5, then 7 with holes of 3: 21 in all) says what passes; then a mixing of channels."""
    dim = x.shape[-1]
    conv, depthwise = keras.layers.Conv2D, keras.layers.DepthwiseConv2D
    y = normed = _batch_norm(x, f"{name}_norm_1")
    y = _gelu(conv(dim, 1, name=f"{name}_proj_1")(y), f"{name}_gelu_1")
    y = depthwise(5, padding="same", name=f"{name}_near")(y)
    y = depthwise(7, padding="same", dilation_rate=3, name=f"{name}_far")(y)
    values, gates = ops.split(conv(2 * dim, 1, name=f"{name}_gate")(y), 2, axis=-1)
    y = conv(dim, 1, name=f"{name}_proj_2")(ops.sigmoid(gates) * values)
    x = x + LayerScale(name=f"{name}_scale_1")(y + normed)
    y = conv(_MLP_RATIO * dim, 1, name=f"{name}_widen")(_batch_norm(x, f"{name}_norm_2"))
    y = _gelu(depthwise(3, padding="same", name=f"{name}_mix")(y), f"{name}_gelu_2")
    y = conv(dim, 1, name=f"{name}_narrow")(y)
    return x + LayerScale(name=f"{name}_scale_2")(y)


def apply_residual_translator(x, filters: int, depth: int):
    """A row of `depth` residual blocks of two convolutions each, between two that change the number of channels."""
    channels = x.shape[-1]
    x = keras.layers.Conv2D(filters, 3, padding="same", name="widen")(x)
    small = keras.initializers.VarianceScaling(1 / depth)  # so that a deep row begins near the identity
    for number in range(depth):
        y = _norm_and_conv(x, filters, f"residual_{number}_1")
        x = x + _norm_and_conv(y, filters, f"residual_{number}_2", small)
    return _norm_and_conv(x, channels, "narrow")


def _norm_and_conv(x, filters: int, name: str, initializer="glorot_uniform"):
    x = FusedBatchNormalization(momentum=0.95, epsilon=_EPSILON, name=f"{name}_norm")(x)
    x = keras.layers.Activation("silu", name=f"{name}_act")(x)
    return keras.layers.Conv2D(filters, 3, padding="same", kernel_initializer=initializer, name=f"{name}_conv")(x)


_TRANSLATORS = {
    "inception": apply_inception_translator,
    "gated": apply_gated_translator,
    "residual": apply_residual_translator,
}


def _batch_norm(x, name: str):
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=_EPSILON, name=name)(x)


def _gelu(x, name: str):
    return keras.layers.Activation("gelu", name=name)(x)
