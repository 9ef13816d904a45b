"""A run opened once says of each video what `predict_files` says."""

import numpy as np
import pytest

from tfav.errors import MediaError
from tfav.io.images import write_picture
from tfav.systems.cnn_lstm import open_predictor, predict_files


def test_same_answer_and_progress(run_dir, videos, tmp_path):
    paths = sorted(videos.glob("grow/*.mp4"))[:2]
    predict, heard = open_predictor(run_dir), []
    rows = [predict(path, progress=lambda share, what: heard.append(share)) for path in paths]
    assert rows == predict_files(run_dir, paths)["files"]
    assert heard == [0.0, 0.5, 0.0, 0.5]
    with pytest.raises(MediaError, match="no such file"):
        predict(tmp_path / "gone.mp4")


def test_what_is_odd_about_a_clip_is_told_with_its_ranking(run_dir, tmp_path):
    (tmp_path / "v").mkdir()
    for number in range(6):
        write_picture(tmp_path / "v" / f"{number}.png", np.full((32, 40 + number, 3), 30 * number, np.uint8))
    (row,) = predict_files(run_dir, tmp_path / "v")["files"]
    assert len(row["warnings"]) == 1 and "pictures of 6 sizes" in row["warnings"][0] and row["ranking"]
    assert open_predictor(run_dir)(tmp_path / "v") == row
