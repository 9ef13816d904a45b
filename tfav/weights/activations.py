"""Activations whose meaning changed between Keras 2 and Keras 3, under names of their own.

They are registered with Keras, so models that use them save and load; a program that opens such a `.keras` file
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
