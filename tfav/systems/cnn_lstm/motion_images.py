"""What the backbone sees of a video: the frames as they are, or pictures of what moves in them.

A network trained on photographs also tells apart pictures of motion. They leave out the place: walls, light and clothes
are gone, which is what carries a classifier from one room to another.
"""

import functools
from collections.abc import Callable

import cv2
import numpy as np

from tfav.errors import UsageError

HEIGHT = 240  # videos are kept at this height at most while views are made of them
MAX_FRAMES = 512  # and down to this many frames, evenly, so that an hour-long file costs the memory of a short one
_GREY_HEIGHT = 160  # motion is measured on a smaller grey copy
_NOISE = 8  # grey levels of change that are taken for noise of the camera
_STRONG_CHANGE = 2.0  # gain that makes usual motion fill the range


class Video:
    """Frames of one video, and what several views need of them, computed once.

    Args:
        frames: `[N, H, W, 3]` uint8 RGB in order of time.
        interval_sec: Time from one to the next.
    """

    def __init__(self, frames: np.ndarray, interval_sec: float = 1 / 30):
        self.frames = frames
        self.interval_sec = interval_sec

    @functools.cached_property
    def grey(self) -> np.ndarray:
        """`[N, h, w]` float32, 0-255, slightly smoothed."""
        scale = _GREY_HEIGHT / self.frames.shape[1]
        small = (cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in self.frames)
        return np.stack([cv2.GaussianBlur(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (0, 0), 1) for f in small]).astype("f")

    @functools.cached_property
    def background(self) -> np.ndarray:
        """`[h, w]` float32: the median over time, what stands still."""
        return np.median(self.grey[:: max(1, len(self.grey) // 40)], axis=0)

    @functools.cached_property
    def moving_square(self) -> tuple[float, float, float]:
        """Left, top and side of a square around nearly all motion of the video, on the grey copy."""
        energy = np.zeros(self.grey.shape[1:], np.float32)
        for index in range(2, len(self.grey)):
            energy += np.maximum(np.abs(self.grey[index] - self.grey[index - 2]) - _NOISE, 0)
        energy = cv2.GaussianBlur(energy, (0, 0), 3)
        if energy.sum() <= 0:
            energy += 1  # nothing moves: the whole picture
        edges = []
        for axis in (0, 1):
            share = np.cumsum(energy.sum(axis))
            share /= share[-1]
            edges.append((np.searchsorted(share, 0.02), np.searchsorted(share, 0.98) + 1))
        (left, right), (top, bottom) = edges
        side = 1.2 * max(right - left, bottom - top)
        return (left + right - side) / 2, (top + bottom - side) / 2, side

    def grey_at(self, index: int, offset_sec: float = 0.0) -> np.ndarray:
        """The grey frame so many seconds from frame `index`, the first or the last one beyond the ends."""
        steps = round(offset_sec / self.interval_sec)
        if offset_sec and not steps:
            steps = 1 if offset_sec > 0 else -1
        return self.grey[np.clip(index + steps, 0, len(self.grey) - 1)]


def compute(video: Video, indices: np.ndarray, names: tuple[str, ...], size: int) -> np.ndarray:
    """The chosen frames of a video in each of the named views, `[V, T, size, size, 3]` uint8.

    Args:
        video: The video.
        indices: `[T]` int, numbers of the frames wanted.
        names: Names of `VIEWS`.
        size: Height and width of the result.
    """
    return np.stack([[VIEWS[name](video, int(index), size) for index in indices] for name in names])


def frame(video: Video, index: int, size: int) -> np.ndarray:
    """The frame itself, stretched to a square."""
    return cv2.resize(video.frames[index], (size, size), interpolation=cv2.INTER_AREA)


def change(video: Video, index: int, size: int) -> np.ndarray:
    """The size of three changes as colours: since 0.07 s ago, since 0.23 s ago, against what stands still."""
    now = video.grey_at(index)
    channels = (
        3.0 * np.abs(now - video.grey_at(index, -2 / 30)),
        2.5 * np.abs(now - video.grey_at(index, -7 / 30)),
        _STRONG_CHANGE * np.abs(now - video.background),
    )
    return cv2.resize(_to_uint8(channels), (size, size), interpolation=cv2.INTER_AREA)


def signed_change_crop(video: Video, index: int, size: int) -> np.ndarray:
    """Three changes with their sign as colours, grey where there is none, cut to the square in which all motion lies.

    From 0.1 s ago to now, from now to 0.1 s ahead, and against what stands still.
    """
    now = video.grey_at(index)
    changes = (now - video.grey_at(index, -0.1), video.grey_at(index, 0.1) - now, now - video.background)
    picture = _to_uint8([128 + _STRONG_CHANGE * c for c in changes])
    left, top, side = video.moving_square
    scale = size / side
    transform = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float32)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (128, 128, 128)}
    return cv2.warpAffine(picture, transform, (size, size), flags=how, **border)


def check(names: tuple[str, ...]) -> None:
    """Refuses names that are no views.

    Raises:
        UsageError: Listing those there are.
    """
    for name in names:
        if name not in VIEWS:
            raise UsageError(f"unknown view {name!r}. Valid views: {', '.join(VIEWS)}.")
    if not names:
        raise UsageError(f"views must name at least one of: {', '.join(VIEWS)}.")


def _to_uint8(channels) -> np.ndarray:
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


VIEWS: dict[str, Callable] = {"frame": frame, "change": change, "signed_change_crop": signed_change_crop}
