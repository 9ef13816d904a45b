"""Pictures of motion: signs, gains and the square around it, of bars whose brightness is known."""

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.systems.cnn_lstm import motion_images
from tfav.systems.cnn_lstm.motion_images import Video


def flashing(levels, height=160, width=200):
    """A film whose frames are of one grey each; three channels alike."""
    return Video(np.array(levels, np.uint8)[:, None, None, None].repeat(height, 1).repeat(width, 2).repeat(3, 3), 0.1)


def test_a_signed_change_is_bright_where_it_brightens():
    # At 0.1 s a frame: 100, then 110, then 90; the median of all is 100.
    video = flashing([100, 100, 110, 90, 100])
    since, until, against = motion_images.signed_change_crop(video, 2, 8)[4, 4]
    assert (since, until, against) == (128 + 2 * 10, 128 - 2 * 20, 128 + 2 * 10)
    since, until, against = motion_images.signed_change_crop(video, 3, 8)[4, 4]
    assert (since, until, against) == (128 - 2 * 20, 128 + 2 * 10, 128 - 2 * 10)
    first = motion_images.signed_change_crop(flashing([50, 60, 60]), 0, 8)[4, 4]
    assert first.tolist() == [128, 128 + 20, 128 - 20]  # nothing before it


def test_the_size_of_changes_at_three_distances():
    # 30 frames a second: since two frames ago, since seven ago, against the median.
    levels = [60] * 8 + [70, 70, 75]
    video = flashing(levels)
    video.interval_sec = 1 / 30
    assert motion_images.change(video, 10, 8)[4, 4].tolist() == [3 * 5, int(2.5 * 15), 2 * 15]
    assert motion_images.change(video, 8, 8)[4, 4].tolist() == [3 * 10, 25, 20]
    assert motion_images.change(video, 0, 8)[4, 4].tolist() == [0, 0, 0]
    darker = motion_images.change(flashing([200, 200, 200, 200, 190]), 4, 8)[4, 4]
    assert darker[2] == 20  # its size has no sign


def test_strong_changes_are_cut_and_do_not_wrap():
    made = motion_images.signed_change_crop(flashing([0, 0, 255, 0, 0]), 2, 8)[4, 4]
    assert made.tolist() == [255, 0, 255]


def test_seconds_are_counted_in_frames_of_the_video():
    video = flashing(range(0, 100, 10))
    assert [video.grey_at(5, offset).mean() for offset in (0, 0.1, -0.1, 0.25, -0.04, 0.04, 9, -9)] == pytest.approx(
        [50, 60, 40, 70, 40, 60, 90, 0]
    )


def test_the_square_lies_around_what_moves():
    """A bar of 20 x 20 that jumps to and fro between the columns 120-140 and 150-170, in rows 40-60 of 160."""
    frames = np.full((12, 160, 240, 3), 80, np.uint8)
    for number, frame in enumerate(frames):
        left = 120 if number % 4 < 2 else 150
        frame[40:60, left : left + 20] = 200
    left, top, side = Video(frames).moving_square
    assert left < 120 and left + side > 170 and top < 40 and top + side > 60
    assert 50 < side < 90 and abs(left + side / 2 - 145) < 6 and abs(top + side / 2 - 50) < 6
    still = Video(np.full((4, 160, 240, 3), 80, np.uint8)).moving_square
    assert still[2] == pytest.approx(1.2 * 240, rel=0.08)
    cut = motion_images.signed_change_crop(Video(frames, 0.05), 4, 64)
    # The bar on the left has gone to it two frames ago: its place is bright, the right one's dark.
    assert cut[:, :32, 0].max() > 200 and cut[:, 32:, 0].min() < 60 and cut[2, 2].tolist() == [128, 128, 128]


def test_views_stand_side_by_side_and_the_frame_keeps_its_colours():
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    frames[..., 0], frames[:, :, 30:, 2] = 250, 90
    made = motion_images.compute(Video(frames), np.array([0, 2]), ("change", "frame"), 16)
    assert made.shape == (2, 2, 16, 16, 3) and not made[0].any()
    assert made[1, 0, 8, 2].tolist() == [250, 0, 0] and made[1, 1, 8, 13].tolist() == [250, 0, 90]


def test_names_that_are_no_views():
    motion_images.check(("frame", "signed_change_crop"))
    with pytest.raises(UsageError, match="unknown view 'chnge'"):
        motion_images.check(("frame", "chnge"))
    with pytest.raises(UsageError, match="at least one"):
        motion_images.check(())
