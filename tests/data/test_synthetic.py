"""Made shapes do what their class is called: which way they move, turn and grow, seen from their pixels."""

import numpy as np
import pytest

from tfav.data import synthetic
from tfav.errors import UsageError
from tfav.io.video import probe, read_video


def silhouettes(label, seed=0, num_frames=9, size=64):
    """Where the shape is, `[T, H, W]` bool: what differs from its background."""
    background = np.full((size, size, 3), 60, np.float32)
    look = synthetic.Look("drop", np.array([250.0, 250, 250]), background, 0.0)
    frames = list(synthetic.shape_frames(label, look, np.random.default_rng(seed), num_frames))
    assert all(frame.shape == (size, size, 3) and frame.dtype == np.uint8 for frame in frames)
    return np.stack(frames)[..., 0] > 150


def centers(masks):
    return np.array([np.argwhere(mask).mean(0) for mask in masks])  # row, column


@pytest.mark.parametrize(("label", "sign"), [("move_left", -1), ("move_right", 1)])
def test_moving(label, sign):
    places = centers(silhouettes(label))
    assert (sign * np.diff(places[:, 1]) > 1).all() and np.ptp(places[:, 0]) < 1
    assert 0.3 * 64 < abs(places[-1, 1] - places[0, 1]) < 0.7 * 64


@pytest.mark.parametrize(("label", "sign"), [("grow", 1), ("shrink", -1)])
def test_growing(label, sign):
    masks = silhouettes(label)
    areas = masks.sum((1, 2))
    assert (sign * np.diff(areas) > 0).all() and max(areas) > 4 * min(areas)


@pytest.mark.parametrize(("label", "sign"), [("turn_clockwise", 1), ("turn_anticlockwise", -1)])
def test_turning(label, sign):
    """About a pivot beside it: the way its centre goes is an arc; clockwise as one sees it, with rows downwards."""
    places = centers(silhouettes(label, num_frames=15))
    steps = np.diff(places, axis=0)
    turns = steps[:-1, 1] * steps[1:, 0] - steps[:-1, 0] * steps[1:, 1]  # positive: to the right-hand side
    assert (sign * turns > 0).all()
    swept = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 0], steps[:, 1])))).sum()
    assert 2 * 1.4 * 0.8 < swept < 2 * 2.3


@pytest.mark.parametrize(
    "pair", [("move_left", "move_right"), ("grow", "shrink"), ("turn_clockwise", "turn_anticlockwise")]
)
def test_the_two_of_a_pair_are_each_other_backwards(pair):
    one, other = (silhouettes(label, seed=4) for label in pair)
    np.testing.assert_array_equal(one, other[::-1])


def test_files_are_as_many_and_as_long_as_asked(tmp_path):
    how = {"num_groups": 2, "clips_per_group": 3, "num_frames": 5, "size": 48, "fps": 12.0}
    folder = synthetic.moving_shapes(tmp_path / "a", **how, seed=1)
    files = sorted(folder.rglob("*.mp4"))
    assert folder == tmp_path / "a" and len(files) == 6 * 2 * 3
    assert files[0].relative_to(folder).as_posix() == "grow/v_grow_g00_c00.mp4"
    assert {file.parent.name for file in files} == set(synthetic.MOVING_SHAPES)
    facts = probe(files[0])
    assert (facts.num_frames, facts.width, facts.height, facts.fps) == (5, 48, 48, 12)
    first = read_video(files[0]).frames
    again = synthetic.moving_shapes(tmp_path / "b", **how, seed=1)
    np.testing.assert_array_equal(read_video(again / "grow/v_grow_g00_c00.mp4").frames, first)
    other = synthetic.moving_shapes(tmp_path / "c", **how, seed=2)
    assert np.abs(read_video(other / "grow/v_grow_g00_c00.mp4").frames.astype(int) - first).mean() > 5
    mark = files[0].stat().st_mtime_ns
    synthetic.moving_shapes(tmp_path / "a", **how, seed=1)
    assert files[0].stat().st_mtime_ns == mark  # kept
    for wrong in ({"size": 30}, {"size": 33}, {"num_frames": 3}):
        with pytest.raises(UsageError, match="even size of 32 or more and at least 4 frames"):
            synthetic.moving_shapes(tmp_path / "d", **(how | wrong))


def test_shapes_stand_out_from_their_background():
    for group in range(30):
        look = synthetic._draw_look(np.random.default_rng([0, group]), 32)
        assert np.abs(look.color - look.background.mean((0, 1))).max() >= 110
        assert 2 <= look.noise <= 10 and 60 < look.background.mean() < 180
