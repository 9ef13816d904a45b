"""Two streams opened once: the same answers, told frame by frame, and stopped by a listener."""

import pytest

from tfav.errors import UsageError
from tfav.systems.two_stream import open_predictor, predict_streams


def test_same_answer_and_progress(run_dirs, videos_dir, tmp_path):
    path = sorted(videos_dir.rglob("*.mp4"))[0]
    predict, heard = open_predictor(**run_dirs), []
    row = predict(path, demo=tmp_path / "demo.mp4", progress=lambda share, what: heard.append((share, what)))
    assert {**row, "demo": None} == {**predict_streams(**run_dirs, files=[path])["files"][0], "demo": None}
    shares = [share for share, _ in heard]
    assert shares == sorted(shares) and shares[0] == 0 and 0.5 < shares[-2] <= shares[-1] == 0.8
    assert len(shares) >= 10 and heard[-1][1] == "Drawing the video"


def test_a_listener_stops_it_and_nothing_is_written(run_dirs, videos_dir, tmp_path):
    def stop(share, what):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_predictor(**run_dirs)(sorted(videos_dir.rglob("*.mp4"))[0], demo=tmp_path / "demo.mp4", progress=stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="one stream alone"):
        open_predictor(run_dirs["spatial"])
