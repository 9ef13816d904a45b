"""What a file from outside must be before anything decodes it: not too large, a video by its first bytes, not too long.

The first bytes are looked at here, in plain Python; what needs libav runs in a process of its own, `sandboxed_probe`,
with limits on time and memory, so that a file made to break a decoder breaks nothing but itself.
"""

import dataclasses
import json
import subprocess
import time
from pathlib import Path

from tfav.errors import MediaError
from tfav.io import subprocesses
from tfav.io.transport_stream import find_packets

_TIMEOUT_SEC = 60
_PAUSE_SEC = 1.0  # before a process is started again that could not be
_HEAD = 4096  # bytes
_LEAST = 16  # bytes; a browser that cannot encode as fast as the camera gives pictures leaves one of them
MAX_PIXELS = 4096 * 2304  # of a frame
_KINDS = "MP4, MOV, WebM, MKV, AVI, MPEG, MTS, MXF, WMV, FLV, OGG or GIF"


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of an upload: `max_mb` megabytes (of 10^6 bytes), `max_sec` seconds."""

    max_mb: float = 200
    max_sec: float = 60

    @property
    def max_bytes(self) -> int:
        """The size in bytes."""
        return int(self.max_mb * 1e6)

    def describe(self) -> str:
        """In words for a person."""
        return f"up to {self.max_mb:g} MB and {self.max_sec:g} seconds"


@dataclasses.dataclass(frozen=True)
class VideoSummary:
    """What was found: `num_frames` by packets, `duration_sec`, `width` and `height` as displayed."""

    num_frames: int
    duration_sec: float
    width: int
    height: int


def check_upload(path: Path | str, limits: Limits) -> VideoSummary:
    """Refuses a file that the systems should never see.

    Args:
        path: The file.
        limits: Of size and length.

    Raises:
        MediaError: It is missing, empty, too large, no video by its content, a single picture, too long or too large a
            picture, or cannot be read; the message names the file without its folder.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(path.name, "no longer there", "Upload it again.")
    size = path.stat().st_size
    if size < _LEAST:
        remedy = "Choose the video again; the copy may have broken off." if size == 0 else "Record or choose it again."
        raise MediaError(path.name, f"empty ({size} byte{'s' * (size != 1)})", remedy)
    if size > limits.max_bytes:
        raise MediaError(path.name, f"{size / 1e6:.0f} MB, and the limit is {limits.max_mb:g} MB", "Cut or shrink it.")
    with path.open("rb") as file:
        kind = sniff(file.read(_HEAD))
    if kind not in _VIDEO:
        raise MediaError(path.name, f"not a video: its content is {kind}", f"Choose {_KINDS}.")
    found = _inspect(path)
    if found.num_frames < 2:
        raise MediaError(path.name, "a single picture, not a video", "Choose a video that lasts a second or more.")
    if found.duration_sec > limits.max_sec:
        raise MediaError(
            path.name,
            f"{_spell_time(found.duration_sec)} long, and the limit is {_spell_time(limits.max_sec)}",
            "Cut out the part that matters.",
        )
    if found.width * found.height > MAX_PIXELS:
        raise MediaError(
            path.name,
            f"its pictures are {found.width} x {found.height}, too large",
            "Shrink it to 1920 x 1080 or less.",
        )
    return found


def sniff(head: bytes) -> str:
    """What a file is by its first bytes: a name of a video container, or words for what it is instead."""
    for name, place, marks in _MARKS:
        if any(head[place : place + len(mark)] == mark for mark in marks):
            return name
    if head[:4] == b"RIFF":
        return {b"AVI ": "avi", b"WAVE": "sound", b"WEBP": "a picture"}.get(head[8:12], "unknown")
    text = head.removeprefix(b"\xef\xbb\xbf")
    if not any(byte < 9 or 13 < byte < 32 for byte in text):
        return "text"
    if _MXF in head:  # a foreword may stand before it
        return "mxf"
    if find_packets(head) is not None:
        return "mpegts"
    return "unknown"


_VIDEO = frozenset(
    ["mp4", "matroska", "avi", "mpeg", "mpegts", "flv", "asf", "ogg", "gif", "mxf", "ivf", "nut", "dv", "y4m", "h264"]
)
_MXF = bytes.fromhex("060e2b34020501010d010201")
_MARKS = (
    ("a picture", 4, (b"ftypavif", b"ftypheic", b"ftypmif1")),
    ("mp4", 4, (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"sidx", b"moof", b"pnot", b"uuid")),
    ("matroska", 0, (b"\x1a\x45\xdf\xa3",)),
    ("mpeg", 0, (b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x00\x00\x01\xb0", b"\x00\x00\x01\x00")),
    ("h264", 0, (b"\x00\x00\x00\x01", b"\x00\x00\x01\x67", b"\x00\x00\x01\x09")),
    ("ivf", 0, (b"DKIF",)),
    ("nut", 0, (b"nut/multimedia container",)),
    ("y4m", 0, (b"YUV4MPEG2 ",)),
    ("dv", 0, (b"\x1f\x07\x00\x3f", b"\x1f\x07\x00\xbf")),
    ("flv", 0, (b"FLV\x01",)),
    ("asf", 0, (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
    ("ogg", 0, (b"OggS",)),
    ("gif", 0, (b"GIF87a", b"GIF89a")),
    ("a picture", 0, (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")),
    ("sound", 0, (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1")),
    ("a PDF document", 0, (b"%PDF",)),
    ("an archive", 0, (b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc\xaf", b"\xfd7zXZ")),
    ("a program", 0, (b"\x7fELF", b"MZ")),
)


def _inspect(path: Path) -> VideoSummary:
    command = [*subprocesses.module_command("tfav.app.sandboxed_probe"), str(path)]
    try:
        found = json.loads(_run(command))
    except OSError as error:  # the machine starts no process now
        raise MediaError(
            path.name, f"not looked at: the server is too busy ({error.strerror})", "Try again soon."
        ) from error
    except (subprocess.SubprocessError, ValueError) as error:
        raise MediaError(path.name, "cannot be read; it may be damaged", "Choose another copy of it.") from error
    if "reason" in found:
        raise MediaError(path.name, found["reason"], found["remedy"])
    return VideoSummary(**found)


def _run(command: list[str]) -> str:
    """What a command prints; where the machine starts no process, it is tried once more a little later."""
    options = {
        "capture_output": True,
        "stdin": subprocess.DEVNULL,
        "timeout": _TIMEOUT_SEC,
        "check": True,
        "text": True,
    }
    try:
        return subprocess.run(command, **options).stdout
    except OSError:
        time.sleep(_PAUSE_SEC)
        return subprocess.run(command, **options).stdout


def _spell_time(sec: float) -> str:
    if sec < 90:
        return f"{sec:.3g} seconds"
    minutes, seconds = divmod(round(sec), 60)
    return f"{minutes} minutes" + (f" {seconds} seconds" if seconds else "")
