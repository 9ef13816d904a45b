"""The networks: a stream (a backbone on one picture or one stack of flow); their fusion, late or recurrent."""

import functools
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from tfav.errors import TfavError, UsageError
from tfav.systems.two_stream.config import Config
from tfav.training import mixed_precision

# What each backbone's ImageNet weights expect of pixels 0-1: (mean, standard deviation) of each colour. The first two
# were trained on -1..1, the others on 0-255 with the mean colour taken off.
_UNIT = ((0.5, 0.5, 0.5), 0.5)
_CAFFE = ((123.68 / 255, 116.779 / 255, 103.939 / 255), 1 / 255)
_LEVELS = {"xception": _UNIT, "mobilenet_v2": _UNIT, "resnet50": _CAFFE, "vgg19": _CAFFE, "small": _UNIT}
_BGR = ("resnet50", "vgg19")  # their weights count the colours backwards
_SMALL_FILTERS = (16, 32, 64, 64)


def build_model(config: Config) -> keras.Model:
    """The model that `build_datasets(config)` feeds: one stream, or the recurrent fusion.

    Args:
        config: `stream` says which.

    Returns:
        For a stream: input `input_spatial` `[B, S, S, 3]` or `input_motion` `[B, S, S, 2 L]` float32, 0-1, then layers
        `data_norm`, the nested backbone, `avg_pool`, `predictions`; output `[B, num_classes]` float32 probabilities.
        For the fusion see `build_fusion`.

    Raises:
        UsageError: `num_classes` is not set and cannot be counted, or weights that do not fit.
        TfavError: ImageNet weights are wanted and cannot be downloaded.
    """
    if config.stream == "fusion":
        from tfav.systems.two_stream.stream import feature_size

        return build_fusion(config, feature_size(config))
    with mixed_precision(config.precision):
        shape = (config.image_size, config.image_size, config.channels())
        inputs = layers.Input(shape, name=f"input_{config.stream}")
        x = build_normalization(config)(inputs)
        backbone = build_backbone(config)
        backbone.trainable = config.backbone_trainable
        for layer in backbone.layers if config.batch_norm_momentum else ():
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = config.batch_norm_momentum
        x = layers.GlobalAveragePooling2D(name="avg_pool")(backbone(x))
        if config.dropout:
            x = layers.Dropout(config.dropout, name="dropout")(x)
        # float32 whatever the policy: probabilities in bfloat16 have two digits.
        x = layers.Dense(config.class_count(), activation="softmax", dtype="float32", name="predictions")(x)
        return keras.Model(inputs, x, name=f"{config.stream}_{config.backbone}")


def build_normalization(config: Config) -> layers.Layer:
    """The layer `data_norm`, which brings 0-1 to the levels that the backbone's ImageNet weights expect.

    `fixed` has no parameters; still flow (0.5) becomes 0. `batch` is what the released files hold: batch normalisation
    without scale and offset, whose 2 x channels running statistics come on top of the counts of parameters.
    """
    if config.normalization == "batch":
        return layers.BatchNormalization(center=False, scale=False, name="data_norm")
    mean, deviation = _LEVELS[config.backbone]
    if config.stream == "motion":
        mean = (0.5,) * config.channels()
    return layers.Normalization(axis=-1, mean=list(mean), variance=[deviation**2] * len(mean), name="data_norm")


def build_backbone(config: Config) -> keras.Model:
    """The network without its classifier, `[B, S, S, channels]` to `[B, h, w, D]`; weights as `config` says.

    A motion backbone takes the RGB weights too: its first convolution by `cross_modality`, all others as they are.
    """
    backbone = _backbone(config, config.channels())
    if config.backbone_weights:
        rgb = backbone if config.channels() == 3 else _backbone(config, 3)
        _fill(rgb, config)
        if rgb is not backbone:
            _transfer(rgb, backbone)
    return backbone


def cross_modality(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Make a kernel for stacked flow from one for RGB: the mean over the colours, the same for every channel.

    Args:
        kernel: `[h, w, 3, filters]` float32.
        channels: Channels of the new one.

    Returns:
        `[h, w, channels, filters]` float32.

    Reference:
        L. Wang et al., "Temporal segment networks: towards good practices for deep action recognition", ECCV 2016.
    """
    return np.repeat(kernel.mean(axis=2, keepdims=True), channels, axis=2)


def build_fusion(config: Config, size: int) -> keras.Model:
    """The recurrent fusion: a GRU over both streams' features, attention over its steps, a classifier.

    Args:
        config: Gives `samples_per_video` (steps), `gru_units`, `dropout`, the number of classes.
        size: Features of a step, both streams side by side.

    Returns:
        Input `features` `[B, samples_per_video, size]` float32; output `[B, num_classes]` float32 probabilities.
    """
    with mixed_precision(config.precision):
        features = layers.Input((config.samples_per_video, size), name="features")
        x = layers.GRU(config.gru_units, return_sequences=True, dropout=config.dropout, name="gru")(features)
        weight = layers.Softmax(axis=1, name="attention")(layers.Dense(1, name="attention_logit")(x))
        x = layers.Flatten(name="attended")(layers.Dot(axes=1, name="weighted_sum")([weight, x]))
        x = layers.Dense(config.gru_units // 2, activation="selu", name="dense")(x)
        x = layers.Dense(config.class_count(), activation="softmax", dtype="float32", name="predictions")(x)
        return keras.Model(features, x, name="recurrent_fusion")


def _backbone(config: Config, channels: int) -> keras.Model:
    options = {"input_shape": (config.image_size, config.image_size, channels), "include_top": False, "weights": None}
    build = {
        "xception": keras.applications.Xception,
        "resnet50": keras.applications.ResNet50,
        "vgg19": keras.applications.VGG19,
        "mobilenet_v2": functools.partial(keras.applications.MobileNetV2, alpha=config.backbone_alpha),
        "small": _small_cnn,
    }[config.backbone]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This model usually expects 1 or 3 input channels")
        try:
            return build(**options, name=config.backbone)
        except ValueError as error:
            raise UsageError(f"{config.backbone} cannot be built: {' '.join(str(error).split())}") from error


def _small_cnn(input_shape, name, include_top, weights) -> keras.Model:
    """A few strided convolutions, for made data and tests; takes what `keras.applications` take."""
    x = inputs = layers.Input(input_shape, name=f"{name}_input")
    for number, filters in enumerate(_SMALL_FILTERS, 1):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return keras.Model(inputs, x, name=name)


def _fill(backbone: keras.Model, config: Config) -> None:
    path = config.backbone_weights
    if path == "imagenet":
        path = _download(config)
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such weights file. Give --backbone-weights a file, or imagenet to download them.")
    try:
        with warnings.catch_warnings():
            # Keras only warns where a file lacks a layer's weights, and leaves them random.
            warnings.filterwarnings("error", message="Skipping")
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise UsageError(
            f"{path}: does not fit {config.backbone} without its top, alpha {config.backbone_alpha} "
            f"({' '.join(str(error).split())[:160]}). Give the file made for it."
        ) from error
    if config.backbone in _BGR:  # their pictures are BGR, ours RGB: the same thing with the first kernel turned round
        kernel = _first_convolution(backbone).kernel
        kernel.assign(kernel.numpy()[:, :, ::-1])


def _download(config: Config) -> Path:
    """Have Keras download its weights, once; the file is then loaded as any other."""
    if config.backbone == "small":
        raise UsageError("There are no ImageNet weights of the backbone small. Give --backbone-weights '' or a file.")
    build = {
        "xception": keras.applications.Xception,
        "resnet50": keras.applications.ResNet50,
        "vgg19": keras.applications.VGG19,
        "mobilenet_v2": functools.partial(keras.applications.MobileNetV2, alpha=config.backbone_alpha),
    }[config.backbone]
    path = config.cache_path() / f"{config.backbone}-{config.backbone_alpha}-{config.image_size}.weights.h5"
    if not path.exists():
        try:
            shape = (config.image_size, config.image_size, 3)
            downloaded = build(include_top=False, weights="imagenet", input_shape=shape)
        except Exception as error:  # Keras raises a bare Exception when its download fails
            raise TfavError(
                f"the ImageNet weights of {config.backbone} cannot be downloaded. "
                "Give --backbone-weights a file that you have."
            ) from error
        path.parent.mkdir(parents=True, exist_ok=True)
        downloaded.save_weights(path)
    return path


def _transfer(rgb: keras.Model, motion: keras.Model) -> None:
    first = _first_convolution(motion).kernel
    for source, target in zip(rgb.weights, motion.weights, strict=True):
        values = source.numpy()
        target.assign(cross_modality(values, target.shape[2]) if target is first else values)


def _first_convolution(model: keras.Model) -> layers.Conv2D:
    return next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
