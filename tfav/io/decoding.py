"""Decoded frames with times in order, and their way to RGB arrays. Readers of files are in `video`."""

import collections
import heapq
import struct
import warnings

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tfav.errors import MediaError
from tfav.io.container import describe_error, nominal_rate
from tfav.io.images import turn_upright

_STRAIGHT_DEGREES = 1.0  # off a quarter turn: ffmpeg and players round as well
# From the orientation to where it shows the axes x and y of the stored picture.
_SHOWN_AT = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, 1), (-1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, -1), (1, 0)),
}
_REORDER = 3  # frames held back to put timestamps in order; AVI files with B-frames carry them swapped


class FrameDecoder:
    """Iterates over `(time_sec, frame)` in order of display, the frames as libav decodes them.

    Args:
        container: An open `av` container.
        stream: Its video stream.
        reorder: Frames held back to put timestamps in order; None: as many as files need.

    Attributes:
        num_broken: Packets that did not decode, so far.
        first_ticks: Timestamp of the first frame in the stream's own unit, None before it.
        error: The last error, "" if there was none.
    """

    def __init__(self, container, stream, reorder: int | None = None):
        self.container, self.stream = container, stream
        self._reorder = _REORDER if reorder is None else reorder
        self.num_broken = 0
        self.first_ticks = None
        self.error = ""

    def __iter__(self):
        tick_sec = float(self.stream.time_base)  # once: arithmetic on fractions costs as much as decoding a frame
        nominal_ticks = max(1, round(1 / (nominal_rate(self.stream) * tick_sec)))
        frames, ticks = collections.deque(), []
        previous = None

        def pop():
            nonlocal previous
            now = heapq.heappop(ticks) if ticks else None
            if now is None or (previous is not None and now <= previous):
                now = 0 if previous is None else previous + nominal_ticks
            previous = now
            if self.first_ticks is None:
                self.first_ticks = now
            return (now - self.first_ticks) * tick_sec, frames.popleft()

        for frame in self._decode():
            frames.append(frame)
            if frame.pts is not None:
                heapq.heappush(ticks, frame.pts)
            if len(frames) > self._reorder:
                yield pop()
        while frames:
            yield pop()

    def _decode(self):
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self.error = describe_error(error)
                return
            try:
                decoded = packet.decode()
            except av.error.FFmpegError as error:
                self.num_broken += 1
                self.error = describe_error(error)
                continue
            yield from decoded


class RgbConverter:
    """Turns decoded frames into arrays, `[H, W, 3]` uint8 RGB, all upright and of the size of the stream's first one.

    Args:
        path: The file, for errors.
        first: The stream's first frame.

    Raises:
        MediaError: On a frame that cannot be converted.
    """

    def __init__(self, path, first):
        self._path = path
        self._size = first.width, first.height  # a stream may change its size midway
        self._orientation, off_degrees = read_orientation(first)
        if off_degrees > _STRAIGHT_DEGREES:
            warnings.warn(
                f"{path}: players turn it by an angle that is {off_degrees:.0f} degrees off a quarter turn. It is read "
                "at the nearest quarter turn.",
                stacklevel=3,
            )
        self._reformatter = VideoReformatter()  # kept: setting one up costs more than converting a frame

    def __call__(self, frame) -> np.ndarray:
        """Return a decoded frame as `[H, W, 3]` uint8 RGB."""
        try:
            rgb = self._reformatter.reformat(
                frame, *self._size, "rgb24", interpolation="BICUBIC", threads=1, dst_color_range="JPEG"
            ).to_ndarray()
        except (OSError, ValueError) as error:
            reason = f"a frame in the format {frame.format.name} cannot be turned into RGB ({describe_error(error)})"
            raise MediaError(self._path, reason, "Replace it with a fresh copy or remove it.") from error
        return rgb if self._orientation == 1 else turn_upright(rgb, self._orientation)


def read_orientation(frame) -> tuple[int, float]:
    """How a decoded frame is to be turned and mirrored for display, by the display matrix that comes with it.

    Args:
        frame: From libav.

    Returns:
        The orientation, 1 to 8 as in `images.turn_upright`, and by how many degrees the matrix turns beyond it.
    """
    # Row vectors: a point (x, y) of the stored picture is shown at (a x + c y, b x + d y), y going down.
    found = frame.side_data.get("DISPLAYMATRIX")  # iterating gives the data in PyAV 18 and their kinds in 19
    matrix = b"" if found is None else bytes(found)
    if len(matrix) != 36:
        return 1, 0.0
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    axes = np.array([[a, b], [c, d]], np.float64)
    lengths = np.linalg.norm(axes, axis=1)
    if not lengths.all():
        return 1, 0.0
    axes /= lengths[:, None]
    fits = {number: float((axes * map_).sum()) for number, map_ in _SHOWN_AT.items()}
    best = max(fits, key=fits.get)
    cosines = (axes * _SHOWN_AT[best]).sum(axis=1)
    return best, float(np.degrees(np.arccos(np.clip(cosines, -1, 1))).max())
