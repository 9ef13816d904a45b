"""The models: a CNN that sees one frame, an LSTM over what it saw, and a classifier on top."""

import keras
from keras import layers, ops

from tfav.layers import MaskedPool, PerFrame, SubtractClipMean, TimeJitter
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.extractor import build_extractor
from tfav.systems.cnn_lstm.front import head_size
from tfav.training import mixed_precision

_LSTM_L2 = 1e-4


def build_model(config: Config) -> keras.Model:
    """The model that `build_datasets(config)` feeds.

    Args:
        config: With `cache_features` the model starts at the features, since the extractor's work is done once and kept
            on disk; otherwise at the pixels.

    Returns:
        A model with inputs `clip` `[B, T, S, S, 3]` uint8 (RGB, 0-255) or `features` `[B, T, head_size]` float32, and
        `mask` `[B, T]` float32, 1 where a frame is real; output `class` `[B, num_classes]` float32 probabilities.

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
        return keras.Model({"clip": clip, "mask": mask}, probabilities, name=f"cnn_lstm_{config.preset_name}")


def build_head(config: Config, size: int) -> keras.Model:
    """The LSTM and the classifier: `features` `[B, T, size]` and `mask` `[B, T]` to class probabilities."""
    features = layers.Input((config.num_frames, size), name="features")
    mask = layers.Input((config.num_frames,), name="mask")
    x = _HEADS[config.head](features, mask, config)
    # float32 whatever the policy: probabilities in bfloat16 have two digits.
    x = layers.Activation("softmax", dtype="float32", name="class")(x)
    return keras.Model({"features": features, "mask": mask}, x, name="head")


def _apply_last_head(features, mask, config: Config):
    """The notebook's: what the LSTM knows at the end."""
    lstm = layers.LSTM(
        config.lstm_units, dropout=config.dropout, recurrent_dropout=config.recurrent_dropout, name="lstm"
    )
    x = lstm(features, mask=ops.cast(mask, "bool"))
    x = layers.Dense(config.dense_units, activation="relu", name="dense")(x)
    return layers.Dense(config.class_count(), name="logits")(x)


def _apply_pooled_head(features, mask, config: Config):
    """An LSTM both ways over every second step, its outputs' mean and maximum over time."""
    x = TimeJitter(config.time_jitter, seed=config.seed, name="time_jitter")(features, mask)
    x = layers.GaussianNoise(config.noise, seed=config.seed, name="noise")(x)
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
    return layers.Dense(config.class_count(), name="logits")(x)


_HEADS = {"last": _apply_last_head, "pooled": _apply_pooled_head}
