"""A media file opened, with every way of failing turned into one line; and whether its end is missing."""

import contextlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from tfav.errors import MediaError
from tfav.io.env_vars import whole_number
from tfav.io.transport_stream import count_breaks

_REPLACE = "Replace it with a fresh copy or remove it."
# Tags such as a title are often in another encoding than UTF-8. PyAV 19 replaces what it cannot read by itself.
_LENIENT_METADATA = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
# Formats whose header states a duration. MP4 has a table of its frames instead; in AVI the header is too often wrong.
_STATES_DURATION = {"flv", "asf", "matroska,webm"}


@contextlib.contextmanager
def open_container(path):
    """Open a media file for reading.

    Args:
        path: The file.

    Yields:
        An `av.container.InputContainer`.

    Raises:
        MediaError: The file is missing, a folder, empty, not readable, or no media file.
    """
    path = Path(path)
    check_readable(path)
    try:
        # `file:` keeps names such as `a:b.avi` from being taken for an address; the white list keeps playlists, which
        # libav would follow, from reaching the network.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, **_LENIENT_METADATA)
    except (av.error.FFmpegError, UnicodeError) as error:
        raise MediaError(path, f"not a readable media file ({describe_error(error)})", _REPLACE) from error
    try:
        yield container
    finally:
        container.close()


@contextlib.contextmanager
def open_video(path, threads: int | None = None):
    """Open a file at its (first real) video stream.

    Args:
        path: The file.
        threads: Decoder threads; None is `$TFAV_DECODE_THREADS`, or else one for small pictures (where threads cost
            more than they give, measured at 320x240) and one per core for larger ones.

    Yields:
        `(container, stream)`.

    Raises:
        MediaError: As `open_container`, or there is no video stream.
    """
    with open_container(path) as container:
        # A cover picture inside an audio file is stored as a video stream of one frame.
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise MediaError(path, f"no video stream in it (found: {kinds})", "Use a file with pictures.")
        stream = streams[0]
        if stream.codec_context is None:
            raise MediaError(path, "its video codec is unknown here", "Convert it to H.264, e.g. with ffmpeg.")
        context = stream.codec_context
        if threads is None:
            small = context.width * context.height <= 640 * 480
            threads = whole_number("TFAV_DECODE_THREADS", 1 if small else 0)
        context.thread_type = "AUTO"
        context.thread_count = threads
        yield container, stream


def check_readable(path: Path) -> None:
    """Raise a `MediaError` unless `path` is a file with something in it that this process may read."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise MediaError(path, "no such file", "Check the spelling.") from error
    except (OSError, ValueError) as error:
        raise MediaError(
            path, f"cannot be opened ({describe_error(error)})", "Check the path and its permissions."
        ) from error
    if path.is_dir():
        raise MediaError(path, "a folder, not a video file", "Name a file inside it.")
    if not path.is_file():
        raise MediaError(path, "not a regular file", "Name a video file.")
    if status.st_size == 0:
        raise MediaError(path, "empty (0 bytes)", _REPLACE)
    if not os.access(path, os.R_OK):
        raise MediaError(path, "no permission to read it", "Change its permissions, e.g. with chmod +r.")


def describe_error(error: Exception) -> str:
    """Return an error's reason in one line, without numbers of libav's own."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


class PacketScan(NamedTuple):
    """What a file's packets say of its frames; see `scan_packets`.

    Attributes:
        times_sec: `[N]` float64, the packets' times of display in seconds, sorted, from 0.
        truncation: How the file's end is missing, "" where it is not.
    """

    times_sec: np.ndarray
    truncation: str


def scan_packets(path) -> PacketScan:
    """Read a file's packets without decoding them: 1 ms for a clip of 180 frames.

    Decoders may give fewer frames than there are packets (in 11 of 100 old AVI files tried they did), so this predicts
    and does not decide.

    Args:
        path: The video file.

    Returns:
        A `PacketScan`.

    Raises:
        MediaError: As `open_video`.
    """
    ticks, num_cut, end_sec, truncation = [], 0, 0.0, ""
    with open_video(path, threads=1) as (container, stream):
        compare_duration = container.format.name in _STATES_DURATION
        wanted = () if compare_duration else container.streams.video
        last_place, others_from = 0, None  # bytes from the start of the file
        try:
            for packet in container.demux(wanted):
                if compare_duration and packet.pts is not None:
                    end_sec = max(end_sec, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream_index != stream.index:
                    if packet.stream.type == "video" and others_from is None:
                        others_from = packet.pos
                elif packet.size:
                    last_place = max(last_place, packet.pos or 0)
                    num_cut += packet.is_corrupt
                    ticks.append(packet.pts if packet.pts is not None else packet.dts)
        except av.error.FFmpegError as error:
            truncation = f"reading stops after {len(ticks)} frames ({describe_error(error)})"
        truncation = truncation or missing_end(Path(path), container.format.name)
        stated_sec = (container.duration or 0) / av.time_base
        found_sec = end_sec - (container.start_time or 0) / av.time_base
        if not truncation and compare_duration and found_sec < stated_sec - max(0.25, stated_sec / 10):
            truncation = f"{found_sec:.1f} of the stated {stated_sec:.1f} seconds are there"
        if not truncation and num_cut and not _is_joined(Path(path), container, stream, num_cut):
            truncation = "frames in it are cut short"
        if not truncation and container.format.name == "mpegts" and (others_from or 0) > last_place:
            truncation = "its pictures go on in another stream, which is not read (convert it with ffmpeg)"
        if None in ticks:
            times_sec = np.arange(len(ticks)) / nominal_rate(stream)
        else:
            ordered = np.sort(np.array(ticks, np.int64))
            times_sec = (ordered - ordered[:1]) * float(stream.time_base)
    return PacketScan(times_sec, truncation)


def _is_joined(path: Path, container, stream, num_cut: int) -> bool:
    """Whether what looks like damage comes of recordings put one behind the other, as by `cat`."""
    if container.format.name != "mpegts":
        return False
    joints, losses = count_breaks(path, stream.id)
    return not losses and num_cut <= 2 * joints  # a frame or two at each


def nominal_rate(stream) -> float:
    """Return the frames per second a stream states or, failing that, seems to have; 25 where nothing is known."""
    return float(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)


def missing_end(path: Path, format_name: str) -> str:
    """Compare the size that a file's own structure states with the bytes there are.

    libav reads a file that was cut off without a complaint and gives the frames that are left, so a download that
    broke would look like a short video.

    Args:
        path: A file in one of the containers that state sizes: AVI, MP4/MOV/3GP, Matroska/WebM, ASF/WMV, and GIF, which
            has an end mark. Others pass: an MPEG stream that is cut off between two frames is a shorter MPEG stream.
        format_name: libav's name of the container.

    Returns:
        What is missing, "" where nothing is.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if format_name == "avi":
            end = _riff_end(file, size)
        elif "mp4" in format_name.split(","):
            end = _box_end(file, size)
        elif "matroska" in format_name.split(","):
            end = _matroska_end(file, size)
        elif format_name == "asf":
            end = _asf_end(file, size)
        elif format_name == "gif":
            file.seek(-1, 2)
            return "" if file.read(1) == b";" else "its end mark is missing"
        else:
            return ""
    return f"the last {end - size} of {end} bytes are missing" if end > size else ""


def _riff_end(file, size: int) -> int:
    position = 0
    while position + 8 <= size:  # files over 1 GB are several RIFF chunks, one after the other
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or length == 0:  # a recorder that was switched off leaves 0: nothing is stated
            return size
        position += 8 + length + length % 2
    return position if position > size + 16 else size  # some writers count their own header twice


def _box_end(file, size: int) -> int:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8 or not name.isascii():  # 0: until the end; anything else is padding after the last box
            return size
        position += length
    return max(position, size)


def _matroska_end(file, size: int) -> int:
    file.seek(0)
    head = file.read(4096)
    position = 0
    for identity in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        if head[position : position + 4] != identity or position + 5 > len(head):
            return size
        position += 4
        # A length is as many bytes long as its first byte has leading zeros, plus one; all ones means unknown.
        width = 9 - head[position].bit_length()
        length = int.from_bytes(head[position : position + width], "big") & ((1 << 7 * width) - 1)
        if length == (1 << 7 * width) - 1:
            return size
        position += width
        if identity == b"\x1a\x45\xdf\xa3":
            position += length
    return max(position + length, size)


def _asf_end(file, size: int) -> int:
    file.seek(0)
    head = file.read(1 << 16)
    start = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))  # the object of file properties
    return max(size, int.from_bytes(head[start + 40 : start + 48], "little")) if start >= 0 else size
