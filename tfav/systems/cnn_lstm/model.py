"""The models: a CNN that sees one frame, an LSTM over what it saw, and a classifier on top."""

import keras
from keras import layers, ops

from tfav.systems.cnn_lstm.backbone import build_extractor
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.feature_pca import head_size
from tfav.systems.cnn_lstm.layers import MaskedPool, PerFrame, SharedTarget, SubtractClipMean, SumToOne, TimeJitter
from tfav.training import mixed_precision

_STRETCHES = 6
_LSTM_L2 = 1e-4
_LINEAR_L2 = 1e-3


def build_model(config: Config) -> keras.Model:
    """The model that `build_datasets(config)` feeds.

    Args:
        config: With `cache_features` the model starts at the features, since the extractor's work is done once and kept
            on disk; otherwise at the pixels.

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
        extractor = build_extractor(config)
        extractor.trainable = config.extractor_trainable
        clip = layers.Input((config.num_frames, config.image_size, config.image_size, 3), dtype="uint8", name="clip")
        mask = layers.Input((config.num_frames,), name="mask")  # float32: MirroredStrategy cannot take bool inputs
        x = SubtractClipMean(name="moving")(clip, mask) if config.subtract_mean else clip
        features = PerFrame(extractor, name="frames")(x)
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
    x = TimeJitter(config.time_jitter, seed=config.seed, name="time_jitter")(features, mask)
    x = layers.GaussianNoise(config.noise, seed=config.seed, name="noise")(x)
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
    probabilities = SumToOne(name="class", dtype="float32")(product)
    return {"class": probabilities, "lstm_class": lstm_class, "pooled_class": pooled_class}


def _apply_classes(x, config: Config, name: str, **settings):
    x = layers.Dense(config.class_count(), name=f"{name}_logits", **settings)(x)
    # float32 whatever the policy: probabilities in bfloat16 have two digits.
    return layers.Activation("softmax", dtype="float32", name=name)(x)


_HEADS = {"last": _apply_last_head, "pooled": _apply_pooled_head}
