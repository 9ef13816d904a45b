"""Where live frames come from: a camera, a stream at an address, or a file that is played at its own speed."""

import contextlib
import functools
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import av
import cv2
import numpy as np

from tfav.errors import MediaError
from tfav.io.container import describe_error, open_video
from tfav.io.decoding import FrameDecoder, RgbConverter

_OPEN_SEC = 10.0  # so long an address may take to answer
_AGAIN = "Start it again, then run the same command."
# Over TCP, since what is lost of UDP spoils pictures; without libav's own buffers, which would be old news.
_STREAM_OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}


class Shot(NamedTuple):
    """A frame that has come: its time in seconds after the first one's, and how to get it as `[H, W, 3]` uint8 RGB."""

    time_sec: float
    read: Callable[[], np.ndarray]


class Source(NamedTuple):
    """An open source: its frames, and whether they come as fast as they can be read, as those of a file do."""

    shots: Iterator[Shot]
    is_file: bool


def shown_name(source: str) -> str:
    """The source as messages name it: without the user and password of an address."""
    return re.sub(r"//[^/@]*@", "//", source)


@contextlib.contextmanager
def open_source(source: str, stall_sec: float) -> Iterator[Source]:
    """Opens a source of live frames.

    Args:
        source: The number of a camera, an address with `://`, or a video file.
        stall_sec: So long a stream may send nothing.

    Yields:
        A `Source`. Its frames raise `MediaError` where a stream stops, or where pictures change their size.

    Raises:
        MediaError: It is no video, not there, or a camera that another program has.
    """
    if source.isdecimal():
        with _open_camera(int(source)) as camera:
            yield Source(_camera_shots(int(source), camera), False)
    elif "://" in source:
        name = shown_name(source)
        try:
            container = av.open(source, timeout=(_OPEN_SEC, stall_sec), options=_STREAM_OPTIONS)
        except (av.error.FFmpegError, ValueError) as error:
            reason = f"cannot be opened ({describe_error(error)})"
            raise MediaError(name, reason, "Check the address, and that something is sent there.") from error
        with container:
            if not container.streams.video:
                raise MediaError(name, "no pictures in it", "Give the address of a video stream.")
            yield Source(_decoded_shots(name, container, container.streams.video[0], True), False)
    else:
        with open_video(source) as (container, stream):
            yield Source(_decoded_shots(source, container, stream, False), True)


def _decoded_shots(name: str, container, stream, is_stream: bool) -> Iterator[Shot]:
    decoder, to_rgb, size, count = FrameDecoder(container, stream, reorder=0 if is_stream else None), None, None, 0
    for time_sec, frame in decoder:
        if to_rgb is None:
            to_rgb, size = RgbConverter(name, frame), (frame.width, frame.height)
        _check_size(name, size, (frame.width, frame.height))
        count += 1
        yield Shot(time_sec, functools.partial(to_rgb, frame))
    if is_stream:
        reason = f" ({decoder.error})" if decoder.error else ""
        raise MediaError(name, f"the stream stopped after {count} frames{reason}", _AGAIN)
    if not count:
        raise MediaError(name, "no frames in it", "Use a file with pictures.")


@contextlib.contextmanager
def _open_camera(number: int):
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says it in one line
    try:
        camera = cv2.VideoCapture(number)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not camera.isOpened():
            raise MediaError(
                f"camera {number}",
                "cannot be opened: it is not there, or another program has it",
                "Close that program, or give another number.",
            )
        yield camera
    finally:
        camera.release()


def _camera_shots(number: int, camera) -> Iterator[Shot]:
    name, size, started, count = f"camera {number}", None, time.monotonic(), 0
    while True:
        there, picture = camera.read()
        if not there:
            raise MediaError(name, f"stopped after {count} frames", "Plug it in again, or close what else uses it.")
        size = size or picture.shape[1::-1]
        _check_size(name, size, picture.shape[1::-1])
        count += 1
        yield Shot(time.monotonic() - started, functools.partial(cv2.cvtColor, picture, cv2.COLOR_BGR2RGB))


def _check_size(name: str, first: tuple[int, int], now: tuple[int, int]) -> None:
    if tuple(now) != tuple(first):
        change = f"its pictures change from {first[0]}x{first[1]} to {now[0]}x{now[1]} pixels"
        raise MediaError(name, change, "Set the camera to one size, then run the same command.")
