"""Windows slowed down or sped up: pictures and sound by one and the same line."""

import numpy as np
import pytest
import tensorflow as tf

from tfav.errors import UsageError
from tfav.systems.av_words.augment import augment_window, margin
from tfav.systems.av_words.config import Config

PLAIN = {"crop_jitter": False, "flip": False, "brightness": 0.0, "noise": ()}


@pytest.mark.parametrize(("speed", "shift"), [(0.07, 2), (0.2, 0), (0.0, 3)])
def test_flash_and_click_stay_together(speed, shift):
    config = Config.preset("demo", speed_perturb=speed, shift_frames=shift, **PLAIN)
    edge = margin(config)
    num_frames = 29 + 2 * edge
    frames, sound = np.zeros((num_frames, 24, 40, 1), np.uint8), np.zeros(19456 + 2 * edge * 640, np.int16)
    flashes = np.array([edge + 4, edge + 14, edge + 24])
    frames[flashes] = frames[flashes + 1] = 255  # one of the two is seen even when sped up
    for flash in flashes:
        sound[640 * flash : 640 * flash + 3] = 30000
    apply = augment_window(config, 640, None)
    speeds = set()
    for seed in range(30):
        inputs = {"frames": tf.constant(frames), "samples": tf.constant(sound), "own": tf.constant(-1)}
        given, _ = apply(inputs, tf.constant(0), tf.constant([seed, 1], tf.int64))
        loud = np.flatnonzero(given["waveform"] > 0.4 * np.max(given["waveform"]))
        heard = loud[np.diff(loud, prepend=-100) > 50] / 640
        seen = np.flatnonzero(given["frames"][:, 0, 0, 0] > 0)
        starts = seen[np.diff(seen, prepend=-9) > 1]
        assert len(heard) == len(starts) == 3
        assert np.abs(heard - starts).max() <= 0.5 / (1 - speed) + 0.02  # a picture is the nearest one
        if not speed:
            np.testing.assert_array_equal(heard, starts)
        speeds.add(round(20 / (heard[2] - heard[0]), 3))
    assert 1 - speed - 0.01 <= min(speeds) and max(speeds) <= 1 + speed + 0.01
    assert len(speeds) == 1 if not speed else max(speeds) - min(speeds) > speed


def test_a_speed_that_cannot_be():
    with pytest.raises(UsageError, match=r"below 0\.5. Received: speed_perturb=0\.5"):
        Config.preset("cpu", speed_perturb=0.5)
