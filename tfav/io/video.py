"""Video files to RGB arrays: probe, read, iterate, select. Writing is in `encoding`.

Decoding is PyAV on one thread: measured on UCF101 at 320x240 it decodes 11,000 frames/s (OpenCV 8,800) and, converting
only the frames that are wanted with one converter per file, loses nothing against OpenCV, which hides errors and
timestamps. Frames are counted by decoding, since what containers state is often wrong.
"""

import collections
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import numpy as np

from tfav.errors import DataError, MediaError, UsageError
from tfav.io.container import PacketScan, nominal_rate, open_video, scan_packets
from tfav.io.decoding import FrameDecoder, RgbConverter, read_orientation
from tfav.io.sampling import Span, frames_between, indices_evenly, indices_every_sec, median_interval_sec
from tfav.io.video_spans import scan_once, seek_frames
from tfav.ranges import check_number

# From the orientation to degrees clockwise and whether it is mirrored before.
_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (180, False),
    4: (180, True),
    5: (270, True),
    6: (90, False),
    7: (90, True),
    8: (270, False),
}
_UNEVEN = 0.05  # share of the duration, above the rounding of timestamps to milliseconds at 30 fps (2 %)
_REPLACE = "Replace it with a fresh copy or remove it."


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        path: The file.
        num_frames: Frames that can be decoded; counted by packets only where `exact` is False.
        fps: Mean frames per second.
        duration_sec: From the start of the first frame to the end of the last.
        width: In pixels, as displayed, after `rotation`.
        height: In pixels, as displayed.
        rotation: Degrees clockwise by which the stored picture is turned for display: 0, 90, 180 or 270. Every reader
            here turns it.
        mirrored: Whether left and right change places before it is turned, as in some selfies. Every reader does it.
        codec: libav's name, such as "h264".
        has_audio: Whether there is a sound stream.
        start_sec: Start of the first frame against the start of the file, where sound may begin.
        variable_rate: Whether intervals that differ from the median one add up to 5 % of the duration or more.
        stated_frames: What the container states, 0 where it states nothing.
        exact: Whether frames were counted by decoding them.
        damage: What is missing or broken, "" for a sound file.
    """

    path: str
    num_frames: int
    fps: float
    duration_sec: float
    width: int
    height: int
    rotation: int
    mirrored: bool
    codec: str
    has_audio: bool
    start_sec: float
    variable_rate: bool
    stated_frames: int
    exact: bool
    damage: str


class Clip(NamedTuple):
    """Frames of a video: `frames` `[T, H, W, 3]` uint8 RGB, `times_sec` `[T]` float64, `indices` `[T]` int64."""

    frames: np.ndarray
    times_sec: np.ndarray
    indices: np.ndarray


class Selection(NamedTuple):
    """Which frames were chosen: `indices` `[T]` int64, `times_sec` `[T]` float64; `damage` as in `VideoInfo`."""

    indices: np.ndarray
    times_sec: np.ndarray
    damage: str


def probe(path, *, exact: bool = True) -> VideoInfo:
    """Find out what a video file holds.

    Args:
        path: The file.
        exact: Count frames by decoding all of them (0.1 ms each at 320x240). False goes by the packets and decodes one
            frame: much faster for long files, off by a few frames for some old AVI files.

    Returns:
        A `VideoInfo`.

    Raises:
        MediaError: The file cannot be read or holds no frames. Damage that leaves frames is no error here.
    """
    scan = scan_packets(path)
    with open_video(path) as (container, stream):
        decoder = FrameDecoder(container, stream)
        times_sec, first = [], None
        for time_sec, frame in decoder:
            first = frame if first is None else first
            times_sec.append(time_sec)
            if not exact:
                break
        if first is None:
            raise _no_frames(path, decoder)
        times_sec = np.array(times_sec) if exact else scan.times_sec
        interval_sec = median_interval_sec(times_sec, 1 / nominal_rate(stream))
        duration_sec = float(times_sec[-1]) + interval_sec
        unevenness = float(np.abs(np.diff(times_sec) - interval_sec).sum()) / duration_sec
        fps = len(times_sec) / duration_sec
        stated_fps = nominal_rate(stream)
        if unevenness < _UNEVEN and abs(interval_sec * stated_fps - 1) < _UNEVEN:
            fps = stated_fps  # the exact fraction, free of rounded timestamps and of a frame missing at either end
        orientation, _ = read_orientation(first)
        rotation, mirrored = _TURNS[orientation]
        height, width = (first.height, first.width) if orientation < 5 else (first.width, first.height)
        start_ticks = decoder.first_ticks or 0
        return VideoInfo(
            path=str(path),
            num_frames=len(times_sec),
            fps=fps,
            duration_sec=duration_sec,
            width=width,
            height=height,
            rotation=rotation,
            mirrored=mirrored,
            codec=stream.codec_context.name,
            has_audio=bool(container.streams.audio),
            start_sec=float(start_ticks * stream.time_base) - (container.start_time or 0) / av.time_base,
            variable_rate=unevenness >= _UNEVEN,
            stated_frames=stream.frames,
            exact=exact,
            damage=_damage(scan, decoder),
        )


def iter_frames(path, *, span: Span = None, strict: bool = True) -> Iterator[tuple[int, float, np.ndarray]]:
    """Go through all frames of a video, in order of display, holding a few at a time.

    Args:
        path: The file.
        span: The frames of a stretch alone, as `sampling.frames_between` has them; nothing behind it is decoded, nor
            what lies long before it, where the format can be searched.
        strict: Whether a damaged file is an error (after the frames that it has), or is read as far as it goes.

    Yields:
        `(index, time_sec, frame)`: the frame's number from 0, its start in seconds after the first frame's, and
        `[H, W, 3]` uint8 RGB, upright.

    Raises:
        MediaError: The file cannot be read, holds no frames or, with `strict`, is damaged.
    """
    scan, first, stop = scan_packets(path) if span is None else scan_once(path), 0, None
    if span and len(scan.times_sec):
        first, stop = frames_between(scan.times_sec, *span)
        for sought in seek_frames(path, scan.times_sec, first, stop):
            yield sought.index, sought.time_sec, sought.read()
            first = sought.index + 1
        if first == stop:
            _raise_if_damaged(path, _join(scan.truncation, sought.num_broken), stop, strict)
            return
    with open_video(path) as (container, stream):
        decoder = FrameDecoder(container, stream)
        index, to_rgb = -1, None
        for index, (time_sec, frame) in enumerate(itertools.islice(decoder, stop)):
            to_rgb = to_rgb or RgbConverter(path, frame)
            if index >= first:
                yield index, time_sec, to_rgb(frame)
        if index < 0:
            raise _no_frames(path, decoder)
        _raise_if_damaged(path, _damage(scan, decoder), index + 1, strict)


def iter_frames_every(path, every_sec: float) -> Iterator[np.ndarray]:
    """Go through the frames shown at 0, `every_sec`, 2 `every_sec`, ..., as `indices_every_sec` chooses them.

    Args:
        path: The file.
        every_sec: Step in seconds; where frames are rarer, they are repeated.

    Yields:
        `[H, W, 3]` uint8 RGB, upright.

    Raises:
        MediaError: As `iter_frames`.
    """
    times_sec = scan_packets(path).times_sec
    wanted = indices_every_sec(times_sec, every_sec).tolist() if len(times_sec) else []
    place = 0
    for index, _, frame in iter_frames(path):
        while place < len(wanted) and wanted[place] == index:
            yield frame
            place += 1


def read_video(
    path,
    indices=None,
    *,
    every_sec: float | None = None,
    num_frames: int | None = None,
    strict: bool = True,
    threads: int | None = None,
) -> Clip:
    """Read a video, or chosen frames of it, into memory.

    Args:
        path: The file.
        indices: Frame numbers from 0, in any order, repeats allowed; or
        every_sec: one frame each so many seconds (`indices_every_sec` says which exactly); or
        num_frames: so many frames evenly over the whole length (`indices_evenly`); or none of the three for all.
        strict: Whether a damaged file is an error, or is read as far as it goes.
        threads: Decoder threads, see `container.open_video`.

    Returns:
        A `Clip`: `frames` `[T, H, W, 3]` uint8 RGB, upright; `times_sec` `[T]`, 0 at the video's first frame;
        `indices` `[T]`.

    Raises:
        MediaError: The file cannot be read, holds no frames or, with `strict`, is damaged.
        UsageError: More than one way of choosing, or a frame number that the video does not have.
    """
    if sum(option is not None for option in (indices, every_sec, num_frames)) > 1:
        raise UsageError(
            "Choose frames by one of indices, every_sec and num_frames. "
            f"Received: indices={indices}, every_sec={every_sec}, num_frames={num_frames}"
        )
    kept = {}
    last = None
    if indices is not None:
        indices = np.atleast_1d(np.asarray(indices))
        if indices.ndim != 1 or not len(indices) or indices.dtype.kind not in "iu" or indices.min() < 0:
            raise UsageError(f"indices must be whole numbers from 0. Received: indices={indices.tolist()}")
        indices = indices.astype(np.int64)
        last = int(indices.max())
    choose = frame_chooser(every_sec=every_sec, num_frames=num_frames) if indices is None else (lambda times: indices)
    selection = select_frames(path, choose, kept.__setitem__, last=last, strict=strict, threads=threads)
    first = kept[int(selection.indices[0])]
    frames = np.empty((len(selection.indices), *first.shape), np.uint8)
    uses_left = collections.Counter(selection.indices.tolist())
    for position, index in enumerate(selection.indices.tolist()):
        frames[position] = kept[index]
        uses_left[index] -= 1
        if not uses_left[index]:
            del kept[index]  # so that the peak is one copy and not two
    return Clip(frames, selection.times_sec, selection.indices)


def frame_chooser(*, every_sec: float | None = None, num_frames: int | None = None) -> Callable:
    """Return the function that chooses frame numbers from a video's frame times, `[T]` seconds.

    Args:
        every_sec: One frame each so many seconds; or
        num_frames: so many frames evenly; or neither for all.

    Raises:
        UsageError: Both are given, or one is out of range.
    """
    if every_sec is not None and num_frames is not None:
        raise UsageError(f"Give every_sec or num_frames. Received: every_sec={every_sec}, num_frames={num_frames}")
    if every_sec is not None:
        indices_every_sec((1, 1.0), every_sec)  # refuse a bad value here, before any file is read
        return lambda times_sec: indices_every_sec(times_sec, every_sec)
    if num_frames is not None:
        check_number("num_frames", num_frames, whole=True, ge=1)
        return lambda times_sec: indices_evenly(len(times_sec), num_frames)
    return lambda times_sec: np.arange(len(times_sec))


def select_frames(
    path,
    choose: Callable[[np.ndarray], np.ndarray],
    keep: Callable[[int, np.ndarray], None],
    *,
    last: int | None = None,
    span: Span = None,
    strict: bool = True,
    threads: int | None = None,
) -> Selection:
    """Decode a video once and hand over the chosen frames, converting only those.

    The choice is made from the packets' timestamps before decoding. Should the decoded frames then turn out to be
    others (old AVI files state frames that do not exist), it is made anew from the true ones and a second pass fetches
    what is missing.

    Args:
        path: The file.
        choose: From `[T]` frame times in seconds to frame numbers.
        keep: Takes `(index, frame)`, frame `[H, W, 3]` uint8 RGB. Is called once per frame number and, after a wrong
            prediction, also for some that are not in the result.
        last: Stop after this frame, when no choice goes beyond it; None decodes to the end, which finds all damage.
        span: Choose among the frames of a stretch alone, from a second to another one, as if these were all; nothing
            behind it is decoded, nor what lies long before it, where the format can be searched.
        strict: Whether a damaged file is an error, or is read as far as it goes.
        threads: Decoder threads, see `container.open_video`.

    Returns:
        A `Selection`.

    Raises:
        MediaError: The file cannot be read, holds no frames or, with `strict`, is damaged.
        UsageError: A chosen frame number is beyond the end.
    """
    scan = scan_packets(path) if span is None else scan_once(path)
    wanted = set()
    if span is not None:
        choose = _within(choose, span)
    if len(scan.times_sec):
        with contextlib.suppress(DataError):  # a prediction only
            indices = choose(scan.times_sec)
            wanted = set(indices.tolist())
        if span is not None:
            first, stop = frames_between(scan.times_sec, *span)
            last = stop - 1
            for sought in seek_frames(path, scan.times_sec, first, stop, threads) if wanted else ():
                if sought.index in wanted:
                    keep(sought.index, sought.read())
                if sought.index == last:
                    damage = _join(scan.truncation, sought.num_broken)
                    _raise_if_damaged(path, damage, stop, strict)
                    return Selection(indices, scan.times_sec[indices], damage)
    handed_over = set()
    while True:
        times_sec = []
        with open_video(path, threads) as (container, stream):
            decoder, to_rgb = FrameDecoder(container, stream), None
            for index, (time_sec, frame) in enumerate(decoder):
                times_sec.append(time_sec)
                to_rgb = to_rgb or RgbConverter(path, frame)
                if index in wanted and index not in handed_over:
                    keep(index, to_rgb(frame))
                    handed_over.add(index)
                if index == last:
                    break
        if not times_sec:
            raise _no_frames(path, decoder)
        damage = _damage(scan, decoder)
        _raise_if_damaged(path, damage, len(times_sec), strict)
        times_sec = np.array(times_sec)
        try:
            indices = choose(times_sec)
        except DataError as error:
            raise MediaError(path, str(error).rstrip(".")) from error
        if indices.max() >= len(times_sec):
            valid = f"{len(times_sec)} frames, 0 to {len(times_sec) - 1}"
            raise UsageError(f"{path}: it has {valid}. Received: index {indices.max()}")
        wanted = set(indices.tolist())
        if wanted <= handed_over:
            return Selection(indices, times_sec[indices], damage)


def _within(choose: Callable, span: tuple[float, float]) -> Callable:
    def choose_within(times_sec):
        first, stop = frames_between(times_sec, *span)
        return first + choose(times_sec[first:stop] - times_sec[first])

    return choose_within


def _damage(scan: PacketScan, decoder: FrameDecoder) -> str:
    return _join(scan.truncation, decoder.num_broken)


def _join(truncation: str, num_broken: int) -> str:
    broken = f"{num_broken} parts do not decode" if num_broken else ""
    return "; ".join(part for part in (truncation, broken) if part)


def _raise_if_damaged(path, damage: str, num_frames: int, strict: bool) -> None:
    if damage and strict:
        raise MediaError(path, f"truncated or corrupt: {damage}, {num_frames} frames can be read", _REPLACE)


def _no_frames(path, decoder: FrameDecoder) -> MediaError:
    detail = f" ({decoder.error})" if decoder.error else ""
    return MediaError(path, f"no frames after its header{detail}", _REPLACE)
