"""A run opened once says of each video what `predict_files` says."""

import pytest

from tfav.errors import MediaError
from tfav.systems.cnn_lstm import open_predictor, predict_files


def test_same_answer_and_progress(run_dir, videos, tmp_path):
    paths = sorted(videos.glob("grow/*.mp4"))[:2]
    predict, heard = open_predictor(run_dir), []
    rows = [predict(path, progress=lambda share, what: heard.append(share)) for path in paths]
    assert rows == predict_files(run_dir, paths)["files"]
    assert heard == [0.0, 0.5, 0.0, 0.5]
    with pytest.raises(MediaError, match="no such file"):
        predict(tmp_path / "gone.mp4")
