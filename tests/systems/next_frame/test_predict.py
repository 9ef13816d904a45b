"""A run opened once predicts the same as `predict_files`, and tells how far it is."""

from pathlib import Path

import pytest

from tfav.errors import UsageError
from tfav.io.video import read_video
from tfav.systems.next_frame import open_predictor, predict_files


def test_same_answer_and_progress(run_dir, videos, tmp_path):
    predict, heard = open_predictor(run_dir), []
    row = predict(videos / "a.mp4", out=tmp_path / "a", frames=3, progress=lambda share, what: heard.append(share))
    expected = predict_files(run_dir, [videos / "a.mp4"], out=tmp_path / "b", frames=3)["files"][0]
    assert {**row, "wrote": None} == {**expected, "wrote": None}
    for ours, theirs in zip(row["wrote"], expected["wrote"], strict=True):
        assert Path(ours).name == Path(theirs).name and (read_video(ours).frames == read_video(theirs).frames).all()
    assert heard == sorted(heard) and heard[0] == 0 and len(heard) > 2
    with pytest.raises(UsageError, match="no such file"):
        predict(tmp_path / "gone.mp4", out=tmp_path)
