"""The network that sees one frame: our own CNN, MobileNetV2, or any TF-Hub module."""

import functools
import itertools
import warnings
from pathlib import Path

import keras
from keras import layers

from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.cnn_lstm.config import Config


def build_extractor(config: Config) -> keras.Model:
    """The model of one frame: `[N, S, S, 3]` (RGB, 0-255) to `[N, D]`, its own scaling of pixels included.

    Raises:
        UsageError: An unknown extractor, or weights that do not fit it.
        TfavError: ImageNet weights are wanted and cannot be downloaded.
    """
    frame = layers.Input((config.image_size, config.image_size, 3), name="frame")
    if config.extractor == "cnn":
        return keras.Model(frame, _apply_cnn(frame, config), name="cnn")
    if config.extractor == "mobilenet_v2":
        backbone = _mobilenet_v2(config)
        x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(frame)  # -1..1, what the weights were trained on
        return keras.Model(frame, _pool_map(backbone(x), config.pooling), name="mobilenet_v2_frame")
    from tfav.weights.tf_hub import HubExtractor  # only here: it loads tensorflow-hub

    x = layers.Rescaling(1 / 255, name="scale")(frame)
    x = HubExtractor(config.extractor, trainable=config.extractor_trainable, name="hub")(x)
    return keras.Model(frame, x, name="hub_frame")


def _apply_cnn(frame, config: Config):
    """Our own CNN: a strided convolution, then stages of 3 x 3 convolutions with a pooling between two of them."""
    x = layers.Rescaling(1 / 255, name="scale")(frame)
    momentum = config.batch_norm_momentum
    x = _apply_convolution(x, config.cnn_filters[0], momentum, stride=2, name="stem")
    for stage, (filters, depth) in enumerate(zip(config.cnn_filters, config.cnn_depths, strict=True), 1):
        for index in range(depth):
            x = _apply_convolution(x, filters, momentum, name=f"stage{stage}_{index + 1}")
        if stage < len(config.cnn_filters):
            x = layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
    return layers.Flatten(name="flatten")(x)


def _apply_convolution(x, filters: int, momentum: float, *, stride: int = 1, name: str):
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def feature_size(config: Config) -> int:
    """`D` of the features the head takes: those of one frame, times the number of views."""
    return cached_extractor(config).output_shape[-1] * len(config.views)


def cached_extractor(config: Config) -> keras.Model:
    """`build_extractor`, once per process and set of weights; for reading only, since all callers share it."""
    return _extractor_of(
        config.extractor, config.extractor_weights, config.extractor_alpha, config.image_size, config.pooling
    )


def save_extractor(config: Config, path: Path) -> None:
    """Keeps the frozen extractor with the run, so that the run folder predicts wherever it is carried.

    A TF-Hub module stays where it is: only its handle is stored, in `config.json`.
    """
    if config.cache_features and config.extractor == "mobilenet_v2" and not path.exists():
        with partial_file(path) as partial:
            cached_extractor(config).save(partial)


@functools.lru_cache(maxsize=2)
def _extractor_of(extractor, extractor_weights, extractor_alpha, image_size, pooling):
    extractor = build_extractor(
        Config(
            extractor=extractor,
            extractor_weights=extractor_weights,
            extractor_alpha=extractor_alpha,
            image_size=image_size,
            pooling=pooling,
            extractor_trainable=False,
        )
    )
    extractor.trainable = False
    return extractor


def _mobilenet_v2(config: Config) -> keras.Model:
    shape = (config.image_size, config.image_size, 3)
    weights = config.extractor_weights
    is_file = weights not in ("", "imagenet")
    if is_file and not Path(weights).is_file():
        raise UsageError(
            f"{weights}: no such weights file. Give --extractor-weights a file, or imagenet to download them."
        )
    try:
        backbone = keras.applications.MobileNetV2(
            input_shape=shape,
            alpha=config.extractor_alpha,
            include_top=False,
            weights=None if is_file or not weights else weights,
            name="mobilenet_v2",
        )
    except ValueError as error:
        raise UsageError(f"MobileNetV2 cannot be built: {' '.join(str(error).split())}") from error
    except Exception as error:  # Keras raises a bare Exception when its download fails
        raise TfavError(
            "the ImageNet weights of MobileNetV2 cannot be downloaded. Give --extractor-weights a file that you have."
        ) from error
    if is_file:
        try:
            with warnings.catch_warnings():
                # Keras only warns when parts of the file find no place, and leaves those layers random.
                warnings.simplefilter("error", UserWarning)
                backbone.load_weights(weights)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise UsageError(
                f"{weights}: does not fit MobileNetV2 with alpha {config.extractor_alpha} "
                f"({' '.join(str(error).split())[:160]}). Set --extractor-alpha to what the file was made with."
            ) from error
    return backbone


def _pool_map(x, pooling: str):
    """The last map of an extractor `[N, h, w, C]` as one vector per frame."""
    if pooling == "mean":
        return layers.GlobalAveragePooling2D(name="pool")(x)
    height = x.shape[1]
    if height < 3:
        raise UsageError(
            f"pooling=bands needs a last map of 3 rows or more, here it has {height}. Give a larger image_size."
        )
    edges = [round(height * third / 3) for third in range(4)]
    bands = []
    for index, (top, bottom) in enumerate(itertools.pairwise(edges)):
        band = layers.Cropping2D(((top, height - bottom), (0, 0)), name=f"band_{index}")(x)
        bands.append(layers.GlobalAveragePooling2D(name=f"pool_{index}")(band))
    return layers.Concatenate(name="pool")(bands)
