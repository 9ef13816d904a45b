"""Which frames of a video: pure arithmetic on frame counts and timestamps, no files."""

import numpy as np

from tfav.errors import DataError, UsageError

MIN_EVERY_SEC = 0.001  # finer than any camera; a typo such as 1e-9 would otherwise ask for a billion frames
_MAX_REPEATS = 100  # moments for each frame, on average; beyond 10,000 moments more can only be broken timestamps
_TICK_SEC = 1e-6  # timestamps are equal below this: containers round to 1 ms at best, floats to far less


def indices_evenly(num_frames: int, n: int) -> np.ndarray:
    """Choose `n` frames evenly spaced over the whole length, first and last included.

    Frame `i` of `n` is the one nearest to `i * (num_frames - 1) / (n - 1)`, the later one where two are equally near;
    a single frame is the middle one. No frame is chosen twice: a video of fewer than `n` frames gives all it has, and
    padding is left to whoever builds the batch.

    Args:
        num_frames: How many frames the video has, 1 or more.
        n: How many to choose, 1 or more.

    Returns:
        `[min(n, num_frames)]` int64, strictly increasing, in 0..num_frames-1.

    Raises:
        UsageError: A count below 1.
    """
    if n < 1 or num_frames < 1:
        raise UsageError(f"Choosing frames needs counts of 1 or more. Received: num_frames={num_frames}, n={n}")
    n = min(int(n), int(num_frames))
    if n == 1:
        return np.array([(num_frames - 1) // 2], np.int64)
    # Whole numbers only: linspace followed by a rounding may land one frame off on long videos.
    steps = np.arange(n, dtype=np.int64)
    return (2 * steps * (num_frames - 1) + (n - 1)) // (2 * (n - 1))


def indices_every_sec(times_sec, every_sec: float) -> np.ndarray:
    """Choose the frame shown at 0, `every_sec`, 2 `every_sec`, ... until the end of the video.

    The frame for a moment is the last one that starts no later than half a frame interval after it. At a constant rate
    that is the nearest frame (frame 30 for second 1 at 29.97 fps); where a frame stands still for long, as in screen
    recordings, it is the frame then on screen and never a later one. A step finer than the frame interval repeats
    frames, so that the choice is always uniform in time.

    Args:
        times_sec: `[T]` start time of each frame in seconds, increasing from 0; or `(num_frames, fps)` as a tuple for
            a constant rate.
        every_sec: Step in seconds, at least `MIN_EVERY_SEC`.

    Returns:
        `[ceil(duration / every_sec)]` int64, never decreasing. The duration counts the last frame as one median
        interval long.

    Raises:
        UsageError: A step too small or not a number, or no frames.
        DataError: Timestamps so far apart that hardly any of the moments has a frame of its own.
    """
    if not every_sec >= MIN_EVERY_SEC or not np.isfinite(every_sec):
        raise UsageError(f"every_sec must be at least {MIN_EVERY_SEC} seconds. Received: every_sec={every_sec}")
    if isinstance(times_sec, tuple):
        num_frames, fps = times_sec
        if num_frames < 1 or not fps > 0:
            raise UsageError(f"Need 1 frame or more and a positive rate. Received: num_frames={num_frames}, fps={fps}")
        times_sec = np.arange(num_frames) / float(fps)
        interval_sec = 1 / float(fps)
    else:
        times_sec = np.asarray(times_sec, np.float64)
        if times_sec.ndim != 1 or len(times_sec) < 1:
            raise UsageError(f"times_sec must be a list of frame times. Received: shape={times_sec.shape}")
        interval_sec = median_interval_sec(times_sec)
    duration_sec = times_sec[-1] + interval_sec
    num_steps = max(1, int(np.ceil((duration_sec - _TICK_SEC) / every_sec)))
    if num_steps > max(10_000, _MAX_REPEATS * len(times_sec)):
        raise DataError(
            f"{len(times_sec)} frames over {duration_sec:.0f} seconds would give {num_steps}: "
            "the timestamps look broken. Choose frames by num_frames."
        )
    moments_sec = np.arange(num_steps) * every_sec
    chosen = np.searchsorted(times_sec, moments_sec + interval_sec / 2 + _TICK_SEC, side="right") - 1
    return np.clip(chosen, 0, len(times_sec) - 1).astype(np.int64)


Span = tuple[float, float] | None  # of a video, from a second to another one; None: all of it


def frames_between(times_sec: np.ndarray, start_sec: float, end_sec: float) -> tuple[int, int]:
    """Return the first frame that starts at `start_sec` or later, and the one behind the last before `end_sec`.

    There is always one frame at least: a stretch between two frames gives the later one, or the last of all.

    Example:
        >>> frames_between(np.arange(10) / 10, 0.2, 0.5)
        (2, 5)
    """
    first, stop = np.searchsorted(times_sec, np.array([start_sec, end_sec]) - _TICK_SEC)
    first = min(int(first), len(times_sec) - 1)
    return first, max(int(stop), first + 1)


def median_interval_sec(times_sec, default_sec: float = 0.04) -> float:
    """Return the median time between frames in seconds, or `default_sec` for a single frame."""
    if len(times_sec) < 2:
        return default_sec
    return float(np.median(np.diff(times_sec)))
