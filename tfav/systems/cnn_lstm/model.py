"""The models: a CNN that sees one frame, an LSTM over what it saw, and a classifier on top."""

import keras
from keras import layers, ops

from tfav.layers import (
    AbsoluteDifference,
    MaskedPool,
    PerFrame,
    PrincipalComponents,
    SubtractClipMean,
    TimeJitter,
)
from tfav.systems.cnn_lstm import data
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.extractor import build_extractor, feature_size
from tfav.training import mixed_precision

_CHANGE_STEPS = 3  # of the model's frames: half a second in a clip of four
_STRETCHES = 3  # of time, for the linear classifier: before, during, after
_LSTM_L2 = 1e-4
_LINEAR_L2 = 1e-3


def build_model(config: Config) -> keras.Model:
    """The model that `build_datasets(config)` feeds.

    With `projection` and a `data_dir`, the projection is fitted to the training part's features here, so that the model
    is ready for `fit`.

    Args:
        config: With `cache_features` the model starts at the features, since the extractor's work is done once and kept
            on disk; otherwise at the pixels.

    Returns:
        A model with inputs `clip` `[B, T, S, S, 3]` uint8 (RGB, 0-255) or `features` `[B, T, D]` float32, and `mask`
        `[B, T]` float32, 1 where a frame is real; output `class` `[B, num_classes]` float32 probabilities.

    Raises:
        UsageError: `num_classes` is not set and cannot be counted in `data_dir`.
    """
    with mixed_precision(config.precision):
        if config.cache_features:
            head = build_head(config, feature_size(config))
            if config.projection and config.head == "pooled" and config.data_dir:
                head.get_layer("projection").adapt(data.training_rows(config))
            return head
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
    """An LSTM both ways, pooled over time, and a linear classifier; both see features and how much they change.

    Made for few videos: the linear branch is as good as logistic regression from the start, and the recurrent one
    learns what the order of time adds.
    """
    x = features
    if config.projection:
        x = PrincipalComponents(config.projection, groups=len(config.views), name="projection")(x)
    x = TimeJitter(config.time_jitter, seed=config.seed, name="time_jitter")(x, mask)
    x = layers.GaussianNoise(config.noise, seed=config.seed, name="noise")(x)
    x = layers.Concatenate(name="with_change")([x, AbsoluteDifference(_CHANGE_STEPS, name="change")(x, mask)])

    # Half the steps: as much is known, and the LSTM is the slow part.
    half_mask = layers.Flatten(name="half_mask")(layers.MaxPooling1D(2)(ops.expand_dims(mask, -1)))
    h = layers.SpatialDropout1D(0.6 * config.dropout, seed=config.seed, name="drop_features")(x)
    h = layers.AveragePooling1D(2, name="half")(h)
    lstm = layers.LSTM(
        config.lstm_units,
        return_sequences=True,
        recurrent_dropout=config.recurrent_dropout,
        kernel_regularizer=keras.regularizers.L2(_LSTM_L2),
    )
    h = layers.Bidirectional(lstm, name="lstm")(h, mask=ops.cast(half_mask, "bool"))
    h = MaskedPool(maximum=True, name="lstm_pool")(h, half_mask)
    h = layers.Dropout(config.dropout, seed=config.seed, name="drop_lstm")(h)
    recurrent = layers.Dense(config.class_count(), name="lstm_logits")(h)

    a = MaskedPool(_STRETCHES, name="thirds")(x, mask)
    a = layers.Dropout(config.dropout, seed=config.seed, name="drop_linear")(a)
    linear = layers.Dense(
        config.class_count(),
        kernel_initializer="zeros",
        kernel_regularizer=keras.regularizers.L2(_LINEAR_L2),
        name="linear_logits",
    )(a)
    return layers.Add(name="logits")([recurrent, linear])


_HEADS = {"last": _apply_last_head, "pooled": _apply_pooled_head}
