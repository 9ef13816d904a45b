"""The rollout equals feeding the growing sequence to the model anew; frames it refuses."""

import keras
import numpy as np
import pytest

from tests.systems.next_frame.test_model import frames_of, small
from tfav.errors import TfavError, UsageError
from tfav.systems.next_frame import Config, build_model, predict_next


def stir(model):
    """Trained weights are not zeros, and statistics not 0 and 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "var" in weight.name:
            weight.assign(rng.uniform(0.5, 2, weight.shape))
        elif "seed" not in weight.name and "share" not in weight.name:
            weight.assign(weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return model


def growing(model, frames, num_frames):
    """The slow way: the whole sequence again for each new frame."""
    known = frames
    for _ in range(num_frames):
        known = np.concatenate([known, model.predict(known, verbose=0)[:, -1:]], axis=1)
    return known[:, frames.shape[1] :]


@pytest.mark.parametrize("seen", [1, 2, 5])
def test_notebook_rollout_equals_the_growing_sequence(seen):
    config = small("notebook", filters=(4, 5, 6), kernel_sizes=(5, 3, 1))
    model = stir(build_model(config))
    frames = frames_of(config, seen)
    expected = growing(model, frames, 6)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(predict_next(model, frames, 6), expected, atol=1e-5)


@pytest.mark.slow
def test_full_notebook_rollout_equals_the_growing_sequence():
    model = stir(build_model(Config.preset("notebook")))
    frames = frames_of(Config.preset("notebook"), 10, batch=1)
    np.testing.assert_allclose(predict_next(model, frames, 10), growing(model, frames, 10), atol=1e-5)


def test_forecaster_rollout_is_the_forecast_and_goes_on():
    config = small("forecaster", channels=3)
    model = stir(build_model(config))
    frames = frames_of(config, 4, batch=5)
    forecast = model.predict(frames, verbose=0)[:, 3:]
    long = predict_next(model, frames, 8, batch_size=2)
    assert long.shape == (5, 8, 16, 16, 3)
    np.testing.assert_allclose(long[:, :3], forecast, atol=1e-5)
    np.testing.assert_allclose(predict_next(model, frames, 2), long[:, :2], atol=1e-5)


def test_rollout_follows_the_weights():
    config = small("notebook")
    model = build_model(config)
    frames = frames_of(config, 3)
    before = predict_next(model, frames, 2)
    stir(model)
    assert np.abs(predict_next(model, frames, 2) - before).max() > 1e-3


FRAMES = np.full((1, 4, 16, 16, 1), 0.5, np.float32)


@pytest.mark.parametrize(
    ("frames", "num_frames", "message"),
    [
        (FRAMES, 0, "Ask for 1 frame or more. Received: 0"),
        (FRAMES[:, :3], 2, "looks at 4 frames and goes on from there. Received: 3"),
        (FRAMES[:, :, :8], 2, "trained on frames of 16 x 16 x 1; resize these. Received: 8 x 16 x 1"),
        (FRAMES * np.nan, 2, "not finite numbers"),
        (FRAMES * 510, 2, "must be 0-1; are these 0-255"),
        (FRAMES - 1, 2, "must be 0-1"),
        (FRAMES.astype(np.uint8), 2, "divide uint8 by 255"),
        (FRAMES[0], 2, r"must be \[B, T, H, W, C\]"),
        (FRAMES[:0], 2, "one or more of each"),
    ],
)
def test_frames_it_refuses(frames, num_frames, message):
    with pytest.raises(UsageError, match=message):
        predict_next(build_model(small("forecaster")), frames, num_frames)


def test_models_of_another_make():
    other = keras.Sequential([keras.Input((None, 16, 16, 1)), keras.layers.Dense(1)], name="other")
    with pytest.raises(TfavError, match="no rollout for a model named 'other'"):
        predict_next(other, FRAMES, 1)
