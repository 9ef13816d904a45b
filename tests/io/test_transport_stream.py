"""Packets found in every layout, and what is a joint or a loss among made ones."""

import numpy as np
import pytest

from tfav.io.transport_stream import Breaks, count_breaks, find_packets


def packet(pid, counter, *, starts=False, filled=False, clock=False):
    head = bytes([0x47, starts << 6 | pid >> 8, pid & 0xFF, (filled or clock) << 5 | 0x10 | counter % 16])
    field = bytes([20 if filled else 7, 0x10 * clock]) if filled or clock else b""
    return (head + field).ljust(188, b"\xff")


def part(num_frames, *, ends_whole=True, pid=256):
    """A table, then frames of three packets, the last of each filled up."""
    packets = [packet(0, 0, starts=True)]
    for number in range(num_frames):
        last = ends_whole or number < num_frames - 1
        packets += [packet(pid, 3 * number, starts=True, clock=True), packet(pid, 3 * number + 1)]
        packets += [packet(pid, 3 * number + 2, filled=True)] if last else []
    return packets


@pytest.mark.parametrize(
    ("packets", "expected"),
    [
        (part(8), Breaks(0, 0)),
        (part(8) + part(8), Breaks(1, 0)),
        (part(8) + part(9) + part(8), Breaks(2, 0)),
        (part(8, ends_whole=False) + part(8), Breaks(0, 1)),
        (part(8)[:-2] + part(8), Breaks(0, 1)),  # ends behind a packet with nothing but a clock
        (part(8)[:12] + part(8)[14:], Breaks(0, 1)),
        (part(8) + part(8)[1:], Breaks(0, 1)),  # no table where the new part begins
        (part(8, pid=300) + part(8, pid=300), Breaks(0, 0)),  # another stream's
    ],
)
def test_joints_and_losses(tmp_path, packets, expected):
    for name, front, behind in (("ts", b"", b""), ("m2ts", b"\0\1\2\3", b""), ("dvb", b"", bytes(16))):
        path = tmp_path / f"a.{name}"
        path.write_bytes(b"".join(front + data + behind for data in packets))
        assert count_breaks(path, 256) == expected
        assert find_packets(path.read_bytes()[50:4000])[1] == 188 + len(front + behind)


def test_other_files_are_no_transport_streams():
    noise = np.random.default_rng(0).integers(0, 256, 4096, np.uint8).tobytes()
    assert find_packets(noise) is None and find_packets(b"GGG no video!" * 400) is None
