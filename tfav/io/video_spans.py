"""A part of a long video, without decoding what lies before it.

`read_span` goes by moments, and reads no more of the file than it needs. `seek_frames` goes by the numbers that the
file's packets give its frames, for the readers of whole videos in `video`.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from tfav.errors import MediaError
from tfav.io.container import PacketScan, check_readable, nominal_rate, open_video, scan_packets
from tfav.io.decoding import FrameDecoder, RgbConverter
from tfav.io.listing import file_state
from tfav.ranges import check_number

_BEFORE_SEC = 2.0  # sought earlier than wanted: pictures behind a key frame may stand in for it badly
_SEEK_FROM_SEC = 5.0  # what begins sooner is decoded from the start
_TICK_SEC = 1e-6  # times are equal below this


def scan_once(path) -> PacketScan:
    """As `scan_packets`, which reads a whole file; several parts of one in a row have it read once."""
    check_readable(Path(path))
    return _scan(str(path), *file_state(Path(path)))


@functools.lru_cache(maxsize=4)
def _scan(path: str, size: int, mtime_ns: int) -> PacketScan:
    return scan_packets(path)


class SoughtFrame(NamedTuple):
    """A frame of a part: its number and time in the whole video, how to get it as RGB, and parts broken before it."""

    index: int
    time_sec: float
    read: Callable[[], np.ndarray]
    num_broken: int


def seek_frames(
    path, times_sec: np.ndarray, first: int, stop: int, threads: int | None = None
) -> Iterator[SoughtFrame]:
    """Frames `first` to `stop` - 1 of a video, as many as can be had without decoding it from its start.

    Args:
        path: The video.
        times_sec: `[T]` times of all its frames by its packets, from 0.
        first: Number of the first frame.
        stop: The one behind the last.
        threads: Decoder threads, see `container.open_video`.

    Yields:
        Them in order, up to one whose time is not the packets': then numbers are not to be trusted. Nothing where the
        part begins soon, or the format cannot be searched by time.

    Raises:
        MediaError: The file cannot be read.
    """
    if times_sec[first] <= _SEEK_FROM_SEC:
        return
    start = _read_start(path)
    if start.zero is None:
        return
    index, num_broken = first, 0
    for time_sec, frame, decoder in _decode_from(path, start.zero, times_sec[first], threads):
        if frame.pts is None or time_sec > times_sec[index] + _TICK_SEC:
            return
        if time_sec < times_sec[first] - _TICK_SEC:
            num_broken = decoder.num_broken  # behind the place sought some parts never decode
            continue
        yield SoughtFrame(index, time_sec, lambda frame=frame: start.to_rgb(frame), decoder.num_broken - num_broken)
        index += 1
        if index == stop:
            return


def read_span(path, start_sec: float, end_sec: float, every_sec: float) -> np.ndarray:
    """Reads the frames shown at `start_sec`, `start_sec + every_sec`, ... before `end_sec`.

    The frame for a moment is the last one that starts no later than half a frame interval after it, as in
    `sampling.indices_every_sec`. Where the format cannot be searched by time, it is decoded from its start.

    Args:
        path: The video.
        start_sec: From the start of its first frame.
        end_sec: Likewise; what lies beyond the last frame is left out.
        every_sec: Step.

    Returns:
        `[T, H, W, 3]` uint8 RGB, upright.

    Raises:
        MediaError: The file cannot be read, or has no frames there.
        UsageError: A time that is no number, or no time between start and end.

    Example:
        >>> read_span("hour.mp4", 1800.0, 1802.0, 1 / 25).shape
        (50, 720, 1280, 3)
    """
    check_number("start_sec", start_sec, ge=0)
    check_number("end_sec", end_sec, gt=start_sec)
    check_number("every_sec", every_sec, gt=0)
    zero, interval_sec, to_rgb = _read_start(path)
    sought = start_sec > _SEEK_FROM_SEC and zero is not None
    window = start_sec - 2 * interval_sec, end_sec
    times_sec, frames = _decode(path, window, to_rgb, zero if sought else None)
    if sought and (not times_sec or times_sec[0] > start_sec + interval_sec):
        times_sec, frames = _decode(path, window, to_rgb, None)
    if not frames:
        raise MediaError(path, f"no frames from {start_sec:.2f} to {end_sec:.2f} s", "Give times within the video.")
    count = round((min(end_sec, times_sec[-1] + interval_sec) - start_sec) / every_sec)
    moments = start_sec + every_sec * np.arange(max(1, count))
    chosen = np.searchsorted(times_sec, moments + interval_sec / 2, side="right") - 1
    return np.stack([frames[place] for place in np.clip(chosen, 0, None)])


def _decode(path, window: tuple[float, float], to_rgb: RgbConverter, zero: int | None):
    """Times and frames of a window in seconds; sought where `zero`, the first frame's timestamp, is given."""
    times_sec, frames = [], []
    previous, num_broken, decoder = None, 0, None
    for time_sec, frame, decoder in _decode_from(path, zero, window[0]):
        if zero is not None and frame.pts is None:
            return [], []
        if time_sec >= window[1]:
            break
        if time_sec >= window[0]:
            times_sec.append(time_sec)
            frames.append(to_rgb(frame))
        else:
            num_broken = decoder.num_broken  # behind the place sought some parts never decode
            previous = time_sec, frame  # on screen when the window begins, where frames are far apart
    else:
        previous = previous if times_sec else None  # the video has ended before
    if previous and (not times_sec or times_sec[0] > window[0]):
        times_sec.insert(0, previous[0])
        frames.insert(0, to_rgb(previous[1]))
    if decoder is not None and decoder.num_broken > num_broken:
        raise MediaError(path, f"parts of it do not decode ({decoder.error})", "Replace it with a fresh copy.")
    return times_sec, frames


class _Start(NamedTuple):
    """What the first frame tells: its timestamp, None where parts cannot be sought by time, and how all become RGB."""

    zero: int | None
    interval_sec: float
    to_rgb: RgbConverter


def _read_start(path) -> _Start:
    with open_video(path) as (container, stream):
        decoder = FrameDecoder(container, stream)
        _, first = next(iter(decoder), (None, None))
        if first is None:
            raise MediaError(path, "no frames after its header", "Replace it with a fresh copy or remove it.")
        # The times of an .mpg belong to packets and not to frames: which frame is which is known from the start only.
        has_times = first.pts is not None and container.format.name not in ("mpeg", "mpegvideo")
        zero = decoder.first_ticks if has_times else None
        return _Start(zero, 1 / nominal_rate(stream), RgbConverter(path, first))


def _decode_from(path, zero: int | None, start_sec: float, threads: int | None = None):
    """Times, frames and their decoder from somewhat before a second on; from the beginning where `zero` is None."""
    with open_video(path, threads) as (container, stream):
        decoder = FrameDecoder(container, stream)
        if zero is not None:
            try:
                container.seek(zero + round((start_sec - _BEFORE_SEC) / float(stream.time_base)), stream=stream)
            except av.error.FFmpegError:
                return
            decoder.first_ticks = zero
        for time_sec, frame in decoder:
            yield time_sec, frame, decoder
