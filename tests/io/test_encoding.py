"""Sound written beside pictures comes back at its place."""

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.io.audio import read_audio
from tfav.io.encoding import open_ffmpeg_writer, write_video
from tfav.io.video import probe, read_video

FRAMES = np.random.default_rng(0).integers(0, 255, (29, 32, 40, 3)).astype(np.uint8)


def test_a_flash_and_a_click_stay_together(tmp_path):
    frames, sound = np.zeros_like(FRAMES), np.zeros(19456, np.float32)
    frames[12] = 255
    sound[12 * 640 : 13 * 640] = 0.8 * np.sin(0.5 * np.arange(640))
    path = write_video(tmp_path / "clip.mp4", frames, 25, sound=sound)
    assert probe(path).has_audio
    assert read_video(path).frames.mean((1, 2, 3)).argmax() == 12
    heard = read_audio(path, start_sec=0.0, duration_sec=1.216)
    loud = np.flatnonzero(np.abs(heard) > 0.3)
    assert abs(loud[0] - 12 * 640) < 20 and abs(loud[-1] - 13 * 640) < 20


@pytest.mark.parametrize("sound", [np.zeros((2, 9), np.float32), np.zeros(0, np.float32), np.zeros(9, np.int16)])
def test_sound_that_is_none(tmp_path, sound):
    with pytest.raises(UsageError, match="sound must be"):
        write_video(tmp_path / "clip.mp4", FRAMES, 25, sound=sound)
    assert not list(tmp_path.iterdir())


def test_the_same_frames_make_the_same_file(tmp_path):
    """Small pictures that move: what x264 left unwritten in memory came into the file."""
    from tfav.data import synthetic

    look = synthetic._draw_look(np.random.default_rng([0, 1]), 96)
    frames = list(synthetic.shape_frames("turn_clockwise", look, np.random.default_rng([0, 1, 0, 2]), 20))
    files = {write_video(tmp_path / f"{number}.mp4", frames, 20).read_bytes() for number in range(20)}
    assert len(files) == 1


def test_scikit_videos_writer_writes_what_it_is_given(tmp_path):
    clip = np.repeat(np.repeat(FRAMES[:, ::8, ::8], 8, axis=1), 8, axis=2)  # flat squares, which H.264 keeps
    with open_ffmpeg_writer(tmp_path / "a b.mp4", 12.5) as writer:
        for frame in clip:
            writer.writeFrame(frame)
    written = read_video(tmp_path / "a b.mp4")
    assert written.frames.shape == clip.shape and probe(tmp_path / "a b.mp4").fps == 12.5
    ours = read_video(write_video(tmp_path / "b.mp4", clip, 12.5))
    assert np.abs(written.frames.astype(int) - ours.frames).mean() < 6
    assert np.corrcoef(written.frames.ravel(), clip.ravel())[0, 1] > 0.9


def test_scikit_videos_writer_refuses_a_rate(tmp_path):
    with pytest.raises(UsageError, match="positive"):
        open_ffmpeg_writer(tmp_path / "a.mp4", 0)
