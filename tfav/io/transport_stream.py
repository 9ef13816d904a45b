"""Where an MPEG transport stream breaks off: losses, and mere joints of recordings put one behind the other.

Each packet of a stream has a counter. libav calls a frame damaged wherever the counter jumps, which it also does where
one file was appended to another with every frame whole.
"""

from typing import NamedTuple

import numpy as np

_PACKET = 188
_STRIDES = (188, 192, 204)  # plain, with a time code in front (camcorders, Blu-ray), with parity behind (DVB)
_SYNC = 0x47
_CHECKED, _LEAST = 5, 3  # packets that must begin with the mark, and those of them that must be there


class Breaks(NamedTuple):
    """How often a stream's counter jumps: at `joints`, where nothing is lost, and at `losses`."""

    joints: int
    losses: int


def find_packets(data) -> tuple[int, int] | None:
    """Where the packets of a transport stream are.

    Args:
        data: Its first bytes, a kilobyte or more; a recording may begin in the middle of a packet.

    Returns:
        Offset of the first packet and bytes from one to the next; None where it is no transport stream.
    """
    data = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    for stride in _STRIDES:
        for offset in range(min(stride, len(data))):
            marks = data[offset : offset + _CHECKED * stride : stride]
            if len(marks) >= _LEAST and (marks == _SYNC).all():
                return offset, stride
    return None


def count_breaks(path, pid: int) -> Breaks:
    """Count the jumps of one stream's counter.

    A jump is a joint where the new part begins as every writer begins one: the table of programs, then a packet in
    which a frame starts; and where the last packet of the part before was filled up, since it held the end of a frame.

    Args:
        path: The file.
        pid: Number of the stream in it.
    """
    data = np.memmap(path, np.uint8, "r")
    found = find_packets(data[:4096])
    if found is None:
        return Breaks(0, 1)
    offset, stride = found
    count = (len(data) - offset) // stride
    heads = np.array(data[offset : offset + count * stride].reshape(count, stride)[:, :6], np.int32)
    pids = (heads[:, 1] & 0x1F) << 8 | heads[:, 2]
    has_payload = heads[:, 3] >> 4 & 1
    # What does not fill a packet is preceded by a field longer than its own clocks and countdown need.
    length, flags = heads[:, 4], heads[:, 5]
    needed = 1 + 6 * (flags >> 4 & 1) + 6 * (flags >> 3 & 1) + (flags >> 2 & 1)
    is_filled = (heads[:, 3] >> 5 & 1 == 1) & ((length == 0) | (length > needed))
    own = np.flatnonzero((pids == pid) & (has_payload == 1))
    counters = heads[own, 3] & 0xF
    steps = np.diff(counters) % 16
    joints, losses = 0, int((heads[:, 0] != _SYNC).any())  # a part that is no whole number of packets long
    for place in np.flatnonzero(steps > 1):  # 0 is a packet sent twice
        before, after = own[place], own[place + 1]
        starts = heads[after, 1] >> 6 & 1 and (pids[before + 1 : after] == 0).any()
        if starts and is_filled[before]:
            joints += 1
        else:
            losses += 1
    return Breaks(joints, losses)
