"""Shared layers: equal to Keras' own, and saved with their settings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav import layers


def test_a_gru_loaded_again_and_again_keeps_its_own_layers(tmp_path):
    """Keras mistakes a dead layer's address for the layer; without care one load in eight fails or shares weights."""
    frames = x = keras.Input((5, 3))
    for number in range(4):
        x = layers.BidirectionalGRU(2, name=f"gru_{number}")(x)
    keras.Model(frames, x).save(tmp_path / "model.keras")
    for _ in range(40):
        model = keras.models.load_model(tmp_path / "model.keras")
        inner = [layer for both in model.layers[1:] for layer in (both.forward_layer, both.backward_layer)]
        assert len({id(layer) for layer in inner}) == 8


@pytest.mark.parametrize("rank", [1, 2])
def test_shortcut_takes_every_other_place(rank):
    x = keras.Input((7, 10, 3)[-rank - 1 :])
    block = layers.residual_block(x, rank, 4, 2, "block", lambda x, name: x)
    model = keras.Model(x, block)
    clip = np.random.default_rng(0).normal(size=(2, *x.shape[1:])).astype("f")
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    model.get_layer("block.conv2").set_weights([np.zeros_like(weights["block.conv2"][0])])
    places = clip[(slice(None), *[slice(None, None, 2)] * rank)]
    kernel = weights["block.downsample.0"][0].reshape(3, 4)
    np.testing.assert_allclose(model(clip), np.maximum(places @ kernel, 0), atol=1e-5)


# Four channels, and the sixteen that oneDNN takes at once.
@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4), (2, 3, 5, 4), (2, 3, 3, 5, 4), (2, 3, 5, 16), (3, 5, 16)])
@pytest.mark.parametrize(("dtype", "atol"), [("float32", 2e-6), ("mixed_bfloat16", 2e-2)])
def test_batch_normalization_is_keras_own(shape, dtype, atol):
    rng = np.random.default_rng(0)
    both = [
        kind(momentum=0.8, dtype=dtype) for kind in (layers.FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    start = [np.array(rng.uniform(0.5, 1.5, shape[-1]), "f") for _ in range(4)]
    for layer in both:
        layer.build(shape)
        layer.set_weights(start)

    def step(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            out = layer(x, training=True)
            value = tf.reduce_sum(tf.cast(out, tf.float32) ** 3)
        return [out, *tape.gradient(value, [x, *layer.trainable_variables])]

    for _ in range(3):
        x = tf.cast(tf.constant(rng.normal(2, 3, shape), tf.float32), both[0].compute_dtype)
        ours, theirs = (tf.function(step)(layer, x) for layer in both)
        assert ours[0].dtype == theirs[0].dtype
        for a, b in zip(ours, theirs, strict=True):
            a, b = np.asarray(tf.cast(a, tf.float32)), np.asarray(tf.cast(b, tf.float32))
            np.testing.assert_allclose(a, b, atol=atol * max(1, np.abs(b).max()))
    for a, b in zip(both[0].get_weights(), both[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert np.abs(both[0].get_weights()[2] - start[2]).max() > 0.1  # the statistics have moved
    np.testing.assert_allclose(*(tf.cast(layer(x), tf.float32) for layer in both), atol=1e-6)
