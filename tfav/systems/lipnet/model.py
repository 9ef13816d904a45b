"""Functional builders: the course notebook's network, LipNet as published, and one that two cores can train.

Every model takes `frames` `[B, T, H, W, 1]` and `frame_count` `[B]` int32, and gives a dict: `labels` `[B, T, K]`
float32, logits of the tokenizer's classes, with a word head `words` `[B, T, 1 + W]` float32, logits of silence and the
W words that it tells apart, and with one for audio `sound` `[B, T, 80]` float32, as `log_mel` has it. A softmax is part
of the loss and of decoding. In frames beyond `frame_count` the blank is certain, so that whatever reads all T frames,
CTC's loss among them, gives what it would give for the true length.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tfav.errors import UsageError
from tfav.layers import BidirectionalGRU, FusedBatchNormalization, residual_block
from tfav.speech import log_mel
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.dataset import resolved
from tfav.training import mixed_precision

_CERTAIN = 1e4  # logit by which the blank leads in padded frames
_SMALLEST = 16  # side of the picture, in pixels
# What `freeze=frontend` goes on training: the recurrent layers and what comes after them.
BACKEND = ("rnn1", "rnn2", "words", "cond_proj", "sound", "labels_dense")


def build_model(config: Config) -> keras.Model:
    """The model of a configuration, with random weights; `convert_weights.load_init` fills them.

    Symbols and words that are learnt from the data are looked up there; `open_data(config).config` has them.

    Raises:
        UsageError: The picture is too small for it.
    """
    config = resolved(config)
    if config.model != "resnet" and min(config.crop_size) < _SMALLEST:
        raise UsageError(
            f"both sides of crop_size must be {_SMALLEST} or more for three convolutions, which halve them four times. "
            f"Received: crop_size={config.crop_size}"
        )
    with mixed_precision(config.precision):
        return _BUILDERS[config.model](config)


def build_notebook(config: Config) -> keras.Model:
    """Three convolutions 128/256/75 and two bidirectional LSTMs: 8,471,924 parameters at its preset's sizes.

    As in the notebook, the recurrent layers also run over padding. Its dropout stands behind each of them.
    """
    inputs = _inputs(config)
    x = inputs["frames"]
    for number, filters in enumerate(config.filters, 1):
        x = layers.Conv3D(filters, 3, padding="same", activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPool3D((1, 2, 2), name=f"pool{number}")(x)
    x = layers.TimeDistributed(layers.Flatten(), name="flatten")(x)
    for number in (1, 2):
        lstm = layers.LSTM(config.rnn_units, kernel_initializer="orthogonal", return_sequences=True, name="lstm")
        x = layers.Bidirectional(lstm, name=f"rnn{number}")(x)
        x = layers.Dropout(config.dropout, name=f"drop{number}")(x)
    labels = _labels_dense(config, kernel_initializer="he_normal")(x)
    return _finish(config, inputs, labels)


def build_paper(config: Config) -> keras.Model:
    """LipNet: three spatio-temporal convolutions with spatial dropout, two bidirectional GRUs.

    Reference:
        Assael et al., 2016, "LipNet: End-to-End Sentence-level Lipreading", table 3.
    """
    inputs = _inputs(config)
    x = inputs["frames"]
    kernels, strides = ((3, 5, 5), (3, 5, 5), (3, 3, 3)), ((1, 2, 2), 1, 1)
    for number, (filters, kernel, stride) in enumerate(zip(config.filters, kernels, strides, strict=True), 1):
        options = {"padding": "same", "kernel_initializer": "he_normal", "name": f"conv{number}"}
        x = layers.Conv3D(filters, kernel, stride, **options)(x)
        x = layers.Activation("relu", name=f"relu{number}")(x)
        x = layers.SpatialDropout3D(config.dropout, name=f"drop{number}")(x)
        x = layers.MaxPool3D((1, 2, 2), name=f"pool{number}")(x)
    x = layers.TimeDistributed(layers.Flatten(), name="flatten")(x)
    mask = FrameMask(name="mask")(inputs["frame_count"], x)
    for number in (1, 2):
        x = _bidirectional_gru(config, number)(x, mask=mask)
    return _finish(config, inputs, _labels_dense(config)(x))


def build_with_heads(config: Config) -> keras.Model:
    """Smaller throughout, with batch normalisation, and heads on the first recurrent layer.

    Three 3-D convolutions (`conv3d`) or a residual network on each frame (`resnet`).

    The word head says for each frame which word is being spoken. Its loss reaches the convolutions from the first step
    on, where CTC's needs some thousand steps to find out which frames belong to which letters. In `resnet` the second
    recurrent layer sees the head's probabilities, and once more what the first one saw.

    Reference:
        Nozaki and Komatsu, 2021, "Relaxing the conditional independence assumption of CTC-based ASR by conditioning on
        intermediate predictions", section 3, for the conditioning.
    """
    inputs = _inputs(config)
    apply_front = _apply_residual if config.model == "resnet" else _apply_convolutions
    x = apply_front(inputs["frames"], config)
    x = layers.Dense(2 * config.filters[-1], activation="relu", name="dense")(x)
    mask = FrameMask(name="mask")(inputs["frame_count"], x)
    first = _apply_recurrent(x, config, mask, 1)
    sizes = {}
    if config.word_loss_weight:
        sizes["words"] = 1 + len(config.known_words())
    if config.mel_loss_weight:
        sizes["sound"] = log_mel.SIZE
    heads = {name: layers.Dense(size, dtype="float32", name=name)(first) for name, size in sizes.items()}
    if config.model == "resnet" and "words" in heads:
        word_probs = layers.Softmax(dtype="float32", name="word_probs")(heads["words"])
        projected = layers.Dense(first.shape[-1], name="cond_proj")(word_probs)
        x = layers.Concatenate(name="cond_concat")([layers.Add(name="cond_add")([first, projected]), x])
    else:
        x = first
    x = _apply_recurrent(x, config, mask, 2)
    x = layers.Dropout(config.dropout, name="last_drop")(x) if config.dropout else x
    return _finish(config, inputs, _labels_dense(config)(x), **heads)


def _apply_recurrent(x, config: Config, mask, number: int):
    x = layers.Dropout(config.dropout, name=f"rnn_drop{number}")(x) if config.dropout else x
    return _bidirectional_gru(config, number)(x, mask=mask)


def _bidirectional_gru(config: Config, number: int) -> BidirectionalGRU:
    # Unrolled in training on a CPU it is faster, but takes seconds to begin, which `conv3d`, the demo's, is done in.
    return BidirectionalGRU(config.rnn_units, unroll=config.model != "conv3d", name=f"rnn{number}")


def _apply_convolutions(x, config: Config):
    """Three convolutions over time, `[B, T, H, W, 1]` to `[B, T, D]`."""
    kernels, strides = ((3, 5, 5), (3, 3, 3), (3, 3, 3)), ((1, 2, 2), 1, 1)
    for number, (filters, kernel, stride) in enumerate(zip(config.filters, kernels, strides, strict=True), 1):
        x = layers.Conv3D(filters, kernel, stride, padding="same", name=f"conv{number}")(x)
        x = _normalize(x, f"norm{number}")
        x = layers.Activation("relu", name=f"relu{number}")(x)
        x = layers.MaxPool3D((1, 2, 2), name=f"pool{number}")(x)
        x = layers.SpatialDropout3D(config.dropout / 2, name=f"drop{number}")(x) if config.dropout else x
    return SplitTime(name="flatten")(x, x)


def _apply_residual(x, config: Config):
    """A convolution over five frames, a residual network on each: `[B, T, H, W, 1]` to `[B, T, D]`, all places kept.

    The largest picture is pooled before it is normalised, which costs a quarter then.

    Reference:
        Stafylakis and Tzimiropoulos, 2017, "Combining residual networks with LSTMs for lipreading", section 3.
    """
    frames = x
    x = StemConv3D(config.filters[0], 5, use_bias=False, name="conv1")(x)
    x = ops.reshape(x, (-1, *x.shape[2:]))
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    x = layers.Activation("relu", name="relu1")(_normalize(x, "norm1"))
    for number, width in enumerate(config.filters, 1):
        x = residual_block(x, 2, width, 1 if number == 1 else 2, f"block{number}", _normalize)
        x = layers.SpatialDropout2D(config.dropout / 2, name=f"drop{number}")(x) if config.dropout else x
    return SplitTime(name="split_time")(x, frames)


def _normalize(x, name: str):
    # About an epoch: reading takes weights averaged over several, and statistics of ten batches do not suit those.
    return FusedBatchNormalization(momentum=0.99, name=name)(x)


def _inputs(config: Config) -> dict:
    # Any length; the notebook's network runs over padding, and so has one of its own.
    shape = (config.num_frames if config.model == "notebook" else None, *config.crop_size, 1)
    return {
        "frames": keras.Input(shape, name="frames"),
        "frame_count": keras.Input((), dtype="int32", name="frame_count"),
    }


def _labels_dense(config: Config, **options) -> layers.Dense:
    # In float32 whatever the precision: differences between logits decide, and bfloat16 has two digits.
    return layers.Dense(config.symbols().num_classes, dtype="float32", name="labels_dense", **options)


def _finish(config: Config, inputs: dict, labels, **heads) -> keras.Model:
    blank = config.symbols().blank
    labels = BlankInPadding(blank, dtype="float32", name="labels")(labels, inputs["frame_count"])
    return keras.Model(inputs, {"labels": labels, **heads}, name=f"lipnet_{config.model}")


_BUILDERS = {
    "notebook": build_notebook,
    "paper": build_paper,
    "conv3d": build_with_heads,
    "resnet": build_with_heads,
}


# Layers -------------------------------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable(package="tfav")
class FrameMask(keras.layers.Layer):
    """From `[B]` int32 counts and features `[B, T, ...]` to `[B, T]` bool: True where a frame is real."""

    def call(self, frame_count, features):
        """The mask."""
        return ops.less(ops.arange(ops.shape(features)[1]), ops.cast(frame_count, "int32")[:, None])


@keras.saving.register_keras_serializable(package="tfav.lipnet")
class SplitTime(keras.layers.Layer):
    """Features of each frame, `[B * T, ...]` or `[B, T, ...]`, to `[B, T, D]`, B and T those of `frames`."""

    def call(self, features, frames):
        """The sequence; T is static where it is known, which unrolled recurrence needs."""
        batch, length = ops.shape(frames)[:2]
        first = 2 if len(features.shape) == len(frames.shape) else 1
        size = int(np.prod(features.shape[first:]))
        return ops.reshape(features, (batch if frames.shape[1] is None else -1, length, size))

    def compute_output_shape(self, features_shape, frames_shape):
        """`(B, T, D)`."""
        first = 2 if len(features_shape) == len(frames_shape) else 1
        return (*frames_shape[:2], int(np.prod(features_shape[first:])))


@keras.saving.register_keras_serializable(package="tfav")
class BlankInPadding(keras.layers.Layer):
    """Replaces the logits `[B, T, K]` of frames beyond the count `[B]` by a certain blank."""

    def __init__(self, blank: int, **kwargs):
        super().__init__(**kwargs)
        self.blank = blank

    def call(self, logits, frame_count):
        """The same logits where frames are real."""
        real = ops.less(ops.arange(ops.shape(logits)[1]), ops.cast(frame_count, "int32")[:, None])
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
        folds = training and None not in sides[1:] and sides[1] % 2 == sides[2] % 2 == 0
        folds = folds and self.groups == 1 and set(self.dilation_rate) == {1} and self.data_format == "channels_last"
        if not folds or tf.config.list_physical_devices("GPU"):
            return super().call(inputs)
        blocks = _stack_frames(_fold_squares(inputs), self.kernel_size[0])
        kernel = _fold_kernel(tf.cast(self.kernel, blocks.dtype))
        outputs = tf.nn.conv2d(blocks, kernel, 1, "SAME")
        outputs = tf.reshape(outputs, (-1, _length(inputs), *outputs.shape[1:]))
        outputs = outputs + tf.cast(self.bias, outputs.dtype) if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self):
        """As Keras', without what is fixed here."""
        return {name: value for name, value in super().get_config().items() if name not in ("strides", "padding")}


def _length(x):
    """Frames of `[B, T, ...]`, static where it is known."""
    return tf.shape(x)[1] if x.shape[1] is None else x.shape[1]


def _fold_squares(x):
    """`[B, T, H, W, C]` to `[B, T, H / 2, W / 2, 4 C]`."""
    frames, (height, width, channels) = _length(x), x.shape[2:]
    x = tf.reshape(x, (-1, height // 2, 2, width // 2, 2 * channels))
    x = tf.transpose(x, (0, 1, 3, 2, 4))
    return tf.reshape(x, (-1, frames, height // 2, width // 2, 4 * channels))


def _stack_frames(x, size: int):
    """`[B, T, H, W, C]` to `[B * T, H, W, size * C]`: each frame with its neighbours."""
    frames = _length(x)
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
