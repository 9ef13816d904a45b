"""A model per frame."""

import keras
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
