"""In which frames somebody speaks. Loads no TensorFlow."""

import numpy as np
from scipy import ndimage

_SMOOTHED_FRAMES = 2.0  # of what moves and sounds, before speech is told from silence
_ACTIVE = 0.25  # of the way from the quiet frames to the loud ones


def active_frames(frames: np.ndarray, sound: np.ndarray | None = None) -> np.ndarray:
    """In which frames somebody speaks, by the sound if there is any, else by what moves.

    Args:
        frames: `[T, H, W, 1]` of a mouth.
        sound: `[S]` of the same moments, or None.

    Returns:
        `[T]` bool, True somewhere.
    """
    count = len(frames)
    if sound is not None and len(sound) >= count and np.any(sound):
        parts = np.array_split(np.asarray(sound, np.float64), count)
        level = np.log(1e-3 + np.array([np.sqrt(np.mean(part**2)) for part in parts]))
    else:
        level = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
        level = np.concatenate([level[:1], level]) if count > 1 else np.zeros(count)
    level = ndimage.gaussian_filter1d(level.astype(np.float64), _SMOOTHED_FRAMES)
    quiet, loud = np.percentile(level, (5, 95))
    active = level >= quiet + _ACTIVE * (loud - quiet)
    return active if active.any() else np.ones(count, bool)
