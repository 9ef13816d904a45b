"""Layers of this system: over clips `[B, T, H, W, C]` and over sequences `[B, T, D]`.

A mask `[B, T]` is 1 where a step is real.
"""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class PerFrame(keras.layers.Layer):
    """Applies one model to every frame of a clip, all frames in one batch.

    Does what `keras.layers.TimeDistributed` does. That maps the frames one after the other through a loop, which a CPU
    pays for with most of its threads idle; here `[B, T, ...]` is folded into `[B * T, ...]`, so that the model sees one
    large batch. Batch normalisation in training sees the statistics of all frames together.

    Args:
        model: A `keras.Model` or layer for one frame, `[N, H, W, C] -> [N, ...]`.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model

    def build(self, input_shape):
        """Builds the inner model for one frame."""
        if not self.model.built:
            self.model.build((None, *input_shape[2:]))
        self.built = True

    def call(self, clip, training=None):
        """`[B, T, H, W, C] -> [B, T, ...]`."""
        batch, time = ops.shape(clip)[0], ops.shape(clip)[1]
        frames = ops.reshape(clip, (-1, *clip.shape[2:]))
        out = self.model(frames, training=training)
        return ops.reshape(out, (batch, time, *out.shape[1:]))

    def compute_output_shape(self, input_shape):
        """`(B, T, H, W, C) -> (B, T, ...)`."""
        inner = self.model.compute_output_shape((None, *input_shape[2:]))
        return (*input_shape[:2], *inner[1:])

    def get_config(self):
        """The inner model along with the layer's own settings."""
        return {**super().get_config(), "model": keras.saving.serialize_keras_object(self.model)}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the inner model."""
        return cls(model=keras.saving.deserialize_keras_object(config.pop("model")), **config)


@keras.saving.register_keras_serializable(package="tfav")
class SubtractClipMean(keras.layers.Layer):
    """Takes each clip's mean frame off all of its frames: what stands still vanishes, what moves is left.

    Has no weights. Padded frames neither count in the mean nor change: they stay as they are.
    """

    def call(self, clip, mask):
        """`clip` `[B, T, H, W, C]` of any dtype and `mask` `[B, T]`, 1 where a frame is real, to a float clip."""
        real = ops.cast(mask, self.compute_dtype)[:, :, None, None, None]
        clip = ops.cast(clip, self.compute_dtype)
        count = ops.maximum(ops.sum(real, axis=1, keepdims=True), 1.0)
        return clip - real * (ops.sum(clip * real, axis=1, keepdims=True) / count)


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


@keras.saving.register_keras_serializable(package="tfav")
class SharedTarget(keras.Model):
    """A functional model of several outputs that are all classes of one target, for which `class_weight` works.

    Keras knows class weights for models of one output only. Here they become the weight of each example: that of its
    class, or of a mixed target the mean of its classes' by their shares.
    """

    def fit(self, x=None, y=None, *args, class_weight: Mapping[int, float] | None = None, **options):
        """As `keras.Model.fit`.

        Args:
            x: As there.
            y: As there; a dict with the same one-hot target `[B, num_classes]` for each output.
            *args: As there.
            class_weight: From a class's number to its weight; 1 where it is not named.
            **options: As there.
        """
        if not class_weight:
            return super().fit(x, y, *args, **options)
        if isinstance(x, tf.data.Dataset):
            x = x.map(lambda inputs, target, weight=1.0: (inputs, target, weight * weigh(target, class_weight)))
        else:
            given = options.pop("sample_weight", None)
            weight = np.asarray(weigh(y, class_weight))
            options["sample_weight"] = weight if given is None else weight * np.asarray(given)
        return super().fit(x, y, *args, **options)


def weigh(target: Mapping, class_weight: Mapping[int, float]) -> tf.Tensor:
    """The weight of each example of a dict of one-hot, perhaps mixed, targets, `[B]` float32."""
    one_hot = tf.cast(next(iter(target.values())), tf.float32)
    weights = [float(class_weight.get(number, 1.0)) for number in range(one_hot.shape[-1])]
    return tf.linalg.matvec(one_hot, weights)
