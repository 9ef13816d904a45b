"""Made videos, each one that some system can make something of, for whoever has none at hand. Loads no TensorFlow."""

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tfav.data import synthetic
from tfav.data.mnist import small_digits
from tfav.io.encoding import write_video

_FPS = 10
_CANVAS, _DIGIT = 64, 28  # pixels, as in Moving MNIST


def write_turning_shape(path: Path | str) -> Path:
    """A coloured shape that turns about a point: 20 frames of 96 x 96, one of the made classes."""
    with tempfile.TemporaryDirectory() as folder:
        made = synthetic.moving_shapes(folder, num_groups=1, clips_per_group=1, seed=5)
        return Path(shutil.copyfile(next(made.glob("turn_clockwise/*.mp4")), path))


def write_drifting_digits(path: Path | str) -> Path:
    """Two digits that drift and bounce over black: 10 frames of 64 x 64."""
    pictures = small_digits().test[[3, 8]]
    places = np.array([[4.0, 20.0], [30.0, 6.0]])  # of the corners, x and y in pixels
    steps = np.array([[2.9, 2.1], [-2.4, 2.7]])
    frames = []
    for _ in range(10):
        frame = np.zeros((_CANVAS, _CANVAS), np.uint8)
        for picture, (x, y) in zip(pictures, np.rint(places).astype(int), strict=True):
            part = frame[y : y + _DIGIT, x : x + _DIGIT]
            np.maximum(part, picture, out=part)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB))
        places += steps
        out = (places < 0) | (places > _CANVAS - _DIGIT)
        steps = np.where(out, -steps, steps)
        places = np.clip(places, 0, _CANVAS - _DIGIT)
    return write_video(path, np.stack(frames), _FPS)
