"""Layers over clips and sequences: equal to the plain computation, blind to padding, saved with their settings."""

import keras
import numpy as np
import pytest

from tfav.systems.cnn_lstm.feature_pca import AbsoluteDifference, PrincipalComponents
from tfav.systems.cnn_lstm.layers import MaskedPool, PerFrame, SubtractClipMean, TimeJitter


def test_per_frame_is_time_distributed():
    frame_model = keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    clip = np.random.default_rng(0).normal(size=(2, 5, 6, 6, 3)).astype("f")
    ours = PerFrame(frame_model)(clip)
    reference = keras.layers.TimeDistributed(frame_model)(clip)
    np.testing.assert_allclose(ours, reference, atol=1e-6)


def test_subtract_clip_mean_counts_real_frames_only():
    clip = np.arange(4, dtype="f").reshape(1, 4, 1, 1, 1)
    out = SubtractClipMean()(clip, np.array([[1, 1, 0, 0]], "f"))
    assert np.ravel(out).tolist() == [-0.5, 0.5, 2, 3]


def test_absolute_difference():
    x = np.array([[[1.0], [4.0], [2.0], [9.0]]], "f")
    out = AbsoluteDifference(2)(x, np.ones((1, 4), "f"))
    assert np.ravel(out).tolist() == [1, 1, 1, 5]
    masked = AbsoluteDifference(2)(x, np.array([[1, 1, 1, 0]], "f"))
    assert np.ravel(masked).tolist() == [1, 1, 1, 0]


def test_masked_pool_divides_each_sequence_by_its_own_length():
    x = np.array([[[1.0], [3.0], [5.0], [7.0]], [[2.0], [4.0], [100.0], [100.0]]], "f")
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], "f")
    out = MaskedPool(2, maximum=True)(x, mask)
    assert np.asarray(out).tolist() == [[2, 6, 7], [2, 4, 4]]


def test_time_jitter_only_in_training_and_within_the_real_frames():
    x = np.tile(np.arange(8, dtype="f")[None, :, None], (64, 1, 1))
    mask = np.ones((64, 8), "f")
    mask[:, 6:] = 0
    jitter = TimeJitter(0.2)
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
    layer = PrincipalComponents(2, groups=2, whiten=whiten)
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


def test_principal_components_stay_as_fitted_in_a_model_that_is_thawed():
    model = keras.Sequential([keras.Input((8,)), PrincipalComponents(2), keras.layers.Dense(1, use_bias=False)])
    model.trainable = False
    model.trainable = True
    assert [tuple(weight.shape) for weight in model.trainable_weights] == [(2, 1)]


def test_principal_components_needs_enough_rows():
    layer = PrincipalComponents(5)
    layer.build((None, 8))
    with pytest.raises(ValueError, match="as many rows"):
        layer.adapt(np.zeros((3, 8)))


@pytest.mark.parametrize(
    "layer",
    [
        AbsoluteDifference(3),
        MaskedPool(2, maximum=True),
        TimeJitter(0.1, seed=4),
        PrincipalComponents(2, groups=3, whiten=0.5),
        SubtractClipMean(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_settings_survive_serialisation(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
