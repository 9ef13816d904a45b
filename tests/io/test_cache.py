"""Paths in a cache: the same parts give the same path, and anything else another one."""

import os
from pathlib import Path

import numpy as np

from tfav.io.cache import keyed_path


def test_other_parts_are_another_path(tmp_path, monkeypatch):
    weights = [np.arange(4.0), np.ones((2, 2))]
    first = keyed_path(tmp_path, "features", "a", 1, weights=weights)
    assert first == keyed_path(tmp_path, "features", "a", 1, weights=weights) and first.parent == tmp_path
    others = [
        keyed_path(tmp_path, "features", "a", 1),
        keyed_path(tmp_path, "features", "a", "1", weights=weights),
        keyed_path(tmp_path, "features", "a1", weights=weights),
        keyed_path(tmp_path, "features", "a", 1, weights=[weights[0] + 1, weights[1]]),
    ]
    assert len({first, *others}) == 5
    monkeypatch.chdir(tmp_path)
    assert keyed_path(tmp_path, "frames", Path("v")) == keyed_path(tmp_path, "frames", tmp_path / "v")
    assert keyed_path(tmp_path, "frames", Path(os.fsdecode(b"\xe9")))
