"""The first convolution: Keras' own, by another way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.systems.lipnet.model import StemConv3D


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 7, (5, 3, 9), (3, 1, 6)])
@pytest.mark.parametrize("shape", [(2, 6, 8, 12, 1), (1, 4, 6, 10, 3), (2, 3, 7, 10, 1)])
def test_stem_is_keras_convolution(kernel_size, shape):
    rng = np.random.default_rng(0)
    options = {"activation": "tanh", "bias_initializer": "normal"}
    ours = StemConv3D(5, kernel_size, **options)
    theirs = keras.layers.Conv3D(5, kernel_size, (1, 2, 2), "same", **options)
    for layer in (ours, theirs):
        layer.build(shape)
    theirs.set_weights(ours.get_weights())

    def step(layer, x, **training):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x, **training)
            value = tf.reduce_sum(out**3)
        return [out, *tape.gradient(value, [x, *layer.trainable_variables])]

    x = tf.constant(rng.normal(size=shape), tf.float32)
    expected = step(theirs, x)
    for training in (True, False):
        for a, b in zip(step(ours, x, training=training), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()))


def test_stem_refuses_other_strides():
    with pytest.raises(TypeError, match="strides"):
        StemConv3D(5, 3, strides=1)


def test_stem_keeps_its_settings():
    layer = StemConv3D(4, (3, 5, 5), activation="relu")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
