"""The models: a backbone that sees one frame, an LSTM over what it saw, and a classifier on top."""

import functools
import itertools
import warnings
from pathlib import Path

import keras
from keras import layers, ops

from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.layers import MaskedPool, PerFrame, SharedTarget, SubtractClipMean, SumToOne, TimeJitter
from tfav.training import mixed_precision

_STRETCHES = 6
_LSTM_L2 = 1e-4
_LINEAR_L2 = 1e-3
_TIME_JITTER = 0.12  # largest share of a clip cut off at either end in training
_NOISE = 0.1  # deviation of the noise added to projected features in training


def build_model(config: Config) -> keras.Model:
    """The model that `build_datasets(config)` feeds.

    Args:
        config: With `backbone_mode=cached` the model starts at the features, since the backbone's work is done once
            and kept on disk; otherwise at the pixels.

    Returns:
        A model with inputs `clip` `[B, T, S, S, 3]` uint8 (RGB, 0-255) or `features` `[B, T, head_size]` float32, and
        `mask` `[B, T]` float32, 1 where a frame is real; output `class` `[B, num_classes]` float32 probabilities, with
        the head `pooled` one of a dict of three.

    Raises:
        UsageError: `num_classes` is not set and cannot be counted in `data_dir`.
    """
    with mixed_precision(config.precision):
        if config.cache_features:
            return build_head(config, head_size(config))
        backbone = build_backbone(config)
        backbone.trainable = config.backbone_mode == "trained"
        clip = layers.Input((config.num_frames, config.image_size, config.image_size, 3), dtype="uint8", name="clip")
        mask = layers.Input((config.num_frames,), name="mask")  # float32: MirroredStrategy cannot take bool inputs
        x = SubtractClipMean(name="moving")(clip, mask) if config.subtract_mean else clip
        features = PerFrame(backbone, name="frames")(x)
        probabilities = build_head(config, features.shape[-1])({"features": features, "mask": mask})
        return _model({"clip": clip, "mask": mask}, probabilities, f"cnn_lstm_{config.preset_name}")


def build_head(config: Config, size: int) -> keras.Model:
    """The LSTM and the classifier: `features` `[B, T, size]` and `mask` `[B, T]` to class probabilities."""
    features = layers.Input((config.num_frames, size), name="features")
    mask = layers.Input((config.num_frames,), name="mask")
    probabilities = _HEADS[config.head](features, mask, config)
    return _model({"features": features, "mask": mask}, probabilities, "head")


def _model(inputs, outputs, name: str) -> keras.Model:
    return (SharedTarget if isinstance(outputs, dict) else keras.Model)(inputs, outputs, name=name)


def _apply_last_head(features, mask, config: Config):
    """The notebook's: what the LSTM knows at the end."""
    lstm = layers.LSTM(
        config.lstm_units, dropout=config.dropout, recurrent_dropout=config.recurrent_dropout, name="lstm"
    )
    x = lstm(features, mask=ops.cast(mask, "bool"))
    x = layers.Dense(config.dense_units, activation="relu", name="dense")(x)
    return _apply_classes(x, config, "class")


def _apply_pooled_head(features, mask, config: Config):
    """Two classifiers that learn on their own, and their product: what one is unsure of, the other decides.

    One is an LSTM both ways over every second step, its outputs' mean and maximum over time. The other is linear in the
    means over six stretches of the clip: with few videos hardly worse, and wrong about others.

    Returns:
        `class` (the product), `lstm_class` and `pooled_class`, each `[B, num_classes]` probabilities; the last two are
        what losses are for.
    """
    x = TimeJitter(_TIME_JITTER, seed=config.seed, name="time_jitter")(features, mask)
    x = layers.GaussianNoise(_NOISE, seed=config.seed, name="noise")(x)
    pooled = MaskedPool(_STRETCHES, name="stretches")(x, mask)
    pooled = layers.Dropout(config.dropout, seed=config.seed, name="drop_stretches")(pooled)
    regularizer = keras.regularizers.L2(_LINEAR_L2)
    pooled_class = _apply_classes(
        pooled, config, "pooled_class", kernel_initializer="zeros", kernel_regularizer=regularizer
    )

    # A feature is dropped for the whole clip: dropped frame by frame, its neighbours in time would give it away.
    x = layers.SpatialDropout1D(0.6 * config.dropout, seed=config.seed, name="drop_features")(x)
    x = layers.AveragePooling1D(2, name="half")(x)
    half_mask = layers.Flatten(name="half_mask")(layers.MaxPooling1D(2)(ops.expand_dims(mask, -1)))
    lstm = layers.LSTM(
        config.lstm_units,
        return_sequences=True,
        recurrent_dropout=config.recurrent_dropout,
        kernel_regularizer=keras.regularizers.L2(_LSTM_L2),
    )
    x = layers.Bidirectional(lstm, name="lstm")(x, mask=ops.cast(half_mask, "bool"))
    x = MaskedPool(maximum=True, name="pool")(x, half_mask)
    x = layers.Dropout(config.dropout, seed=config.seed, name="drop_pooled")(x)
    lstm_class = _apply_classes(x, config, "lstm_class")

    product = layers.Multiply(name="product", dtype="float32")([lstm_class, pooled_class])
    if config.multi_label:  # each class against its absence
        neither = layers.Multiply(name="neither", dtype="float32")([1 - lstm_class, 1 - pooled_class])
        product = ops.stack([product, neither], axis=-1)
        probabilities = layers.Identity(name="class", dtype="float32")(
            SumToOne(name="sum", dtype="float32")(product)[..., 0]
        )
    else:
        probabilities = SumToOne(name="class", dtype="float32")(product)
    return {"class": probabilities, "lstm_class": lstm_class, "pooled_class": pooled_class}


def _apply_classes(x, config: Config, name: str, **settings):
    x = layers.Dense(config.class_count(), name=f"{name}_logits", **settings)(x)
    # float32 whatever the policy: probabilities in bfloat16 have two digits.
    return layers.Activation("sigmoid" if config.multi_label else "softmax", dtype="float32", name=name)(x)


_HEADS = {"last": _apply_last_head, "pooled": _apply_pooled_head}


def head_size(config: Config) -> int:
    """Numbers per frame that the head takes."""
    return 2 * len(config.views) * config.pca_components if config.pca_components else feature_size(config)


def build_backbone(config: Config) -> keras.Model:
    """The model of one frame: `[N, S, S, 3]` (RGB, 0-255) to `[N, D]`, its own scaling of pixels included.

    Raises:
        UsageError: An unknown backbone, or weights that do not fit it.
        TfavError: ImageNet weights are wanted and cannot be downloaded.
    """
    frame = layers.Input((config.image_size, config.image_size, 3), name="frame")
    if config.backbone == "cnn":
        return keras.Model(frame, _apply_cnn(frame, config), name="cnn")
    if config.backbone == "mobilenet_v2":
        backbone = _mobilenet_v2(config)
        x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(frame)  # -1..1, what the weights were trained on
        return keras.Model(frame, _pool_map(backbone(x)), name="mobilenet_v2_frame")
    from tfav.weights.tf_hub import HubExtractor  # only here: it loads tensorflow-hub

    x = layers.Rescaling(1 / 255, name="scale")(frame)
    x = HubExtractor(config.backbone, trainable=config.backbone_mode == "trained", name="hub")(x)
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
    return cached_backbone(config).output_shape[-1] * len(config.views)


def cached_backbone(config: Config) -> keras.Model:
    """`build_backbone`, once per process and set of weights; for reading only, since all callers share it."""
    return _backbone_of(config.backbone, config.backbone_weights, config.backbone_alpha, config.image_size)


def save_backbone(config: Config, path: Path) -> None:
    """Keeps the frozen backbone with the run, so that the run folder predicts wherever it is carried.

    A TF-Hub module stays where it is: only its handle is stored, in `config.json`.
    """
    if config.cache_features and config.backbone == "mobilenet_v2" and not path.exists():
        with partial_file(path) as partial:
            cached_backbone(config).save(partial)


@functools.lru_cache(maxsize=2)
def _backbone_of(backbone, backbone_weights, backbone_alpha, image_size):
    backbone = build_backbone(
        Config(
            backbone=backbone,
            backbone_weights=backbone_weights,
            backbone_alpha=backbone_alpha,
            image_size=image_size,
            backbone_mode="frozen",
        )
    )
    backbone.trainable = False
    return backbone


def _mobilenet_v2(config: Config) -> keras.Model:
    shape = (config.image_size, config.image_size, 3)
    weights = config.backbone_weights
    is_file = weights not in ("", "imagenet")
    if is_file and not Path(weights).is_file():
        raise UsageError(
            f"{weights}: no such weights file. Give --backbone-weights a file, or imagenet to download them."
        )
    try:
        backbone = keras.applications.MobileNetV2(
            input_shape=shape,
            alpha=config.backbone_alpha,
            include_top=False,
            weights=None if is_file or not weights else weights,
            name="mobilenet_v2",
        )
    except ValueError as error:
        raise UsageError(f"MobileNetV2 cannot be built: {' '.join(str(error).split())}") from error
    except Exception as error:  # Keras raises a bare Exception when its download fails
        raise TfavError(
            "the ImageNet weights of MobileNetV2 cannot be downloaded. Give --backbone-weights a file that you have."
        ) from error
    if is_file:
        try:
            with warnings.catch_warnings():
                # Keras only warns when parts of the file find no place, and leaves those layers random.
                warnings.simplefilter("error", UserWarning)
                backbone.load_weights(weights)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            raise UsageError(
                f"{weights}: does not fit MobileNetV2 with alpha {config.backbone_alpha} "
                f"({' '.join(str(error).split())[:160]}). Set --backbone-alpha to what the file was made with."
            ) from error
    return backbone


def _pool_map(x):
    """The last map of a backbone `[N, h, w, C]` as one vector per frame: means of its upper, middle and lower third.

    A map of fewer than three rows gives the mean over all of it.
    """
    height = x.shape[1]
    if height < 3:
        return layers.GlobalAveragePooling2D(name="pool")(x)
    edges = [round(height * third / 3) for third in range(4)]
    bands = []
    for index, (top, bottom) in enumerate(itertools.pairwise(edges)):
        band = layers.Cropping2D(((top, height - bottom), (0, 0)), name=f"band_{index}")(x)
        bands.append(layers.GlobalAveragePooling2D(name=f"pool_{index}")(band))
    return layers.Concatenate(name="pool")(bands)
