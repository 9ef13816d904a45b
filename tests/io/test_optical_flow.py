"""Flow against OpenCV pair by pair, its grey levels, and its folders."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.conftest import PROJECT
from tests.io.clips import write_clip
from tfav.errors import DataError, UsageError
from tfav.io.encoding import write_video
from tfav.io.flow_extraction import count_pictures, extract_flow, folders_of, picture_path
from tfav.io.images import read_picture
from tfav.io.optical_flow import METHODS, compute_flow, iter_flow, quantize_flow

SHIFT = 2  # pixels to the right in each frame


def moving_frames(num_frames=6, height=40, width=56, shift=SHIFT, seed=0):
    """A smooth pattern that moves to the right, `[T, H, W, 3]` uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width + shift * num_frames, 3), dtype=np.uint8)
    pattern = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)
    starts = [shift * (num_frames - number) for number in range(num_frames)]
    return np.stack([pattern[:, start : start + width] for start in starts])


def die_once(flow, witness):
    """A conversion that kills its process, unless it did so before or this is the process of the test."""
    if not witness.exists() and os.getpid() != int(witness.with_suffix(".pid").read_text()):
        witness.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return flow


def notebook_flow(frames):
    """What the notebook computes: one object, grey levels 0-1, pair after pair."""
    grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0 for frame in frames]
    tvl1 = cv2.optflow.DualTVL1OpticalFlow_create()
    return [tvl1.calc(grays[i], grays[i + 1], None) for i in range(len(grays) - 1)]


def test_a_worker_that_is_killed_loses_no_pair(tmp_path, deaths=2):
    (tmp_path / "died.pid").write_text(str(os.getpid()))
    frames, found = moving_frames(16), []
    convert = functools.partial(die_once, witness=tmp_path / "died")
    for flow in iter_flow(iter(frames), "tvl1", workers=2, convert=convert, ahead=6):
        found.append(flow)
        if len(found) % 4 == 0 and len(found) // 4 < deaths:
            assert (tmp_path / "died").exists()
            (tmp_path / "died").unlink()  # and once more
    for mine, reference in zip(found, iter_flow(iter(frames), "tvl1", workers=0), strict=True):
        assert np.array_equal(mine, reference)


@pytest.mark.parametrize("workers", [0, 2])
def test_tvl1_equals_opencv_pair_by_pair(workers):
    frames = moving_frames()
    ours = list(iter_flow(iter(frames), "tvl1", workers=workers))
    theirs = notebook_flow(frames)
    assert len(ours) == len(theirs) == len(frames) - 1
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_array_equal(mine, reference)


@pytest.mark.parametrize("method", METHODS)
def test_a_small_video_does_not_change_the_next_one(method):
    frames = moving_frames(2, 64, 80)
    first = compute_flow(*frames, method)
    compute_flow(*moving_frames(2, 20, 20), method)  # TV-L1 has no room for five scales here
    np.testing.assert_array_equal(compute_flow(*frames, method), first)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_motion(method):
    frames = moving_frames(3, 64, 80)
    flows = list(iter_flow(frames, method, workers=1 if method != "tvl1" else 0))
    np.testing.assert_array_equal(flows[0], compute_flow(frames[0], frames[1], method))
    inside = np.stack(flows)[:, 12:-12, 12:-12]
    assert np.median(inside[..., 0]) == pytest.approx(SHIFT, abs=0.3)
    assert np.median(inside[..., 1]) == pytest.approx(0, abs=0.3)


def test_small_and_narrow_frames_end_no_process():
    """OpenCV's DIS ends the process for 100 x 15, and refuses 2000 x 2; in a process of its own, since it may."""
    code = """
import numpy as np
from tfav.io.optical_flow import METHODS, compute_flow
rng = np.random.default_rng(0)
for size in ((15, 100), (2, 2000), (2000, 2), (8, 48), (100, 15), (2000, 16), (16, 2000), (1, 1), (40, 15)):
    frame = rng.integers(0, 255, size, dtype=np.uint8)
    for method in METHODS:
        flow = compute_flow(frame, np.roll(frame, 1, 1), method)
        assert flow.shape == (*size, 2) and np.isfinite(flow).all(), (size, method)
    still = compute_flow(frame, frame, "dis")
    assert np.abs(still).max() < 0.5, size
print("all")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, cwd=PROJECT)
    assert done.stdout.strip() == "all", done.stderr[-800:]


def test_a_still_video_has_no_flow():
    frames = np.repeat(moving_frames(1), 4, axis=0)
    for method in ("tvl1", "dis"):  # Farneback bends at the edges even here
        assert np.abs(np.stack(list(iter_flow(frames, method, workers=0)))).max() < 1e-3
    assert (quantize_flow(np.zeros((3, 4, 2), np.float32)) == 127).all()


def test_frames_are_read_only_a_little_ahead():
    taken = []

    def source():
        for number, frame in enumerate(moving_frames(30, 24, 24)):
            taken.append(number)
            yield frame

    flows = iter_flow(source(), "dis", workers=1, ahead=4)
    assert taken == []  # nothing happens before it is asked for
    next(flows)
    assert len(taken) == 6
    next(flows)
    assert len(taken) == 7
    flows.close()
    assert sum(1 for _ in iter_flow(moving_frames(30, 24, 24), "farneback", workers=2)) == 29


def test_flow_is_converted_where_it_is_computed():
    frames = moving_frames(3)
    levels = list(iter_flow(frames, "dis", convert=functools.partial(quantize_flow, bound=5.0)))
    np.testing.assert_array_equal(levels[0], quantize_flow(compute_flow(frames[0], frames[1], "dis"), 5.0))


def test_too_few_frames_give_no_flow():
    assert list(iter_flow([], "dis")) == list(iter_flow(moving_frames(1), "dis")) == []


def test_frames_of_two_sizes():
    frames = [*moving_frames(2), np.zeros((10, 12, 3), np.uint8)]
    with pytest.raises(DataError, match="frame 2 is 12x10, the one before 56x40"):
        list(iter_flow(frames, "dis"))
    with pytest.raises(DataError, match="one size"):
        compute_flow(frames[1], frames[2], "dis")


def test_wrong_calls():
    with pytest.raises(UsageError, match=r"unknown flow method 'tv'.*tvl1, dis, farneback"):
        iter_flow([], "tv")
    with pytest.raises(UsageError, match="workers=-1"):
        iter_flow([], workers=-1)
    with pytest.raises(UsageError, match="float64"):
        compute_flow(np.zeros((8, 8)), np.zeros((8, 8)))
    with pytest.raises(UsageError, match="bound=0"):
        quantize_flow(np.zeros(2, np.float32), 0)


@pytest.mark.parametrize(
    ("pixels", "clipped", "wrapped"),
    [(0, 127, 127), (-20, 0, 0), (20, 255, 255), (-25, 0, 225), (25, 255, 30), (10, 191, 191), (-200, 0, 133)],
)
def test_grey_levels(pixels, clipped, wrapped):
    flow = np.full((2, 2), pixels, np.float32)
    assert (quantize_flow(flow) == clipped).all()
    assert (quantize_flow(flow, wrap=True) == wrapped).all()


def test_wrapping_is_what_the_notebook_does():
    flow = np.random.default_rng(0).uniform(-60, 60, (50, 50)).astype(np.float32)
    low, high = -20, 20
    with np.errstate(invalid="ignore"):
        theirs = (255 * (flow - low) / (high - low)).astype(np.int64).astype(np.uint8)
    np.testing.assert_array_equal(quantize_flow(flow, wrap=True), theirs)
    inside = np.abs(flow) <= 20
    np.testing.assert_array_equal(quantize_flow(flow)[inside], theirs[inside])


# Folders ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def videos_dir(tmp_path):
    for name, seed in (("hop/v_hop_g01_c01.mp4", 0), ("skip/v_skip_g01_c01.mp4", 1)):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True)
        write_video(path, moving_frames(6, 48, 64, seed=seed), fps=25)
    return tmp_path / "videos"


def extract(videos_dir, out, **options):
    return extract_flow(videos_dir, out, **({"method": "dis", "workers": 0, "quiet": True} | options))


def test_folders_have_the_layout_of_the_field(videos_dir, tmp_path):
    report = extract(videos_dir, tmp_path / "out")
    assert report.ok and len(report.done) == 2
    assert (tmp_path / "out/jpegs_256/v_hop_g01_c01/frame000001.jpg").exists()
    assert (tmp_path / "out/tvl1_flow/u/v_hop_g01_c01/frame000005.jpg").exists()
    assert (tmp_path / "out/tvl1_flow/v/v_skip_g01_c01/frame000001.jpg").exists()
    assert count_pictures(tmp_path / "out", "v_hop_g01_c01") == (6, 5)
    for folder, level in zip(folders_of(tmp_path / "out", "v_hop_g01_c01")[1:], (140, 127), strict=True):  # u, then v
        picture = read_picture(picture_path(folder, 2))
        assert picture.shape == (48, 64, 3) and abs(np.median(picture[10:-10, 10:-10]) - level) <= 2


def test_processes_write_what_one_process_writes(videos_dir, tmp_path):
    extract(videos_dir, tmp_path / "one", method="tvl1", size=24)
    extract(videos_dir, tmp_path / "two", method="tvl1", size=24, workers=2)
    one, two = (sorted((tmp_path / side).rglob("*.jpg")) for side in ("one", "two"))
    assert len(one) == len(two) == 32
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert cv2.imread(str(one[0])).shape == (24, 32, 3)


def test_what_is_there_is_not_computed_again(videos_dir, tmp_path):
    out = tmp_path / "out"
    extract(videos_dir, out)
    assert len(extract(videos_dir, out).skipped) == 2
    picture_path(folders_of(out, "v_hop_g01_c01").u, 3).unlink()
    assert extract(videos_dir, out).done == ["hop/v_hop_g01_c01.mp4"]
    assert count_pictures(out, "v_hop_g01_c01") == (6, 5)
    (out / "manifests" / "v_skip_g01_c01.json").unlink()  # as after a kill between the renames
    assert extract(videos_dir, out).done == ["skip/v_skip_g01_c01.mp4"]
    assert len(extract(videos_dir, out, method="farneback").done) == 2
    assert json.loads((out / "manifests" / "v_skip_g01_c01.json").read_text())["settings"]["method"] == "farneback"
    assert not list(out.rglob(".partial-*"))


def test_another_video_in_a_videos_place_is_computed_anew(videos_dir, tmp_path):
    videos, out = shutil.copytree(videos_dir, tmp_path / "copied"), tmp_path / "out"
    extract(videos, out)
    hop, skip = (next(videos.glob(f"{label}/*.mp4")) for label in ("hop", "skip"))
    hop.write_bytes(skip.read_bytes())  # of another size, and later
    assert extract(videos, out).done == [f"hop/{hop.name}"]
    stat = hop.stat()
    os.utime(hop, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # of the same size
    assert extract(videos, out).done == [f"hop/{hop.name}"]
    assert len(extract(videos, out).skipped) == 2


def test_bad_videos_are_named_and_stop_no_other(videos_dir, tmp_path):
    (videos_dir / "hop" / "empty.avi").touch()
    write_clip(videos_dir / "hop" / "single.avi", 1)
    write_clip(videos_dir / "hop" / "twin.avi", 3)
    write_clip(videos_dir / "hop" / "twin.mp4", 3)
    report = extract(videos_dir, tmp_path / "out")
    assert len(report.done) == 2
    assert set(report.failed) == {"hop/empty.avi", "hop/single.avi", "hop/twin.avi", "hop/twin.mp4"}
    assert "flow needs two" in report.failed["hop/single.avi"]
    assert "would share the folder twin" in report.failed["hop/twin.mp4"]
    assert not (tmp_path / "out/jpegs_256/single").exists()


def test_folders_that_cannot_be_used(videos_dir, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no videos in it"):
        extract(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="size=3"):
        extract(videos_dir, tmp_path / "out", size=3)
    extract(videos_dir, tmp_path / "out")
    folders = folders_of(tmp_path / "out", "v_hop_g01_c01")
    picture_path(folders.v, 5).unlink()
    with pytest.raises(DataError, match="5 pictures of u and 4 of v"):
        count_pictures(tmp_path / "out", "v_hop_g01_c01")
    picture_path(folders.u, 2).unlink()
    with pytest.raises(DataError, match="frame number 2 is missing"):
        count_pictures(tmp_path / "out", "v_hop_g01_c01")


@pytest.mark.slow
def test_tvl1_of_a_real_clip_equals_opencv(shared_data):
    from tfav.io.video import read_video

    frames = read_video(shared_data("ucf101/abseiling_k400.mp4")).frames[:13]
    for mine, reference in zip(iter_flow(frames, workers=2), notebook_flow(frames), strict=True):
        np.testing.assert_array_equal(mine, reference)


# Viewer -------------------------------------------------------------------------------------------------------------


def test_colours_tell_direction_and_speed():
    from tfav.report.timelines import color_flow, color_wheel

    wheel = color_wheel(101)
    assert (wheel.shape, wheel.dtype) == ((101, 101, 3), np.uint8)
    assert wheel[50, 50].tolist() == wheel[0, 0].tolist() == [255, 255, 255]
    right, down, left, up = wheel[50, 98], wheel[98, 50], wheel[50, 2], wheel[2, 50]
    assert right[0] > 250 and right[1] < 30 and right[2] < 30  # red
    assert down[0] > 250 and down[1] > 200 and down[2] < 30  # yellow
    assert left[0] < 30 and left[2] > 200  # cyan
    assert up[1] < 30 and up[2] > 200  # blue to violet
    flow = np.zeros((4, 4, 2), np.float32)
    assert (color_flow(flow) == 255).all()
    flow[..., 0] = 2
    half, full, beyond = (color_flow(flow, motion)[0, 0, 1] for motion in (4, 2, 1))
    assert 100 < half < 150 and full < 5 and color_flow(flow, 1)[0, 0, 0] < 200 and beyond < 5
    for wrong in (lambda: color_flow(flow[..., 0]), lambda: color_flow(flow, -1)):
        with pytest.raises(UsageError, match="Received"):
            wrong()


def test_the_viewer_is_a_piece_of_a_page(tmp_path):
    from tfav.report.timelines import flow_section

    path = write_video(tmp_path / "a & b.mp4", moving_frames(20, 32, 48), fps=25)
    section = flow_section(path)
    assert section.startswith("<figure>") and "a &amp; b.mp4" in section
    assert section.count("data:image/") == 2 and len(section) < 1_000_000
    with pytest.raises(UsageError, match="one frame only"):
        flow_section(write_video(tmp_path / "one.mp4", moving_frames(1), fps=25))
