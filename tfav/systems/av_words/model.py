"""The network and its parts: a residual network over the waveform, one over the mouth, recurrent layers over each and
over both.

`build_audio`, `build_video` and `build_fusion` are the published parts, with the preset `notebook` exact: 12,500,340,
29,025,460 and 13,107,700 trainable parameters, those of the streams' own words among them. `build_model` is all three
as one. Other presets are the same structure, narrower and shallower.

Layers with weights are called as the modules of the PyTorch original, behind the name of their part, whatever the
depth: so its state dicts find their place by name (`tfav.weights.load_state_dict`).

Reference:
    Petridis et al., 2018, "End-to-end audiovisual speech recognition".
"""

import keras
import numpy as np
from keras import layers, ops

from tfav.errors import UsageError
from tfav.layers import BidirectionalGRU, FusedBatchNormalization, residual_block
from tfav.systems.av_words.config import Config
from tfav.training import mixed_precision

AUDIO, VIDEO, FUSION = "audio", "video", "fusion"
BOTH = "both"  # what the fusion says
_SOFTPLUS_OF_1 = float(np.log(np.e - 1))  # softplus of it is 1
SAID = "_said"  # ends the name of an output that tells what is being said at each step, for training
STEPS = 29  # at which each part gives features and words
_POOL = 21  # steps of the waveform's network that make one of a frame
_EPSILON, _MOMENTUM = 1e-5, 0.9  # of batch normalisation, as in PyTorch; momentum is 1 less PyTorch's
_TINY = 1e-6  # keeps the slope of a root finite in silence
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0


def build_model(config: Config) -> keras.Model:
    """All three parts as one.

    Returns:
        A model from `waveform` `[B, num_samples]` and `frames` `[B, 29, H, W, 1]`, float32, normalised as
        `build_datasets` gives them, to `word` `[B, num_classes]` float32: logits, the mean over the 29 steps.
        `by_stream` tells what each part says.
    """
    with mixed_precision(config.precision):
        audio, video, fusion = build_audio(config), build_video(config), build_fusion(config)
        inputs = stream_inputs(audio, video)
        features = [audio(inputs["waveform"])["features"], video(inputs["frames"])["features"]]
        logits = fusion(layers.Concatenate(name="streams")(features))
        return keras.Model(inputs, _mean(logits, "word"), name="av_words")


def by_stream(model: keras.Model) -> keras.Model:
    """What each part of a model of `build_model` says, with its weights: `audio`, `video` and `both` `[B, classes]`."""
    audio, video, fusion = (model.get_layer(name) for name in (AUDIO, VIDEO, FUSION))
    inputs = dict(model.input)
    steps = all_steps(audio, video, fusion, inputs)
    return keras.Model(inputs, {name: _mean(logits, f"{name}_word") for name, logits in steps.items()})


def all_steps(audio: keras.Model, video: keras.Model, fusion: keras.Model, inputs: dict) -> dict:
    """Logits `[B, 29, num_classes]` of `audio`, `video` and `both`, as tensors."""
    heard, seen = audio(inputs["waveform"]), video(inputs["frames"])
    both = fusion(layers.Concatenate(name="streams")([heard["features"], seen["features"]]))
    return {AUDIO: heard["logits"], VIDEO: seen["logits"], BOTH: both}


def stream_inputs(*parts: keras.Model) -> dict:
    """New input tensors for streams or their front ends: `waveform`, `frames` or both, by name."""
    return {part.input.name: keras.Input(part.input.shape[1:], name=part.input.name) for part in parts}


def build_audio(config: Config) -> keras.Model:
    """The stream of the sound: `waveform` `[B, num_samples]` to `features` `[B, 29, 2 * rnn_units]` and `logits`
    `[B, 29, num_classes]`, float32."""
    return _build_stream(config, AUDIO, build_audio_front(config))


def build_video(config: Config) -> keras.Model:
    """The stream of the lips: `frames` `[B, 29, H, W, 1]` to the same as `build_audio`."""
    return _build_stream(config, VIDEO, build_video_front(config))


def build_fusion(config: Config) -> keras.Model:
    """Both streams' features, the sound's first, `[B, 29, 4 * rnn_units]`, to logits `[B, 29, num_classes]`.

    With `gates` there are no recurrent layers: the features of each stream go on to the words times a weight, 0
    or more, at each step, which they tell themselves and which is 1 at first.
    """
    sizes = config.sizes
    with mixed_precision(config.precision):
        features = keras.Input((STEPS, 4 * sizes.rnn_units), name="features")
        if not sizes.gates:
            x = _apply_recurrent(features, config, f"{FUSION}.gru")
            return keras.Model(features, _apply_words(x, config, f"{FUSION}.fc"), name=FUSION)
        begin = {"kernel_initializer": "zeros", "bias_initializer": keras.initializers.Constant(_SOFTPLUS_OF_1)}
        weights = layers.Dense(2, "softplus", dtype="float32", name=f"{FUSION}.gates", **begin)(features)
        streams = ops.reshape(features, (-1, STEPS, 2, 2 * sizes.rnn_units))
        x = ops.reshape(ops.cast(streams, "float32") * weights[..., None], (-1, STEPS, 4 * sizes.rnn_units))
        words = layers.Dense(_classes(config), dtype="float32", name=f"{FUSION}.fc")
        return keras.Model(features, words(x), name=FUSION)


def begin_words(fusion: keras.Model, audio: keras.Model, video: keras.Model) -> None:
    """Lets the layer of words of a fusion with gates begin as those of the streams together."""
    words = [part.get_layer(f"{part.name}.back").get_layer(f"{part.name}.gru.fc") for part in (audio, video)]
    kernels, biases = zip(*(layer.get_weights() for layer in words), strict=True)
    fusion.get_layer(f"{FUSION}.fc").set_weights([np.concatenate(kernels), sum(biases)])


def _build_stream(config: Config, name: str, front: keras.Model) -> keras.Model:
    with mixed_precision(config.precision):
        (inputs,) = stream_inputs(front).values()
        back = build_recurrent(config, name)
        return keras.Model(inputs, back(front(inputs)), name=name)


def build_front(config: Config, name: str) -> keras.Model:
    """The front end of a stream, by its name."""
    return {AUDIO: build_audio_front, VIDEO: build_video_front}[name](config)


def build_audio_front(config: Config) -> keras.Model:
    """A convolution and a residual network in one dimension: `waveform` `[B, num_samples]` to `[B, 29, audio_dim]`."""
    sizes = config.sizes
    with mixed_precision(config.precision):
        waveform = keras.Input((config.num_samples,), name="waveform")
        x = layers.Reshape((config.num_samples, 1), name="channel")(waveform)
        padding = (sizes.audio_kernel - sizes.audio_stride) // 2
        stem = f"{AUDIO}.fronted1D"
        x = layers.ZeroPadding1D(padding, name=f"{stem}.pad")(x)
        count = sizes.audio_widths[0] * (2 if sizes.envelope else 1)
        convolution = layers.Conv1D(count, sizes.audio_kernel, sizes.audio_stride, use_bias=False, name=f"{stem}.0")
        x = convolution(x)
        if sizes.envelope:
            # A cosine and a sine in turn: how strong a frequency is, whatever its phase.
            pairs = ops.reshape(x, (-1, x.shape[1], sizes.audio_widths[0], 2))
            x = ops.sqrt(ops.sum(ops.square(pairs), axis=-1) + _TINY)
        if sizes.compress:
            x = ops.sign(x) * ops.log1p(sizes.compress * ops.abs(x))
        x = layers.Activation("relu", name=f"{stem}.2")(_normalize(x, f"{stem}.1"))
        if sizes.filterbank:
            kernel = filterbank(sizes.audio_kernel, count, config.sample_rate)
            convolution.kernel.assign(kernel)
        x = _apply_resnet(x, 1, sizes.audio_widths, sizes.audio_blocks, sizes.audio_strides, f"{AUDIO}.resnet18")
        x = layers.ZeroPadding1D(1, name=f"{AUDIO}.pool_pad")(x)  # as zeros, which count in the average
        x = layers.AveragePooling1D(_POOL, name=f"{AUDIO}.pool")(x)
        if x.shape[1] != STEPS:
            raise UsageError(
                f"num_samples, audio_stride and audio_strides must leave {STEPS} steps, as 19456 samples do with steps "
                f"of 32 in all. Received: {config.num_samples}, {sizes.audio_stride}, {sizes.audio_strides}"
            )
        x = _apply_last(x, sizes.audio_dim, config, f"{AUDIO}.resnet18.fc")
        return keras.Model(waveform, x, name=f"{AUDIO}.front")


def build_video_front(config: Config) -> keras.Model:
    """A convolution in three dimensions, a residual network on each frame: `frames` to `[B, 29, video_dim]`."""
    sizes = config.sizes
    with mixed_precision(config.precision):
        frames = keras.Input((config.num_frames, *config.crop_size, 1), name="frames")
        stem = f"{VIDEO}.frontend3D"
        x = layers.ZeroPadding3D(tuple(side // 2 for side in sizes.video_kernel), name=f"{stem}.pad")(frames)
        convolution = layers.Conv3D(
            sizes.video_widths[0], sizes.video_kernel, (1, 2, 2), use_bias=False, name=f"{stem}.0"
        )
        x = layers.Activation("relu", name=f"{stem}.2")(_normalize(convolution(x), f"{stem}.1"))
        # From here on frame by frame. The pool's padding of zeros is what one of minus infinity is behind a ReLU.
        x = ops.reshape(x, (-1, *x.shape[2:]))
        x = layers.ZeroPadding2D(1, name=f"{stem}.pool_pad")(x)
        x = layers.MaxPooling2D(3, 2, name=f"{stem}.3")(x)
        x = _apply_resnet(x, 2, sizes.video_widths, sizes.video_blocks, (1, 2, 2, 2), f"{VIDEO}.resnet34")
        if sizes.video_pool > 1:
            x = layers.AveragePooling2D(sizes.video_pool, name=f"{VIDEO}.pool")(x)
        x = ops.reshape(x, (-1, config.num_frames, int(np.prod(x.shape[1:]))))
        x = _apply_last(x, sizes.video_dim, config, f"{VIDEO}.resnet34.fc")
        return keras.Model(frames, _normalize(x, f"{VIDEO}.resnet34.bnfc"), name=f"{VIDEO}.front")


def build_recurrent(config: Config, name: str) -> keras.Model:
    """A stream's recurrent back end: `[B, 29, dim]` to `features` `[B, 29, 2 * rnn_units]` and `logits`."""
    with mixed_precision(config.precision):
        inputs = keras.Input((STEPS, _dim(config, name)), name=f"{name}_front")
        x = _apply_recurrent(inputs, config, f"{name}.gru.gru")
        features = layers.Activation("linear", dtype="float32", name=f"{name}.features")(x)
        outputs = {"features": features, "logits": _apply_words(x, config, f"{name}.gru.fc")}
        return keras.Model(inputs, outputs, name=f"{name}.back")


def apply_said(features, config: Config, name: str):
    """What is being said at each step of a stream, for training: `[B, 29, dim]` to logits `[B, 29, num_classes + 1]`,
    the last one for nothing."""
    x = layers.Dropout(config.dropout, name=f"{name}.drop")(features) if config.dropout else features
    return layers.Dense(_classes(config) + 1, dtype="float32", name=name)(x)


def build_convolutional(config: Config, name: str) -> keras.Model:
    """The temporal convolution back end of a stream's first stage: `[B, 29, dim]` to logits `[B, 1, num_classes]`."""
    with mixed_precision(config.precision):
        dim = _dim(config, name)
        inputs = keras.Input((STEPS, dim), name=f"{name}_front")
        x = inputs
        for number, place in ((1, 0), (2, 4)):  # places in the original's sequence
            x = layers.Conv1D(
                2 * number * dim, 5, 2, use_bias=False, kernel_initializer="he_normal", name=_conv(name, 1, place)
            )(x)
            x = layers.Activation("relu", name=_conv(name, 1, place + 2))(_normalize(x, _conv(name, 1, place + 1)))
            x = layers.MaxPooling1D(2, name=_conv(name, 1, 3))(x) if number == 1 else x
        x = layers.GlobalAveragePooling1D(keepdims=True, name=f"{name}.backend_mean")(x)
        x = layers.Dense(dim, name=_conv(name, 2, 0))(x)
        x = layers.Activation("relu", name=_conv(name, 2, 2))(_normalize(x, _conv(name, 2, 1)))
        x = layers.Dropout(config.dropout, name=f"{name}.backend_drop")(x) if config.dropout else x
        logits = layers.Dense(_classes(config), dtype="float32", name=_conv(name, 2, 3))(x)
        return keras.Model(inputs, logits, name=f"{name}.back_conv")


def _conv(name: str, part: int, place: int) -> str:
    return f"{name}.backend_conv{part}.{place}"


def _dim(config: Config, name: str) -> int:
    return {AUDIO: config.sizes.audio_dim, VIDEO: config.sizes.video_dim}[name]


def _classes(config: Config) -> int:
    if not config.num_classes:
        raise UsageError("num_classes is 0: a model has to know how many words there are. Set num_classes.")
    return config.num_classes


def _apply_resnet(x, rank: int, widths, blocks, strides, name: str):
    """Basic blocks in `rank` dimensions, in four stages."""
    for stage, (width, count, stride) in enumerate(zip(widths, blocks, strides, strict=True), 1):
        for block in range(count):
            x = residual_block(x, rank, width, stride if block == 0 else 1, f"{name}.layer{stage}.{block}", _normalize)
    return x


def _normalize(x, name: str):
    return FusedBatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)


def _apply_last(x, dim: int, config: Config, name: str):
    """The linear layer at the end of a front end, `[B, 29, C]` to `[B, 29, dim]`."""
    if config.sizes.step_bias:
        return layers.EinsumDense("btc,cd->btd", (STEPS, dim), bias_axes="td", name=name)(x)
    return layers.Dense(dim, name=name)(x)


def _apply_recurrent(x, config: Config, name: str):
    for number in range(2):
        x = layers.Dropout(config.dropout, name=f"{name}.drop{number}")(x) if config.dropout else x
        x = BidirectionalGRU(config.sizes.rnn_units, name=f"{name}.l{number}")(x)
    return x


def _apply_words(x, config: Config, name: str):
    x = layers.Dropout(config.dropout, name=f"{name}.drop")(x) if config.dropout else x
    # In float32 whatever the precision: differences between logits decide.
    return layers.Dense(_classes(config), dtype="float32", name=name)(x)


def _mean(logits, name: str):
    return layers.GlobalAveragePooling1D(dtype="float32", name=name)(logits)


def filterbank(length: int, count: int, sample_rate: int) -> np.ndarray:
    """Windowed cosines and sines in turn, their frequencies spaced evenly on the mel scale.

    Args:
        length: In samples.
        count: Of the filters.
        sample_rate: Samples per second.

    Returns:
        `[length, 1, count]` float32, each filter of norm 1: a kernel of `Conv1D`.
    """
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    mels = np.linspace(low, high, (count + 1) // 2)
    hz = 700 * (10 ** (mels / 2595) - 1)
    time = (np.arange(length) - (length - 1) / 2) / sample_rate
    angles = 2 * np.pi * hz[:, None] * time
    filters = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(-1, length)[:count] * np.hanning(length)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True) + 1e-8
    return filters.T[:, None].astype(np.float32)


@keras.saving.register_keras_serializable(package="tfav")
class Frozen(keras.layers.Layer):
    """A model that only answers, as in inference whatever goes on around it, and through which no gradient flows.

    Calling it with `training=False` would not do: a functional model hands its own `training` down to all its parts.

    Args:
        model: A built model of one input; its weights are no longer trained.
        choose: Which of its outputs to give, where it has several by name.
    """

    def __init__(self, model: keras.Model, choose: str = "", **kwargs):
        super().__init__(autocast=False, **kwargs)  # the model casts for itself
        model.trainable = False
        self.model = model
        self.choose = choose
        self.built = True

    def call(self, inputs):
        """As the model."""
        outputs = self.model(inputs, training=False)
        return ops.stop_gradient(outputs[self.choose] if self.choose else outputs)

    def get_config(self):
        """The model along with what is chosen of it."""
        stored = {"model": keras.saving.serialize_keras_object(self.model), "choose": self.choose}
        return {**super().get_config(), **stored}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the model."""
        return cls(model=keras.saving.deserialize_keras_object(config.pop("model")), **config)
