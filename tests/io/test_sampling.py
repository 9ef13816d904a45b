"""Which frames: tables of cases, and what holds for all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfav.errors import DataError, UsageError
from tfav.io.sampling import indices_evenly, indices_every_sec


@pytest.mark.parametrize(
    ("num_frames", "n", "expected"),
    [
        (10, 1, [4]),
        (1, 1, [0]),
        (1, 5, [0]),
        (10, 2, [0, 9]),
        (10, 4, [0, 3, 6, 9]),
        (5, 5, [0, 1, 2, 3, 4]),
        (3, 10, [0, 1, 2]),  # a short video gives what it has
        (100, 5, [0, 25, 50, 74, 99]),  # 24.75, 49.5 (the later one), 74.25
    ],
)
def test_evenly(num_frames, n, expected):
    assert indices_evenly(num_frames, n).tolist() == expected


@given(st.integers(1, 10**9), st.integers(1, 300))
def test_evenly_spans_the_whole_length_without_repeats(num_frames, n):
    indices = indices_evenly(num_frames, n)
    assert len(indices) == min(n, num_frames)
    assert np.all(np.diff(indices) > 0)
    if len(indices) > 1:
        assert (indices[0], indices[-1]) == (0, num_frames - 1)
        assert np.ptp(np.diff(indices)) <= 1


@pytest.mark.parametrize(
    ("num_frames", "fps", "every_sec", "expected"),
    [
        (100, 25, 1, [0, 25, 50, 75]),
        (101, 25, 1, [0, 25, 50, 75, 100]),
        (240, 30000 / 1001, 1, [0, 30, 60, 90, 120, 150, 180, 210, 239]),
        (50, 25, 0.5, [0, 13, 25, 38]),  # 12.5 and 37.5: the later one
        (10, 25, 60, [0]),
        (3, 10, 0.05, [0, 1, 1, 2, 2, 2]),  # finer than the frames: 0.05 lies between 0 and 1
        (250, 25, 0.1, [round(2.5 * k + 1e-6) for k in range(100)]),
    ],
)
def test_every_sec_at_a_constant_rate(num_frames, fps, every_sec, expected):
    assert indices_every_sec((num_frames, fps), every_sec).tolist() == expected
    assert indices_every_sec(np.arange(num_frames) / fps, every_sec).tolist() == expected


def test_every_sec_survives_timestamps_rounded_to_milliseconds():
    exact = indices_every_sec((3000, 30000 / 1001), 1)
    rounded = indices_every_sec(np.round(np.arange(3000) * 1001 / 30000, 3), 1)
    assert np.abs(rounded - exact).max() <= 1  # one of two frames that are equally near, and then only
    assert np.mean(rounded == exact) > 0.95


def test_every_sec_takes_what_is_on_screen_while_a_frame_stands_still():
    # Frame 1 stands from 0.04 s to 10 s: seconds 1 to 9 show it, though frame 2 is nearer to second 8.
    times_sec = [0, 0.04, 10, 10.04, 10.08]
    assert indices_every_sec(times_sec, 1).tolist() == [0] + [1] * 9 + [2]


@pytest.mark.parametrize("every_sec", [0, -1, 1e-9, float("nan"), float("inf")])
def test_a_wrong_step_is_a_usage_error(every_sec):
    with pytest.raises(UsageError, match="every_sec must be at least"):
        indices_every_sec((10, 25.0), every_sec)


@pytest.mark.parametrize("call", [lambda: indices_evenly(0, 3), lambda: indices_evenly(3, 0),
                                  lambda: indices_every_sec([], 1), lambda: indices_every_sec((0, 25), 1)])  # fmt: skip
def test_wrong_counts_are_usage_errors(call):
    with pytest.raises(UsageError):
        call()


def test_timestamps_that_cannot_be_are_refused_before_they_fill_the_memory():
    with pytest.raises(DataError, match="timestamps look broken"):
        indices_every_sec([0, 0.04, 4e9], 1)
