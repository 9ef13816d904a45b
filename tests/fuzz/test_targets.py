"""A few hundred spoilt files for every parser, by hypothesis; `python -m tests.fuzz` looks longer and closer."""

import json
import resource
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, feed

ODD = (None, True, -1, 0, 2**63, 1e308, float("nan"), float("inf"), "", "x" * 300, "../..", "\0", [], {}, [[]], [None])
EDITS = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "repeat"]), st.integers(0, 1 << 16), st.binary(max_size=12)),
    min_size=1,
    max_size=6,
)


def spoil(data: bytes, edits) -> bytes:
    """Change a file here and there."""
    content = bytearray(data)
    for kind, place, new in edits:
        place %= len(content) + 1
        if kind == "cut":
            del content[place:]
        elif kind == "repeat":
            content[place:place] = content[max(0, place - 40) : place] * (1 + len(new))
        else:
            content[place : place + len(new) * (kind == "set")] = new
    return bytes(content)


def places(value, path=()):
    """All places in what JSON holds."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def spoil_json(data: bytes, choice: int, odd) -> bytes:
    """Put an odd value at some place."""
    content = json.loads(data)
    every = list(places(content))
    path = every[choice % len(every)]
    if not path:
        return json.dumps(odd).encode()
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = odd
    return json.dumps(content).encode()


@pytest.mark.parametrize("name", TARGETS)
def test_sound_files_are_read(name, tmp_path):
    for seed in TARGETS[name].seeds:
        assert feed(TARGETS[name], seed, tmp_path) == "read"


@pytest.mark.parametrize("name", TARGETS)
def test_spoilt_files_are_read_or_refused_in_one_line(name, tmp_path):
    target, counts = TARGETS[name], {"read": 0, "refused": 0}

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=200), st.tuples(st.sampled_from(target.seeds), EDITS)))
    def spoilt(case):
        started = time.monotonic()
        data = case if isinstance(case, bytes) else spoil(*case)
        counts["read" if feed(target, data, tmp_path) == "read" else "refused"] += 1
        assert time.monotonic() - started < 20

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spoilt()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "half a gigabyte for small files"
    assert counts["refused"] > 20  # a parser that takes everything would pass otherwise


NPY = b"\x93NUMPY\x01\x00v\x00"
FOUND = [
    # A header that Python's tokenizer refuses with an error of its own.
    ("sequences", NPY + b"{" + NPY + b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 4, 4, 4), }" + b" " * 99),
    # One that is refused in several lines.
    ("sequences", b"\x93NUMPY\x01\x00\x00\x40" + b" " * 0x4000),
]


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_fuzzing_found_is_refused(name, data, tmp_path):
    assert feed(TARGETS[name], data, tmp_path) != "read"


@pytest.mark.parametrize("name", ["shard_index", "run_config"])
def test_odd_values_at_any_place_of_json(name, tmp_path):
    target = TARGETS[name]

    @settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 200), st.sampled_from(ODD))
    def odd(choice, value):
        feed(target, spoil_json(target.seeds[0], choice, value), tmp_path)

    odd()


def test_deep_nesting(tmp_path):
    for name in ("shard_index", "run_config"):
        for text in (b"[" * 50_000, b'{"a":' * 50_000):
            assert feed(TARGETS[name], text, tmp_path) != "read"
