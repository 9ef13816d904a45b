"""Shipped weights, notebook models and demos give what was recorded of them: `python -m tests.golden`."""

import copy

import numpy as np
import pytest

from tests.golden import comparison, recordings

OUTPUTS = [("shipped", system) for system in recordings.SHIPPED]
OUTPUTS += [("notebook", name) for name in recordings.NOTEBOOKS]


@pytest.fixture(scope="module")
def here():
    return recordings.machine()


@pytest.mark.parametrize(("name", "key"), OUTPUTS)
def test_outputs_are_as_recorded(name, key, here):
    recorded = comparison.read(name)
    found = getattr(recordings, name)(key)
    assert not comparison.differences(found, recorded["entries"][key], exact=recorded["machine"] == here)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("system", recordings.DEMOS)
def test_histories_of_demos_are_as_recorded(system, here):
    recorded = comparison.read("demo_histories")
    found = recordings.demo_history(system)
    assert not comparison.differences(found, recorded["entries"][system], exact=recorded["machine"] == here)


def test_every_recording_is_whole():
    for name, keys in (("shipped", recordings.SHIPPED), ("notebook", recordings.NOTEBOOKS)):
        assert sorted(comparison.read(name)["entries"]) == sorted(keys)
    for name in ("small_histories", "demo_histories"):
        assert sorted(comparison.read(name)["entries"]) == sorted(recordings.DEMOS)
    for name in recordings.RECORDINGS:
        for entry in comparison.read(name)["entries"].values():
            assert 5 < sum(1 for _ in comparison.numbers(entry)) < 500


def test_a_difference_is_seen():
    values = np.random.RandomState(0).standard_normal((3, 4, 5))
    entry = {"output": recordings.summary(values), "parameters": 7}
    assert not comparison.differences(copy.deepcopy(entry), entry, exact=True)
    moved = values.copy()
    moved[1, 2, 3] += 1e-4  # none of those whose values are kept: seen by the sums
    for other in (moved, values[::-1], values * (1 + 1e-5), values[:, :, :4]):
        assert comparison.differences({"output": recordings.summary(other), "parameters": 7}, entry, exact=True)
    assert not comparison.differences({"output": recordings.summary(moved), "parameters": 7}, entry, exact=False)
    assert comparison.differences({"output": recordings.summary(values[::-1]), "parameters": 7}, entry, exact=False)
    assert comparison.differences({**entry, "parameters": 8}, entry, exact=False)
    assert comparison.differences({"parameters": 7}, entry, exact=False)
    assert comparison.differences({**entry, "more": entry["output"]}, entry, exact=True)


def test_a_difference_of_histories_is_seen():
    rows = [{"epoch": 1, "loss": 2.0, "accuracy": 0.5, "learning_rate": 0.1}]
    assert not comparison.differences(rows, rows, exact=True)
    for key, change in (("loss", 1e-7), ("accuracy", 1e-9), ("learning_rate", 1e-9), ("epoch", 1)):
        assert comparison.differences([{**rows[0], key: rows[0][key] + change}], rows, exact=True)
    for key, change in (("loss", 0.3), ("accuracy", 0.4), ("learning_rate", 1e-3), ("epoch", 1)):
        assert comparison.differences([{**rows[0], key: rows[0][key] + change}], rows, exact=False)
    assert not comparison.differences([{**rows[0], "loss": 2.1, "accuracy": 0.7}], rows, exact=False)
    assert comparison.differences([{**rows[0], "loss": float("nan")}], rows, exact=False)
    assert comparison.differences(rows + rows, rows, exact=False)


def test_nothing_is_never_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "FOLDER", tmp_path)
    for entries in ({}, {"lipnet": []}, {"lipnet": {}}):
        with pytest.raises(ValueError, match="nothing was recorded"):
            comparison.write("shipped", {"processor": "p"}, entries)
    for values in (np.zeros((2, 3)), np.array([1.0, np.nan]), np.zeros(0)):
        with pytest.raises(ValueError, match="nothing to record"):
            recordings.summary(values)
    assert not list(tmp_path.iterdir()) and comparison.read("shipped")["entries"] == {}
    entries = {"lipnet": [{"epoch": 1, "loss": 0.123456789}], "x": {"output": {"values": [1.5, 2]}, "parameters": 3}}
    comparison.write("shipped", {"processor": "p"}, entries)
    assert comparison.read("shipped") == {"machine": {"processor": "p"}, "entries": entries}


def test_made_weights_go_by_place_alone():
    one, other = recordings.made_weight(3, (3, 3, 4, 5)), recordings.made_weight(4, (3, 3, 4, 5))
    assert one.dtype == np.float32 and not np.array_equal(one, other)
    assert one.std() == pytest.approx(36**-0.5, rel=0.1)
    assert recordings.made_weight(0, (1000,)).min() >= 0.75
