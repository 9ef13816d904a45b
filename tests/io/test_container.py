"""The size that a file states of itself against the bytes there are, of headers written by hand from the formats."""

import struct

import pytest

from tfav.io.container import missing_end

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def riff(length, there=None):
    return b"RIFF" + struct.pack("<I", length) + bytes(length if there is None else there)


def box(length, there=None, name=b"mdat"):
    return struct.pack(">I4s", length, name) + bytes((length if there is None else there) - 8)


def matroska(header, stated, there):
    """A header of so many bytes, and a segment with its stated length as it is stored."""
    return EBML + bytes([0x80 | header]) + bytes(header) + SEGMENT + stated + bytes(there)


def asf(stated, there):
    """The object of file properties behind a header object; the file's size stands 40 bytes into it."""
    head = bytes(30) + bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365") + bytes(24) + struct.pack("<Q", stated)
    return head + bytes(there - len(head))


WIDE = struct.pack(">I4sQ", 1, b"mdat", 56) + bytes(40)  # a length of 64 bits behind the name
CASES = [
    ("avi", riff(100), 0),
    ("avi", riff(101) + b"\0", 0),  # an odd length has a byte of padding behind it
    ("avi", riff(101) + b"\0" + riff(100), 0),
    ("avi", riff(100) + riff(200, 80), 120),
    ("avi", riff(100, 85), 0),  # up to 16 bytes are a header that counts itself twice
    ("avi", riff(100, 84), 0),
    ("avi", riff(100, 83), 17),
    ("avi", b"RIFF" + bytes(50), 0),  # states nothing
    ("avi", riff(100) + b"junk" + bytes(4), 0),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + box(50), 0),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + box(50, 30), 20),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + WIDE, 0),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + WIDE[:-7], 7),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + WIDE + box(30, 29), 1),
    ("mov,mp4,m4a", box(20, name=b"ftyp") + struct.pack(">I4s", 0, b"mdat") + bytes(9), 0),  # until the end
    ("mov,mp4,m4a", box(20, name=b"ftyp") + bytes(99), 0),  # padding
    ("matroska,webm", matroska(4, b"\x94", 20), 0),
    ("matroska,webm", matroska(4, b"\x94", 15), 5),
    ("matroska,webm", matroska(9, b"\x40\xc8", 200), 0),  # two bytes of length
    ("matroska,webm", matroska(9, b"\x40\xc8", 150), 50),
    ("matroska,webm", matroska(4, b"\x01\x00\x00\x00\x00\x00\x00\x40", 60), 4),  # eight bytes
    ("matroska,webm", matroska(4, b"\xff", 3), 0),  # unknown, as in a live recording
    ("matroska,webm", matroska(4, b"\x01" + b"\xff" * 7, 3), 0),
    ("matroska,webm", b"\x1a\x45\xdf\xa4" + bytes(30), 0),
    ("asf", asf(300, 300), 0),
    ("asf", asf(300, 260), 40),
    ("asf", bytes(200), 0),
    ("gif", b"GIF89a" + bytes(9) + b";", 0),
    ("mpeg", b"\0\0\1\xba" + bytes(9), 0),
]


@pytest.mark.parametrize(("name", "content", "missing"), CASES, ids=[f"{c[0]} {n}" for n, c in enumerate(CASES)])
def test_bytes_that_are_stated_and_not_there(tmp_path, name, content, missing):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    expected = f"the last {missing} of {len(content) + missing} bytes are missing" if missing else ""
    assert missing_end(path, name) == expected


def test_a_gif_ends_in_its_mark(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + bytes(9))
    assert missing_end(tmp_path / "a.gif", "gif") == "its end mark is missing"
