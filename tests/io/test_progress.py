"""Listeners hear shares that grow, and can stop the work."""

import pytest

from tfav.io.progress import with_progress


def test_items_pass_and_shares_grow_from_start_to_stop():
    heard = []
    items = list(
        with_progress("abcd", 4, lambda share, what: heard.append((share, what)), "Reading", start=0.2, stop=0.6)
    )
    assert items == list("abcd")
    assert [share for share, _ in heard] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert {what for _, what in heard} == {"Reading"}


def test_more_items_than_were_told_stay_at_the_end():
    shares = []
    list(with_progress(range(5), 2, lambda share, what: shares.append(share), "x"))
    assert shares == [0, 0.5, 1, 1, 1, 1]
    assert list(with_progress([1], 0, lambda share, what: None, "x")) == [1]


def test_a_listener_that_raises_stops_the_work():
    seen = []

    def stop(share, what):
        if share >= 0.5:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        for item in with_progress(range(10), 10, stop, "x"):
            seen.append(item)
    assert seen == [0, 1, 2, 3, 4]
