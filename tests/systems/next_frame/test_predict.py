"""A run opened once predicts the same as `predict_files`, and tells how far it is."""

from pathlib import Path

import pytest

from tfav.errors import UsageError
from tfav.io.video import read_video
from tfav.systems.next_frame import Config, open_predictor, predict_files
from tfav.training.run_folder import open_run


def test_same_answer_and_progress(run_dir, videos, tmp_path):
    predict, heard = open_predictor(run_dir), []
    row = predict(videos / "a.mp4", out=tmp_path / "a", frames=3, progress=lambda share, what: heard.append(share))
    expected = predict_files(run_dir, [videos / "a.mp4"], out=tmp_path / "b", frames=3)["files"][0]
    assert {**row, "wrote": None} == {**expected, "wrote": None}
    for ours, theirs in zip(row["wrote"], expected["wrote"], strict=True):
        assert Path(ours).name == Path(theirs).name and (read_video(ours).frames == read_video(theirs).frames).all()
    assert heard == sorted(heard) and heard[0] == 0 and heard[-1] <= 1 and len(heard) > 2
    with pytest.raises(UsageError, match="no such file"):
        predict(tmp_path / "gone.mp4", out=tmp_path)


def test_small_frames_are_shown_large_by_whole_pixels_and_no_larger_than_needed(run_dir, videos, tmp_path):
    row = predict_files(run_dir, videos / "b.mp4", out=tmp_path, frames=1)["files"][0]
    shown = read_video(next(path for path in row["wrote"] if path.endswith(".gif"))).frames
    size = open_run(run_dir, "next_frame", Config)[1].image_size
    width = shown.shape[2]
    assert width % size == 0 and 256 <= width < 256 + size
