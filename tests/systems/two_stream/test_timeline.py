"""What happens when in a long video: a window is its stretch, segments and their files, in memory that stays."""

import json

import numpy as np
import pytest

from tfav import cli
from tfav.errors import MediaError, UsageError
from tfav.io.encoding import write_video
from tfav.io.video import read_video
from tfav.live import Window
from tfav.metrics.late_fusion import Fusion
from tfav.systems.two_stream import predict_files, predict_streams, video_scores
from tfav.systems.two_stream.stream import load_stream

FUSION = Fusion((2.0, 0.5), (0.3,))


@pytest.fixture(scope="module")
def long_video(videos_dir, tmp_path_factory):
    """Four clips of half a second, one after the other, at 20 frames a second."""
    frames = [read_video(path).frames for path in sorted(videos_dir.glob("*/*_g00_*.mp4"))[:4]]
    return write_video(tmp_path_factory.mktemp("long") / "match.mp4", np.concatenate(frames), fps=20)


def test_a_window_is_its_stretch(run_dirs, long_video, tmp_path):
    streams = [load_stream(run_dirs[kind], kind) for kind in ("spatial", "motion")]
    scores = video_scores.score_video(long_video, *streams, workers=0, fusion=FUSION)
    windows = scores.windows(0.25, 0.5)
    assert len(windows.probabilities) == 8 and windows.duration_sec == pytest.approx(2.0)  # the last is half there
    for number in (0, 5):
        frames = read_video(long_video).frames[5 * number : 5 * number + 10]
        cut = scores._replace(
            spatial=scores.spatial[5 * number : 5 * number + 10], motion=scores.motion[5 * number : 5 * number + 7]
        )
        np.testing.assert_allclose(windows.probabilities[number], cut.whole(), atol=1e-6)
        alone = write_video(tmp_path / f"{number}.mp4", frames, fps=20, crf=0)
        found = video_scores.score_video(alone, *streams, workers=0, fusion=FUSION)
        np.testing.assert_allclose(windows.probabilities[number], found.whole(), atol=0.1)  # encoded again
    short = scores.windows(0.05, 0.05).probabilities  # shorter than a stack of three: the one that begins there
    np.testing.assert_allclose(short[7], scores.fused()[7], atol=1e-6)
    assert len(scores.windows(1.0, 9.0).probabilities) == 1


def test_segments_and_their_files(run_dirs, long_video, tmp_path, capsys):
    command = ["predict", "two_stream", "--spatial", str(run_dirs["spatial"]), "--motion", str(run_dirs["motion"])]
    options = ["--every", "0.25", "--smooth-sec", "0", "--captions", "--json"]
    assert cli.main([*command, *options, str(long_video), str(tmp_path / "gone.mp4")]) == 1
    said = capsys.readouterr().out
    row, missing = json.loads(said.splitlines()[-1])["files"]
    assert row["window_sec"] == 0.5 and row["segments"] and "no such file" in missing["error"]
    assert f"00:00:00.000 - 00:00:0{row['segments'][0]['end_sec']:.3f}" in said
    folder = run_dirs["motion"] / "predictions"
    endings = [".csv", ".srt", ".vtt", ".timeline.json", ".mp4"]
    assert row["wrote"] == [str(folder / f"match{ending}") for ending in endings]
    assert len(read_video(row["wrote"][-1]).frames) == 40
    ends = [0.0, *(segment["end_sec"] for segment in row["segments"])]
    assert [segment["start_sec"] for segment in row["segments"]] == ends[:-1] and ends[-1] == 2.0
    smooth = predict_files(None, long_video, **run_dirs, every=0.25, window_sec=0.3, out=tmp_path)["files"][0]
    assert smooth["window_sec"] == 0.3 and smooth["wrote"][0] == str(tmp_path / "match.csv")
    stored = [json.loads((f / "match.timeline.json").read_bytes())["probabilities"] for f in (folder, tmp_path)]
    assert np.abs(np.diff(stored[1], axis=0)).sum() < np.abs(np.diff(stored[0], axis=0)).sum()


def test_a_live_window_is_scored_as_a_video_of_its_frames(run_dirs, long_video, monkeypatch):
    streams = [load_stream(run_dirs[kind], kind) for kind in ("spatial", "motion")]
    flow, frames = video_scores.FlowSettings.of(streams[1]), list(read_video(long_video).frames)
    expected = video_scores.score_video(long_video, *streams, workers=0, fusion=FUSION)
    scorer = video_scores.WindowScorer(*streams, flow, FUSION)
    computed, iter_flow = [], video_scores.iter_flow
    counted = lambda frames, *given, **options: computed.append(len(frames) - 1) or iter_flow(frames, *given, **options)  # noqa: E731
    monkeypatch.setattr(video_scores, "iter_flow", counted)
    for first, stop in ((0, 8), (2, 10), (2, 10), (20, 28)):
        kept = [scorer.kept(frame) for frame in frames[first:stop]]
        scores = scorer(Window(kept, np.arange(first, stop) / 20, range(first, stop)))
        np.testing.assert_allclose(scores.spatial, expected.spatial[first:stop], atol=1e-5)
        np.testing.assert_allclose(scores.motion, expected.motion[first : stop - 3], atol=1e-5)
    assert computed == [7, 2, 7]  # what two windows share is computed once
    with pytest.raises(
        MediaError, match=r"3 frames in a window, and a stack of 3 .* needs 4. Give a longer --window-sec"
    ):
        scorer(Window(kept[:3], np.arange(3) / 20, range(3)))


def test_live(run_dirs, long_video, capsys):
    command = ["live", "two_stream", "--source", str(long_video), "--no-window", "--window-sec", "0.4", "--top", "2"]
    streams = ["--spatial", str(run_dirs["spatial"]), "--motion", str(run_dirs["motion"]), "--flow-method", "farneback"]
    assert cli.main([*command, *streams, "--json"]) == 0
    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert last["report"]["windows"] == len(rows) > 0 and {len(row["ranking"]) for row in rows} == {2}
    opened = [load_stream(run_dirs[kind], kind) for kind in ("spatial", "motion")]
    flow = video_scores.FlowSettings.of(opened[1], "farneback")
    windows = video_scores.score_video(long_video, *opened, flow=flow, workers=0)
    for row in (row for row in rows if row["end_sec"] - row["start_sec"] == pytest.approx(0.4)):
        first = round(row["start_sec"] * 20)
        best = windows.whole(first, first + 8 - 3)
        assert row["ranking"][0]["probability"] == pytest.approx(best.max(), abs=1e-4)
    assert cli.main(command) == 2 and "needs --run-dir of a fusion" in capsys.readouterr().err


def test_what_it_needs(model_files, run_dirs, long_video, tmp_path):
    with pytest.raises(UsageError, match=r"no run folder that the segments could go to. Give --out"):
        predict_streams(**model_files, files=long_video, every=1.0)
    with pytest.raises(UsageError, match=r"does not tell how long its clips were. Give --window-sec"):
        predict_streams(**model_files, files=long_video, every=1.0, out=tmp_path)
    with pytest.raises(UsageError, match=r"--demo shows one answer.*--captions"):
        predict_streams(**run_dirs, files=long_video, every=1.0, demo=tmp_path / "demo.mp4")
