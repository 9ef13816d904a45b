"""Batch normalisation whose training step is one pass over the batch on a CPU."""

import keras
import tensorflow as tf

_BLOCK = 16  # channels


@keras.saving.register_keras_serializable(package="tfav")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, with its weights and its result.

    In training Keras puts it together from elementary operations, each of which, and its gradient, goes over the whole
    batch anew: on a CPU more work than the convolution before it. Here it is TensorFlow's fused one. On a GPU, and for
    masks, other axes, renormalisation or statistics shared among replicas, it is just Keras'.
    """

    def call(self, inputs, training=None, mask=None):
        """`[..., C]` to the same shape, in the layer's precision; statistics are float32."""
        fused = training and self.trainable and mask is None and self.scale and self.center
        renorm = getattr(self, "renorm", False)  # only newer Keras has it
        fused = fused and self.axis in (-1, len(inputs.shape) - 1) and not (renorm or self.synchronized)
        if not fused or tf.config.list_physical_devices("GPU"):
            return super().call(inputs, training=training, mask=mask)
        # oneDNN is slower in bfloat16 than in float32, up to twenty times, unless it can take whole blocks of channels.
        is_whole = self.compute_dtype == "bfloat16" and inputs.shape[-1] % _BLOCK == 0
        values = tf.cast(inputs, tf.bfloat16 if is_whole else tf.float32)
        values = values if len(inputs.shape) == 4 else tf.reshape(values, (-1, 1, 1, inputs.shape[-1]))
        scaled, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=values,
            scale=tf.cast(self.gamma, tf.float32),
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # It gives the variance of the population that the batch is drawn from; Keras keeps the batch's own.
        count = tf.cast(tf.size(values) // inputs.shape[-1], tf.float32)
        for kept, new in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            kept.assign(kept * self.momentum + new * (1 - self.momentum))
        return tf.reshape(tf.cast(scaled, self.compute_dtype), tf.shape(inputs))
