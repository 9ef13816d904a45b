"""Perceptual scores of predicted frames, by scikit-video: closer to what people see than squared errors are.

Conventions: `truth` and `prediction` are `[N, T, H, W, C]` float, 0-1, as in `tfav.metrics.frame_quality`. Both are
scored as grey frames of 8 bits. Both look at five octaves, and scikit-video takes frames from 176 pixels on: smaller
ones are enlarged by a whole factor, each pixel repeated.

ms_ssim     Multi-scale structural similarity of each frame, 1 for equal ones.
st_rred     Spatio-temporal reduced-reference entropic difference of each sequence, over pairs of frames, 0 for equal
            ones. It has no upper bound.

Reference:
    Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
    R. Soundararajan and A. C. Bovik, "Video quality assessment by reduced reference spatio-temporal entropic
    differencing", 2013.
"""

import warnings

import cv2
import numpy as np

from tfav.errors import UsageError
from tfav.metrics.frame_quality import validate
from tfav.old_packages import import_skvideo

NAMES = ("ms_ssim", "st_rred")
_MIN_SIDE = 176


def per_sequence(truth: np.ndarray, prediction: np.ndarray) -> dict[str, np.ndarray]:
    """Both scores of every sequence; about 0.15 s for each frame.

    Returns:
        `ms_ssim`, the mean over a sequence's frames, and `st_rred`, each `[N]` float64.

    Raises:
        UsageError: As in `frame_quality.validate`, or sequences of one frame.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    validate(truth, prediction)
    if truth.shape[1] < 2:
        raise UsageError(f"perceptual scores compare two frames or more in a row. Received: {truth.shape[1]}")
    measure = import_skvideo("measure")
    rows = []
    for pair in zip(truth, prediction, strict=True):
        grey = [_grey_frames(frames) for frames in pair]
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            warnings.simplefilter("ignore")  # of scikit-video's own code
            # Not a number where structures are opposite: the power of a negative similarity.
            similarity = np.nan_to_num(measure.msssim(*grey), nan=0.0)
            rows.append((similarity.mean(), measure.strred(*grey)[1]))
    return {name: np.array(column, np.float64) for name, column in zip(NAMES, zip(*rows, strict=True), strict=True)}


def _grey_frames(frames: np.ndarray) -> np.ndarray:
    """`[T, H, W, C]` float to `[T, H, W, 1]` uint8, large enough."""
    pixels = np.rint(np.clip(frames, 0, 1) * 255).astype(np.uint8)
    if pixels.shape[-1] == 3:
        pixels = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pixels])[..., None]
    factor = max(1, -(-_MIN_SIDE // min(pixels.shape[1:3])))
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)
