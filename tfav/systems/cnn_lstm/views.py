"""What the extractor sees of a video: the frames as they are, and pictures of what moves in them."""

import cv2
import numpy as np

from tfav.errors import UsageError

# Videos are read evenly down to this many frames, so that an hour-long file costs the memory of a short one.
MAX_FRAMES = 512


def compute(frames: np.ndarray, indices: np.ndarray, names: tuple[str, ...], size: int) -> np.ndarray:
    """The chosen frames of a video in each of the named views.

    Args:
        frames: `[N, H, W, 3]` uint8 RGB, all frames or an even selection of them.
        indices: `[T]` int, the frames wanted.
        names: Names of `VIEWS`.
        size: Height and width of the result.

    Returns:
        `[V, T, size, size, 3]` uint8.
    """
    unknown = [name for name in names if name not in VIEWS]
    if unknown:
        raise UsageError(f"unknown view {unknown[0]!r}. Valid views: {', '.join(VIEWS)}.")
    return np.stack([VIEWS[name](frames, indices, size) for name in names])


def frame(frames: np.ndarray, indices: np.ndarray, size: int) -> np.ndarray:
    """The frames themselves, stretched to a square."""
    return np.stack([cv2.resize(frames[index], (size, size), interpolation=cv2.INTER_AREA) for index in indices])


VIEWS = {"frame": frame}
