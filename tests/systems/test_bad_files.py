"""In every system, a file that raises what nobody foresaw stops no other: it gets a line, the others their answer."""

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tfav.systems import SYSTEMS

FILES = ["a.mp4", "bad.mp4", "c.mp4"]


def predictor(path, **options):
    if Path(path).name == "bad.mp4":
        raise cv2.error("(-215:Assertion failed) !ssize.empty() in function 'resize'")
    return {"path": str(path), "ranking": []}


def fake(monkeypatch, system):
    """Puts a predictor in the place of the system's, which needs a run."""
    if system == "cnn_lstm":
        from tfav.systems.cnn_lstm import clip_reader

        predict = importlib.import_module("tfav.systems.cnn_lstm.predict")

        config = predict.Config.preset("demo", num_frames=2)
        run = type("Run", (), {"dir": Path("run"), "metadata": {"labels": ["x", "y"]}})
        monkeypatch.setattr(predict, "open_run", lambda *arguments: (run, config))
        monkeypatch.setattr(predict, "load_scorer", lambda run_dir, config: lambda clip: np.array([0.25, 0.75]))
        monkeypatch.setattr(clip_reader, "read_clip", lambda path, *_: predictor(path) and clip_reader.Clip([], []))
    elif system == "two_stream":
        predict = importlib.import_module("tfav.systems.two_stream.predict")

        monkeypatch.setattr(predict, "_streams_of", lambda run_dir: {"spatial": "s", "motion": "m"})
        monkeypatch.setattr(predict, "_open_streams", lambda *args, **options: (predictor, ["x", "y"]))
    else:
        prediction = importlib.import_module(f"tfav.systems.{system}.predict")
        if system == "next_frame":
            run = type("Run", (), {"metadata": {}})
            monkeypatch.setattr(prediction, "open_run", lambda *arguments: (run, None))
        monkeypatch.setattr(prediction, "open_predictor", lambda *args, **options: predictor)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_bad_file_stops_no_other(monkeypatch, tmp_path, system):
    fake(monkeypatch, system)
    module = importlib.import_module(f"tfav.systems.{system}")
    options = {} if system in ("cnn_lstm", "two_stream") else {"out": tmp_path}
    rows = module.predict_files(tmp_path, FILES, **options)["files"]
    assert [Path(row["path"]).name for row in rows] == FILES
    assert ["error" in row for row in rows] == [False, True, False]
    assert "bad.mp4: not expected: error: " in rows[1]["error"] and "\n" not in rows[1]["error"]


def test_a_scorer_that_fails_for_one_clip_stops_no_other(monkeypatch, tmp_path):
    from tfav.systems.cnn_lstm import clip_reader

    predict = importlib.import_module("tfav.systems.cnn_lstm.predict")

    fake(monkeypatch, "cnn_lstm")
    monkeypatch.setattr(clip_reader, "read_clip", lambda path, *_: clip_reader.Clip(path, []))
    monkeypatch.setattr(
        predict, "load_scorer", lambda run_dir, config: lambda clip: predictor(clip.pixels) and np.array([0.5, 0.5])
    )
    rows = predict.predict_files(tmp_path, FILES)["files"]
    assert ["error" in row for row in rows] == [False, True, False]
