"""What Keras 3 has under the same name with another meaning: an activation, and two modes of batch normalisation.

Both are registered with Keras, so models that use them save and load; a program that opens such a `.keras` file
imports this module first.
"""

import keras


@keras.saving.register_keras_serializable(package="tfav")
def legacy_hard_sigmoid(x):
    """`clip(0.2 x + 0.5, 0, 1)`, the hard sigmoid of Keras 1 and 2; Keras 3's has slope 1/6.

    Args:
        x: Tensor of any shape, float.

    Returns:
        Tensor of the same shape and dtype, 0-1.
    """
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="tfav")
class LegacyBatchNormalization(keras.layers.BatchNormalization):
    """Keras 1's `BatchNormalization(mode=1)` or `(mode=2)`, which never use the moving statistics.

    Args:
        mode: 1 normalises each sample over its last axis; 2 normalises each feature over the batch at hand, in
            training and in inference alike.
        **kwargs: As for `keras.layers.BatchNormalization`.
    """

    def __init__(self, mode=2, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, inputs, training=None, mask=None):
        """Float tensor of any rank -> the same shape, normalised."""
        axis = self.axis % len(inputs.shape)
        if self.mode == 1:
            mean = keras.ops.mean(inputs, axis=-1, keepdims=True)
            deviation = keras.ops.sqrt(keras.ops.var(inputs, axis=-1, keepdims=True) + self.epsilon) + self.epsilon
        else:
            others = [a for a in range(len(inputs.shape)) if a != axis]
            mean = keras.ops.mean(inputs, axis=others, keepdims=True)
            deviation = keras.ops.sqrt(keras.ops.var(inputs, axis=others, keepdims=True) + self.epsilon)
        shape = [1] * len(inputs.shape)
        shape[axis] = inputs.shape[axis]
        outputs = (inputs - mean) / deviation
        if self.scale:
            outputs = outputs * keras.ops.reshape(keras.ops.cast(self.gamma, inputs.dtype), shape)
        if self.center:
            outputs = outputs + keras.ops.reshape(keras.ops.cast(self.beta, inputs.dtype), shape)
        return outputs

    def get_config(self):
        """As of BatchNormalization, with the mode."""
        return {**super().get_config(), "mode": self.mode}
