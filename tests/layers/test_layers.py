"""Shared layers: equal to the plain computation, blind to padding, and saved with their settings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav import layers


def test_per_frame_is_time_distributed():
    frame_model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    clip = np.random.default_rng(0).normal(size=(2, 5, 6, 6, 3)).astype("f")
    ours = layers.PerFrame(frame_model)(clip)
    reference = keras.layers.TimeDistributed(frame_model)(clip)
    np.testing.assert_allclose(ours, reference, atol=1e-6)


def test_subtract_clip_mean_counts_real_frames_only():
    clip = np.arange(4, dtype="f").reshape(1, 4, 1, 1, 1)
    out = layers.SubtractClipMean()(clip, np.array([[1, 1, 0, 0]], "f"))
    assert np.ravel(out).tolist() == [-0.5, 0.5, 2, 3]


def test_absolute_difference():
    x = np.array([[[1.0], [4.0], [2.0], [9.0]]], "f")
    out = layers.AbsoluteDifference(2)(x, np.ones((1, 4), "f"))
    assert np.ravel(out).tolist() == [1, 1, 1, 5]
    masked = layers.AbsoluteDifference(2)(x, np.array([[1, 1, 1, 0]], "f"))
    assert np.ravel(masked).tolist() == [1, 1, 1, 0]


def test_masked_pool_divides_each_sequence_by_its_own_length():
    x = np.array([[[1.0], [3.0], [5.0], [7.0]], [[2.0], [4.0], [100.0], [100.0]]], "f")
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], "f")
    out = layers.MaskedPool(2, maximum=True)(x, mask)
    assert np.asarray(out).tolist() == [[2, 6, 7], [2, 4, 4]]


def test_time_jitter_only_in_training_and_within_the_real_frames():
    x = np.tile(np.arange(8, dtype="f")[None, :, None], (64, 1, 1))
    mask = np.ones((64, 8), "f")
    mask[:, 6:] = 0
    jitter = layers.TimeJitter(0.2)
    assert np.array_equal(jitter(x, mask, training=False), x)
    out = np.asarray(jitter(x, mask, training=True))[:, :6, 0]
    assert (np.diff(out) >= 0).all() and out.min() >= 0 and out.max() <= 5
    assert 0 < out[:, 0].max() <= 0.2 * 6 + 1e-5
    assert len(np.unique(out[:, 0])) > 30  # each clip has a draw of its own


@pytest.mark.parametrize("whiten", [0.0, 0.5, 1.0])
def test_principal_components(whiten):
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(400, 2)) * [5, 1]
    rows = np.concatenate([sources @ rng.normal(size=(2, 10)) + 3, rng.normal(size=(400, 10))], axis=1)
    layer = layers.PrincipalComponents(2, groups=2, whiten=whiten)
    layer.build((None, 20))
    layer.adapt(rows)
    out = np.asarray(layer(rows.astype("f")))
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose((out.reshape(-1, 2, 2) ** 2).mean((0, 2)), 1, rtol=1e-3)
    # Ten numbers of the first group come from two sources, so its two components hold all there is.
    first = out[:, :2]
    rebuilt = first @ np.linalg.lstsq(first, rows[:, :10] - rows[:, :10].mean(0), rcond=None)[0]
    assert np.abs(rebuilt - (rows[:, :10] - rows[:, :10].mean(0))).max() < 0.05
    spread = first.std(0)
    assert spread[0] / spread[1] == pytest.approx(1, rel=0.01) if whiten == 1 else spread[0] > spread[1] * 1.05


def test_principal_components_needs_enough_rows():
    layer = layers.PrincipalComponents(5)
    layer.build((None, 8))
    with pytest.raises(ValueError, match="as many rows"):
        layer.adapt(np.zeros((3, 8)))


@pytest.mark.parametrize(
    "layer",
    [
        layers.AbsoluteDifference(3),
        layers.MaskedPool(2, maximum=True),
        layers.TimeJitter(0.1, seed=4),
        layers.PrincipalComponents(2, groups=3, whiten=0.5),
        layers.SubtractClipMean(),
        layers.StemConv3D(4, (3, 5, 5), activation="relu"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_settings_survive_serialisation(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()


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


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5, 7, (5, 3, 9), (3, 1, 6)])
@pytest.mark.parametrize("shape", [(2, 6, 8, 12, 1), (1, 4, 6, 10, 3), (2, 3, 7, 10, 1)])
def test_stem_is_keras_convolution(kernel_size, shape):
    rng = np.random.default_rng(0)
    options = {"activation": "tanh", "bias_initializer": "normal"}
    ours = layers.StemConv3D(5, kernel_size, **options)
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
        layers.StemConv3D(5, 3, strides=1)


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
    both = [kind(momentum=0.8, dtype=dtype) for kind in (layers.BatchNormalization, keras.layers.BatchNormalization)]
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
