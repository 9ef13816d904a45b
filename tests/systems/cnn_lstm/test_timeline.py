"""What happens when in a long video: each window as if it were cut out, frames seen once, files, damage."""

import dataclasses
import importlib
import json

import keras
import numpy as np
import pytest

from tfav import cli
from tfav.errors import UsageError
from tfav.io.encoding import write_video
from tfav.io.video import read_video
from tfav.systems.cnn_lstm import Config, build_model, clip_reader, predict_files
from tfav.systems.cnn_lstm.train import start_run

predict = importlib.import_module("tfav.systems.cnn_lstm.predict")  # the package's `predict` is the function


@pytest.fixture(scope="module")
def long_video(videos, tmp_path_factory):
    """Five clips of half a second, one after the other, at 20 frames a second."""
    frames = [read_video(path).frames for path in sorted(videos.glob("*/*_g00_*.mp4"))[:5]]
    return write_video(tmp_path_factory.mktemp("long") / "match.mp4", np.concatenate(frames), fps=20)


@pytest.fixture(scope="module")
def grid_run(small_config, tmp_path_factory):
    """A run whose backbone sees frames as they are; its weights are random."""
    config = dataclasses.replace(small_config, subtract_mean=False, num_classes=6, num_frames=5)
    folder = tmp_path_factory.mktemp("grid") / "run"
    start_run(config, folder)
    keras.utils.set_random_seed(3)
    build_model(config).save(folder / "best.keras")
    return folder


@pytest.mark.parametrize("views", [("frame",), ("signed_change_crop", "change")])
def test_a_window_is_the_clip_of_its_stretch(long_video, views):
    fields = {"num_frames": 4, "image_size": 32, "backbone": "mobilenet_v2", "backbone_mode": "cached"}
    config, found = Config(**fields, views=views), clip_reader.Pass()
    windows = list(clip_reader.iter_windows(long_video, config, 0.3, 0.5, found))
    assert len(windows) == 8 and found.duration_sec == pytest.approx(2.5) and not found.warnings
    for number, clip in enumerate(windows):
        cut = clip_reader.read_clip(long_video, config, (0.3 * number, 0.3 * number + 0.5))
        np.testing.assert_array_equal(clip.pixels, cut.pixels)
    assert len(list(clip_reader.iter_windows(long_video, config, 0.5, 9.0, clip_reader.Pass()))) == 1


def test_frames_of_windows_that_overlap_are_seen_once(grid_run, long_video, monkeypatch):
    run, config = predict.open_run(grid_run, "cnn_lstm", Config)
    networks, seen = predict.open_networks(run.dir, config), []
    halves = predict._halves

    def counting(*given):
        look, answer = halves(*given)
        return lambda frames: seen.append(frames) or look(frames), answer

    monkeypatch.setattr(predict, "_halves", counting)
    rows = predict._score_on_grid(long_video, config, networks, 0.1, 0.5, clip_reader.Pass())
    frames = np.concatenate(seen)
    assert len(frames) == 25  # every 0.1 s, where windows of 0.5 s with 5 frames begin
    assert len(rows) == 22  # of them the last one is not whole
    clip = clip_reader.Clip(frames[None, 7:12], np.ones(5, bool))
    np.testing.assert_allclose(rows[7], predict.load_scorer(run.dir, config)(clip), atol=1e-5)
    sparse = predict._score_on_grid(long_video, config, networks, 1.0, 0.5, clip_reader.Pass())
    np.testing.assert_allclose(sparse[:2], rows[[0, 10]], atol=1e-5)


def test_segments_and_their_files(grid_run, run_dir, long_video, tmp_path, capsys):
    command = ["predict", "cnn_lstm", "--run-dir", str(grid_run), "--every", "0.25", "--smooth-sec", "0", "--captions"]
    assert cli.main([*command, "--json", str(long_video)]) == 0
    said = capsys.readouterr().out
    (row,) = json.loads(said.splitlines()[-1])["files"]
    assert row["window_sec"] == 0.5 and row["segments"]  # the length of the clips in training
    assert f"00:00:00.000 - 00:00:0{row['segments'][0]['end_sec']:.3f}" in said
    assert [path.removeprefix(f"{grid_run}/predictions/match") for path in row["wrote"]] == [
        ".csv",
        ".srt",
        ".vtt",
        ".timeline.json",
        ".mp4",
    ]
    assert len(read_video(row["wrote"][-1]).frames) == 50
    ends = [0.0, *(segment["end_sec"] for segment in sorted(row["segments"], key=lambda s: s["end_sec"]))]
    assert sorted(segment["start_sec"] for segment in row["segments"]) == ends[:-1] and ends[-1] == 2.5
    moving = predict_files(run_dir, [long_video, tmp_path / "gone.mp4"], every=0.5, out=tmp_path)["files"]
    assert moving[0]["segments"] and "no such file" in moving[1]["error"]


def test_damage_is_told_and_what_comes_before_it_is_used(grid_run, long_video, tmp_path):
    broken, whole = tmp_path / "broken.mp4", long_video.read_bytes()  # its index is in front
    broken.write_bytes(whole[: len(whole) * 2 // 3])
    (row,) = predict_files(grid_run, broken, every=0.5, out=tmp_path)["files"]
    assert "truncated" in row["warnings"][0] and 0.2 < row["duration_sec"] < 2.5


def test_live_answers_are_those_of_the_same_stretch(grid_run, long_video, capsys):
    command = ["live", "cnn_lstm", "--run-dir", str(grid_run), "--source", str(long_video), "--no-window", "--top", "6"]
    assert cli.main([*command, "--json"]) == 0
    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last["report"]["frames"] == 50 and last["report"]["windows"] == len(rows) and not last["report"]["error"]
    assert rows[-1]["time_sec"] == pytest.approx(2.45) and all(row["delay_sec"] > 0 for row in rows)
    run, config = predict.open_run(grid_run, "cnn_lstm", Config)
    score = predict.load_scorer(run.dir, config)
    whole = [
        row for row in rows if row["end_sec"] - row["start_sec"] == pytest.approx(0.5)
    ]  # none of its frames was late
    assert whole
    for row in whole[-3:]:
        clip = clip_reader.read_clip(long_video, config, (row["start_sec"], row["end_sec"]))
        assert row["ranking"] == predict.ranking(score(clip), run.metadata["labels"], 6)
    options = {"window_sec": 0.3, "top": 2}
    live = predict.open_live(grid_run, **options)
    found = live.answer(predict.Window([live.keep(np.zeros((40, 60, 3), np.uint8))] * 2, np.array([0, 0.05]), (0, 1)))
    assert (live.window_sec, len(found["ranking"])) == (0.3, 2)


def test_a_run_on_frame_folders_needs_the_length_of_a_window(grid_run, long_video, tmp_path):
    (grid_run / "clips.json").rename(tmp_path / "clips.json")
    with pytest.raises(UsageError, match=r"--window-sec"):
        predict_files(grid_run, long_video, every=0.5)
    (tmp_path / "clips.json").rename(grid_run / "clips.json")
