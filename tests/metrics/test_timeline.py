"""From windows to segments, by hand; files that say the same; scores of segments."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tfav.metrics import timeline
from tfav.speech.transcripts import read_transcript


def test_a_cell_is_the_mean_of_the_windows_that_hold_it():
    windows = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    cells = timeline.cells_of(windows, every_sec=1.0, window_sec=2.0, duration_sec=4.5)
    np.testing.assert_allclose(cells[:, 0], [1, 0.5, 0.25, 0.5, 0.5])  # cells behind the last window take its
    np.testing.assert_allclose(cells.sum(1), 1)
    one = timeline.cells_of(windows, every_sec=1.0, window_sec=0.5, duration_sec=3.0)
    np.testing.assert_allclose(one, windows)
    smooth = timeline.cells_of(windows, every_sec=1.0, window_sec=0.5, duration_sec=3.0, smooth_sec=1.0)
    assert np.ptp(smooth[:, 0]) < np.ptp(one[:, 0]) and smooth.sum() == pytest.approx(3)


CELLS = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])


def test_segments():
    options = {"every_sec": 0.5, "duration_sec": 1.8}
    found = timeline.find_segments(CELLS, ["a", "b", "none"], **options)
    assert [(s["label"], s["start_sec"], s["end_sec"], s["confidence"]) for s in found] == [
        ("a", 0.0, 1.0, 0.7),
        ("b", 1.5, 1.8, 0.4),
    ]
    sure = timeline.find_segments(CELLS, ["a", "b", "none"], thresholds={"a": 0.7, "b": 0.7, "none": 0.7}, **options)
    assert [(s["label"], s["end_sec"]) for s in sure] == [("a", 0.5)]
    both = timeline.find_segments(CELLS, ["a", "b", "c"], thresholds=dict.fromkeys("abc", 0.3), several=True, **options)
    assert [(s["label"], s["start_sec"]) for s in both] == [("a", 0), ("b", 0.5), ("c", 1.0), ("a", 1.5), ("b", 1.5)]


def test_files_say_the_same(tmp_path):
    segments = timeline.find_segments(CELLS, ["a", "b", "none"], every_sec=1000.5, duration_sec=4002)
    wrote = timeline.write_timeline(tmp_path / "new", "match", {"segments": segments, "every_sec": 1000.5})
    assert [path.rsplit("match")[1] for path in wrote] == list(timeline.ENDINGS)
    rows = csv.DictReader(Path(wrote[0]).read_text("utf-8").splitlines())
    assert [(row["label"], float(row["end_sec"])) for row in rows] == [("a", 2001), ("b", 4002)]
    for path in wrote[1:3]:
        said = read_transcript(path).utterances
        assert [(u.text, u.start_sec, u.end_sec) for u in said] == [("a", 0, 2001), ("b", 3001.5, 4002)]
    assert json.loads(Path(wrote[3]).read_bytes())["segments"] == segments


def test_scores_of_segments():
    def segment(label, start, end):
        return {"label": label, "start_sec": start, "end_sec": end}

    truth = [segment("a", 0, 10), segment("b", 12, 20), segment("a", 30, 40)]
    found = [segment("a", 1, 10), segment("b", 0, 20), segment("a", 30, 36), segment("a", 36, 40)]
    scores = timeline.score_segments(found, truth)
    assert (scores["precision"], scores["recall"]) == (2 / 4, 2 / 3)
    assert scores["f1"] == pytest.approx(4 / 7)
    assert scores["border_error_sec"] == 0.5  # of 1, 0, 0 and 4
    assert timeline.score_segments([], truth) == {"f1": 0, "precision": 0, "recall": 0, "border_error_sec": None}
