"""A video through both streams: the notebook's way on whole arrays gives the same, memory stays, bad files are told."""

import weakref

import av
import cv2
import numpy as np
import pytest

from tests.io.test_optical_flow import moving_frames
from tfav.errors import MediaError, UsageError
from tfav.io.encoding import write_video
from tfav.io.optical_flow import quantize_flow
from tfav.io.video import read_video
from tfav.systems.two_stream import predict_files, predict_streams, video_scores
from tfav.systems.two_stream.demo_video import Moment, Spool
from tfav.systems.two_stream.stream import load_stream
from tfav.systems.two_stream.video_scores import FlowSettings, score_video


@pytest.fixture(scope="module")
def pair(model_files):
    return tuple(load_stream(model_files[kind], kind) for kind in ("spatial", "motion"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """14 frames of a pattern that moves to the right."""
    return write_video(tmp_path_factory.mktemp("clips") / "moves.mp4", moving_frames(14, 40, 56), fps=10)


def score_as_the_notebook(path, spatial, motion, wrap, length=10):
    """Everything in memory: all frames, all flow, all stacks, one call of each network."""
    frames = list(read_video(path).frames)
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0 for frame in frames]
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    flows = [quantize_flow(tvl1.calc(grays[i], grays[i + 1], None), wrap=wrap) for i in range(len(grays) - 1)]

    def batch(pictures, size):
        resized = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in pictures]
        return np.array(resized, np.float32) / 255.0

    stacks = [
        np.stack([flow[..., side] for side in (0, 1) for flow in flows[start : start + length]], axis=-1)
        for start in range(len(flows) - length + 1)
    ]
    spatial_scores = spatial.model(batch(frames, spatial.image_size), training=False).numpy()
    motion_scores = motion.model(batch(stacks, motion.image_size), training=False).numpy()
    return spatial_scores, motion_scores


@pytest.mark.parametrize(("wrap", "workers", "batch_size"), [(False, 0, 3), (True, 2, 8)])
def test_streamed_equals_the_notebooks_whole_arrays(clip, pair, wrap, workers, batch_size):
    scores = score_video(clip, *pair, flow=FlowSettings(wrap=wrap), workers=workers, batch_size=batch_size)
    spatial, motion = score_as_the_notebook(clip, *pair, wrap)
    assert (scores.spatial.shape, scores.motion.shape) == ((14, 5), (4, 5))
    np.testing.assert_allclose(scores.spatial, spatial, atol=1e-6)
    np.testing.assert_allclose(scores.motion, motion, atol=1e-6)
    np.testing.assert_allclose(scores.fused(), (spatial[:4] + motion) / 2, atol=1e-6)
    np.testing.assert_allclose(scores.times_sec, np.arange(14) / 10, atol=1e-6)
    assert scores.warnings == []


def test_json_has_every_frame(clip, model_files, tmp_path):
    labels = ["hop", "skip", "jump", "run", "rest"]
    files = model_files["spatial"], model_files["motion"]
    result = predict_streams(*files, [clip], labels=labels, flow_method="dis", demo=tmp_path / "demo.mp4", top=3)
    (row,) = result["files"]
    assert (row["num_frames"], len(row["frames"]), result["labels"]) == (14, 14, labels)
    for ranked in (row["ranking"], row["spatial"], row["motion"], row["frames"][3]["ranking"]):
        assert len(ranked) == 3 and ranked[0]["label"] in labels
        assert ranked[0]["probability"] >= ranked[1]["probability"]
    assert "motion" in row["frames"][3] and "motion" not in row["frames"][4]
    with av.open(row["demo"]) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, float(stream.average_rate)) == (1152, 864, 10.0)
        assert sum(1 for _ in container.decode(stream)) == 4


def test_trained_runs_predict_with_their_own_flow(run_dirs, videos_dir):
    video = sorted(videos_dir.rglob("*.mp4"))[0]
    flow = FlowSettings.of(load_stream(run_dirs["motion"], "motion"))
    assert (flow.method, flow.bound, flow.size) == ("dis", 8.0, 32)
    (row,) = predict_streams(run_dirs["spatial"], run_dirs["motion"], [video])["files"]
    assert {"move_left", "grow"} <= {rank["label"] for rank in row["ranking"]} | set(
        predict_streams(run_dirs["spatial"], run_dirs["motion"], [video])["labels"]
    )
    assert len(row["frames"]) == 10 and "motion" in row["frames"][6]
    with pytest.raises(UsageError, match=r"one stream alone. Give both"):
        predict_files(run_dirs["motion"], [video])


# Bad input ----------------------------------------------------------------------------------------------------------


def predict_one(model_files, path):
    files = model_files["spatial"], model_files["motion"]
    return predict_streams(*files, [path], flow_method="dis", workers=0)["files"][0]


def test_too_short(tmp_path, pair, model_files):
    path = write_video(tmp_path / "ten.mp4", moving_frames(10, 32, 32), fps=25)
    with pytest.raises(MediaError, match=r"ten.mp4: 10 frames can be read, and a stack of 10 .* needs 11"):
        score_video(path, *pair, flow=FlowSettings("dis"))
    assert "needs 11" in predict_one(model_files, path)["error"]
    eleven = write_video(tmp_path / "eleven.mp4", moving_frames(11, 32, 32), fps=25)
    assert sum("motion" in frame for frame in predict_one(model_files, eleven)["frames"]) == 1
    one = write_video(tmp_path / "one.mp4", moving_frames(1, 32, 32), fps=25)
    assert "1 frames can be read" in predict_one(model_files, one)["error"]


def test_a_still_video(tmp_path, model_files):
    path = write_video(tmp_path / "still.mp4", np.full((13, 32, 32, 3), 90, np.uint8), fps=25)
    files = model_files["spatial"], model_files["motion"]
    row = predict_streams(*files, [path], demo=tmp_path / "demo.mp4", workers=0)["files"][0]
    assert "nothing moves in it" in row["warnings"][0]
    assert len(row["ranking"]) == 5


def test_a_video_whose_size_changes(tmp_path, model_files):
    """MPEG-2 may restart at another size midway; frames come in the size of the first."""
    parts = []
    for number, size in enumerate([(48, 64), (96, 128)]):
        path = tmp_path / f"{number}.mpg"
        with av.open(str(path), "w", format="mpeg2video") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuv420p"
            for frame in moving_frames(8, *size):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        parts.append(path.read_bytes())
    (tmp_path / "grows.mpg").write_bytes(b"".join(parts))
    row = predict_one(model_files, tmp_path / "grows.mpg")
    assert row["num_frames"] >= 14
    assert sum("motion" in frame for frame in row["frames"]) == row["num_frames"] - 10


def test_a_corrupt_frame_in_the_middle(tmp_path, model_files):
    path = tmp_path / "hurt.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 48, 64, "yuv420p", 5
        for frame in moving_frames(30, 48, 64):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    data = bytearray(path.read_bytes())
    start = len(data) // 2
    data[start : start + 400] = bytes(400)
    path.write_bytes(data)
    row = predict_one(model_files, path)
    assert row["num_frames"] > 11
    assert sum("motion" in frame for frame in row["frames"]) == row["num_frames"] - 10
    if row["num_frames"] < 30:
        assert "truncated or corrupt" in row["warnings"][0]


def test_files_that_cannot_be_read_stop_no_other(tmp_path, clip, model_files):
    (tmp_path / "empty.mp4").touch()
    files = [tmp_path / "none.mp4", tmp_path / "empty.mp4", clip]
    rows = predict_streams(model_files["spatial"], model_files["motion"], files, flow_method="dis")["files"]
    assert ["error" in row for row in rows] == [True, True, False]
    assert "no such file" in rows[0]["error"]


def test_wrong_calls(clip, model_files):
    files = model_files["spatial"], model_files["motion"]
    with pytest.raises(UsageError, match="one video file"):
        predict_streams(*files, [clip, clip], demo="demo.mp4")
    with pytest.raises(UsageError, match=r"demo.gif: the demo video is written as .mp4"):
        predict_streams(*files, [clip], demo="demo.gif")
    with pytest.raises(UsageError, match="unknown flow method"):
        predict_streams(*files, [clip], flow_method="lucas")
    with pytest.raises(UsageError, match="names 2 classes, the networks tell 5 apart"):
        predict_streams(*files, [clip], labels=["a", "b"])


def test_spool_gives_back_in_order():
    with Spool() as spool:
        for level in (0, 100, 200):
            plane = np.full((30, 40), level, np.uint8)
            spool.add(Moment(np.full((30, 40, 3), (level, 50, 20), np.uint8), plane, 255 - plane))
        moments = list(spool)
    assert [int(m.u[0, 0]) for m in moments] == [0, 100, 200]
    for moment in moments:
        np.testing.assert_allclose(moment.rgb[15, 20], (moment.u[0, 0], 50, 20), atol=3)
        assert moment.v.ndim == 2


# What is held, and over what the mean is taken ----------------------------------------------------------------------


def test_frames_are_let_go_once_their_window_is_scored(tmp_path, pair, monkeypatch):
    """Of a film of 120 frames only those that a window, a batch or the flow ahead still needs are in memory."""
    path = write_video(tmp_path / "long.mp4", moving_frames(120, 32, 32), fps=25)
    alive, counts = weakref.WeakSet(), []
    decoded = video_scores.iter_frames

    class Tracked(np.ndarray):
        __hash__ = object.__hash__

    def tracked(path):
        for number, time_sec, frame in decoded(path):
            frame = frame.copy().view(Tracked)
            alive.add(frame)
            yield number, time_sec, frame

    monkeypatch.setattr(video_scores, "iter_frames", tracked)
    # As large as the network's, frames would be their own small copies, of which a batch is kept.
    spool = lambda moment: counts.append(len(alive))  # noqa: E731
    scores = score_video(path, *pair, flow=FlowSettings("dis"), workers=0, batch_size=4, keep=spool)
    assert len(scores.spatial) == len(counts) + 1 == 120
    assert max(counts) < 30  # a window of 10, a batch of 4 and twice that ahead; all would be 120


def test_rankings_are_the_mean_over_the_whole_video(tmp_path, model_files):
    """Dark frames and then bright noise: the mean of all windows, which no single one of them gives."""
    frames = moving_frames(14, 32, 32) // 16
    frames[7:] = np.random.default_rng(0).integers(0, 256, frames[7:].shape, np.uint8)
    clip = write_video(tmp_path / "two.mp4", frames, fps=25)
    files, labels = (model_files["spatial"], model_files["motion"]), ["hop", "skip", "jump", "run", "rest"]
    (row,) = predict_streams(*files, [clip], labels=labels, flow_method="dis", workers=0)["files"]

    def table(kind):
        found = [
            {rank["label"]: rank["probability"] for rank in frame[kind]} for frame in row["frames"] if kind in frame
        ]
        return np.array([[ranks[label] for label in labels] for ranks in found])

    for kind in ("spatial", "motion", "ranking"):
        each = table(kind)
        assert len(each) == (14 if kind == "spatial" else 4)
        mean = {rank["label"]: rank["probability"] for rank in row[kind]}
        np.testing.assert_allclose([mean[label] for label in labels], each.mean(0), atol=3e-6)
        assert [rank["probability"] for rank in row[kind]] == sorted(mean.values(), reverse=True)
        assert np.abs(each[0] - each.mean(0)).max() > 2e-5  # the first window alone would be seen
    np.testing.assert_allclose(table("ranking"), (table("spatial")[:4] + table("motion")) / 2, atol=3e-6)
