"""Layers over sequences of features `[B, T, D]` with a mask `[B, T]`, 1 where a step is real."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class AbsoluteDifference(keras.layers.Layer):
    """How much each feature has changed since `steps` steps ago: `|x[t] - x[t - steps]|`.

    The first steps, which have nothing before them, repeat the first change there is.

    Args:
        steps: How far to look back.
    """

    def __init__(self, steps: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, features, mask_of_steps):
        """`[B, T, D]` and `[B, T]` to `[B, T, D]`; a change from or to a padded step counts as none."""
        change = ops.abs(features[:, self.steps :] - features[:, : -self.steps])
        real = ops.cast(mask_of_steps, change.dtype)
        change = change * (real[:, self.steps :] * real[:, : -self.steps])[:, :, None]
        return ops.concatenate([ops.repeat(change[:, :1], self.steps, axis=1), change], axis=1)

    def get_config(self):
        """How far to look back."""
        return {**super().get_config(), "steps": self.steps}


@keras.saving.register_keras_serializable(package="tfav")
class MaskedPool(keras.layers.Layer):
    """Means over equal stretches of time, and optionally the maximum over all of it, of the real steps alone.

    Args:
        stretches: Number of stretches; each sequence is divided by its own length.
        maximum: Add the maximum over the whole sequence.
    """

    def __init__(self, stretches: int = 1, maximum: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.stretches = stretches
        self.maximum = maximum
        self.supports_masking = True  # it is told the mask; one that Keras attaches as well adds nothing

    def compute_mask(self, *_args, **_kwargs):
        """None: time is gone."""
        return None

    def call(self, features, mask_of_steps):
        """`[B, T, D]` and `[B, T]` to `[B, (stretches + maximum) * D]`."""
        real = ops.cast(mask_of_steps, features.dtype)
        length = ops.sum(real, axis=1, keepdims=True)
        position = (ops.cumsum(real, axis=1) - 0.5) / ops.maximum(length, 1.0)  # 0-1 along the real steps
        stretch = ops.floor(position * self.stretches)
        pooled = []
        for index in range(self.stretches):
            weight = real * ops.cast(ops.equal(stretch, index), features.dtype)
            total = ops.sum(features * weight[:, :, None], axis=1)
            pooled.append(total / ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1.0))
        if self.maximum:
            lowest = ops.cast(-1e4, features.dtype)
            pooled.append(ops.max(ops.where(real[:, :, None] > 0, features, lowest), axis=1))
        return ops.concatenate(pooled, axis=-1)

    def get_config(self):
        """The kind of pooling."""
        return {**super().get_config(), "stretches": self.stretches, "maximum": self.maximum}


@keras.saving.register_keras_serializable(package="tfav")
class TimeJitter(keras.layers.Layer):
    """In training, plays each sequence from a random start to a random end, at the speed that takes as many steps.

    Args:
        share: Largest share of the length cut at either end, 0-0.5.
        seed: Of the draws.
    """

    def __init__(self, share: float, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.share = share
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, features, mask_of_steps, training=None):
        """`[B, T, D]` and `[B, T]` to `[B, T, D]`; steps between two are blended."""
        if not training or not self.share:
            return features
        batch, steps = ops.shape(features)[0], features.shape[1]
        length = ops.sum(ops.cast(mask_of_steps, "float32"), axis=1, keepdims=True)
        cut = keras.random.uniform((batch, 2), 0, self.share, dtype="float32", seed=self.generator)
        first = cut[:, :1] * length
        last = ops.maximum(length - 1 - cut[:, 1:] * length, first)
        along = ops.arange(steps, dtype="float32")[None] / ops.maximum(length - 1, 1.0)
        place = ops.clip(first + (last - first) * along, 0.0, steps - 1.0)
        below = ops.clip(ops.floor(place), 0.0, steps - 2.0)
        blend = ops.cast(place - below, features.dtype)[:, :, None]
        index = ops.cast(below, "int32")[:, :, None]
        here = ops.take_along_axis(features, index, axis=1)
        there = ops.take_along_axis(features, index + 1, axis=1)
        return here * (1 - blend) + there * blend

    def get_config(self):
        """Strength and seed."""
        return {**super().get_config(), "share": self.share, "seed": self.seed}


@keras.saving.register_keras_serializable(package="tfav")
class SumToOne(keras.layers.Layer):
    """Divides by the sum over the last axis, so that products of probabilities are probabilities again."""

    def call(self, values):
        """`[..., K]`, 0 or more, to `[..., K]` with a sum of 1; all zeros become equal shares."""
        values = values + keras.config.epsilon()
        return values / ops.sum(values, axis=-1, keepdims=True)
