"""Our ConvLSTM2D against Keras' own."""

import keras
import numpy as np
import pytest

from tfav.systems.next_frame.conv_lstm import ConvLSTM2D

FRAMES = np.random.default_rng(0).normal(size=(2, 4, 6, 5, 2)).astype("float32")


def twins(**settings):
    """A model of Keras' layer and one of ours with the same weights, none of them zero."""
    models = []
    for kind in (keras.layers.ConvLSTM2D, ConvLSTM2D):
        frames = keras.Input((None, 6, 5, 2))
        models.append(keras.Model(frames, kind(3, 3, name="lstm", **{"padding": "same", **settings})(frames)))
    theirs, ours = models
    rng = np.random.default_rng(1)
    theirs.set_weights([rng.normal(0, 0.3, weight.shape) for weight in theirs.get_weights()])
    assert [weight.path for weight in theirs.weights] == [weight.path for weight in ours.weights]
    ours.set_weights(theirs.get_weights())
    return models


@pytest.mark.parametrize(
    "settings",
    [
        {"return_sequences": True, "activation": "relu"},
        {"return_sequences": False},
        {"return_sequences": True, "use_bias": False, "recurrent_activation": "hard_sigmoid"},
        {"return_sequences": True, "padding": "valid", "strides": 2},  # left to Keras
        {"return_sequences": True, "go_backwards": True},
    ],
)
def test_gives_what_keras_gives(settings):
    theirs, ours = twins(**settings)
    np.testing.assert_allclose(ours(FRAMES), theirs(FRAMES), atol=1e-6)


def test_gradients_are_those_of_keras():
    moved = []
    for model in twins(return_sequences=True, activation="relu"):
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        model.train_on_batch(FRAMES, np.ones((2, 4, 6, 5, 3), "float32"))
        moved.append(model.get_weights())
    for theirs, ours in zip(*moved, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_saved_model_opens_again(tmp_path):
    _, ours = twins(return_sequences=True)
    ours.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(FRAMES), ours(FRAMES))
