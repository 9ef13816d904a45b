"""Batch normalisation by the mean over some batches: what it answers then, and that nothing stays of it."""

import keras
import numpy as np
import pytest

from tfav.layers import FusedBatchNormalization
from tfav.training.batch_statistics import current_statistics

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("layer", [keras.layers.BatchNormalization, FusedBatchNormalization])
def test_statistics_are_those_of_the_batches_and_go_again(layer):
    inputs = keras.Input((5, 5, 3))
    x = keras.layers.Dropout(0.5, seed=1)(layer(momentum=0.99, epsilon=1e-6, name="norm")(inputs))
    model = keras.Model(inputs, x)
    batches = [RNG.normal(7, 3, (8, 5, 5, 3)).astype("float32") for _ in range(4)]
    before = [np.asarray(variable) for variable in model.non_trainable_variables]
    clip = np.concatenate(batches)
    stale = np.asarray(model(clip, training=False))
    with current_statistics(model, batches):
        fresh = np.asarray(model(clip, training=False))
    expected = (clip - clip.mean((0, 1, 2))) / np.mean([batch.std((0, 1, 2)) ** 2 for batch in batches], axis=0) ** 0.5
    np.testing.assert_allclose(fresh, expected, atol=1e-3)
    np.testing.assert_array_equal(model(clip, training=False), stale)
    for variable, value in zip(model.non_trainable_variables, before, strict=True):  # dropout's random state among them
        np.testing.assert_array_equal(variable, value)
    assert model.get_layer("norm").momentum == 0.99 and len(before) > 2


def test_a_failure_leaves_nothing_changed():
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(name="norm")])
    with pytest.raises(RuntimeError, match="read"), current_statistics(model, [np.ones((4, 3), "float32")]):
        raise RuntimeError("a clip that cannot be read")
    assert model.get_layer("norm").momentum == 0.99
    assert not np.asarray(model.get_layer("norm").moving_mean).any()
