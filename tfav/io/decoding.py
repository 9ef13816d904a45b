"""Decoded frames with times in order, and their way to RGB arrays. Readers of files are in `video`."""

import collections
import heapq

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from tfav.errors import MediaError
from tfav.io.container import describe_error, nominal_rate

_REORDER = 3  # frames held back to put timestamps in order; AVI files with B-frames carry them swapped


class FrameDecoder:
    """Iterates over `(time_sec, frame)` in order of display, the frames as libav decodes them.

    Args:
        container: An open `av` container.
        stream: Its video stream.

    Attributes:
        num_broken: Packets that did not decode, so far.
        first_ticks: Timestamp of the first frame in the stream's own unit, None before it.
        error: The last error, "" if there was none.
    """

    def __init__(self, container, stream):
        self.container, self.stream = container, stream
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
            if len(frames) > _REORDER:
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
        self._quarter_turns = count_quarter_turns(first)
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
        return np.ascontiguousarray(np.rot90(rgb, self._quarter_turns)) if self._quarter_turns else rgb


def count_quarter_turns(frame) -> int:
    """Return how many quarter turns anticlockwise bring a decoded frame upright, 0 to 3."""
    return round((frame.rotation or 0) / 90) % 4
