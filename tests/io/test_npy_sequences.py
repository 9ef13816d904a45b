"""Files of sequences: layout, memory map, and what is wrong with bad ones."""

import warnings

import numpy as np
import pytest

from tfav.errors import DataError, UsageError
from tfav.io.npy_sequences import open_sequences, write_sequences

SEQUENCES = np.random.default_rng(0).integers(0, 256, (7, 4, 6, 8, 1), np.uint8)  # [N, T, H, W, C]


@pytest.mark.parametrize("channels", [1, 3])
def test_round_trip(tmp_path, channels):
    sequences = np.repeat(SEQUENCES, channels, axis=-1)
    path = write_sequences(tmp_path / "s.npy", [sequences[:3], sequences[3:]], 7)
    assert np.load(path, mmap_mode="r").shape == ((4, 7, 6, 8) if channels == 1 else (4, 7, 6, 8, 3))
    opened = open_sequences(path, "frames")
    np.testing.assert_array_equal(opened, sequences)
    assert isinstance(opened, np.memmap) or isinstance(opened.base, np.memmap)


def test_too_few_sequences_leave_no_file(tmp_path):
    with pytest.raises(UsageError, match="8 sequences were announced, and 7 came"):
        write_sequences(tmp_path / "s.npy", [SEQUENCES], 8)
    assert not list(tmp_path.iterdir())


def saved(path, values):
    np.save(path, values)
    return path


BENCHMARK = np.broadcast_to(np.uint8(9), (20, 3, 64, 64))
BAD = {
    "cut short": (BENCHMARK, lambda path: path.write_bytes(path.read_bytes()[:5000]), "s.npy: cut short"),
    "no array": (BENCHMARK, lambda path: path.write_bytes(b"hello"), "not a .npy file"),
    "empty": (BENCHMARK, lambda path: path.write_bytes(b""), "not a .npy file"),
    "three axes": (np.ones((20, 64, 64), np.uint8) * 9, None, "frames x sequences x height x width, like 20 x 10000"),
    "four channels": (np.ones((2, 2, 4, 4, 4), np.uint8) * 9, None, "Received: 2 x 2 x 4 x 4 x 4"),
    "no sequences": (np.ones((20, 0, 64, 64), np.uint8), None, "Received: 20 x 0 x 64 x 64"),
    "floats": (np.ones((20, 2, 64, 64), np.float32), None, "uint8, 0-255. Received: float32"),
    "scaled": (np.ones((20, 2, 64, 64), np.uint8), None, "no value above 1; pictures are 0-255"),
    "black": (np.zeros((20, 2, 64, 64), np.uint8), None, "nothing but 0"),
    "objects": (np.array([{}] * 3), None, "holds no numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path, name):
    values, spoil, message = BAD[name]
    path = saved(tmp_path / "s.npy", values)
    if spoil:
        spoil(path)
    with pytest.raises(DataError, match=message):
        open_sequences(path)


def test_a_video_is_told_for_what_it_is(tmp_path):
    (tmp_path / "clip.MP4").write_bytes(b"\0\0\0\x18ftypmp42")
    with pytest.raises(DataError, match=r"clip.MP4: a single video\. Give a folder of videos") as raised:
        open_sequences(tmp_path / "clip.MP4")
    assert "pickle" not in str(raised.value)


def test_the_benchmarks_file_has_one_shape(tmp_path):
    path = saved(tmp_path / "mnist_test_seq.npy", BENCHMARK)
    with pytest.raises(DataError, match=r"is 20 x 10000 x 64 x 64. Received: 20 x 3 x 64 x 64"):
        open_sequences(path)
    with pytest.raises(UsageError, match=r"gone.npy: no such file"):
        open_sequences(tmp_path / "gone.npy")


def moving_squares(num_sequences, num_frames, channels=1):
    """`[N, T, 24, 24, C]` uint8: in each sequence a square of its own that moves a pixel a frame."""
    rng = np.random.default_rng(0)
    clips = np.zeros((num_sequences, num_frames, 24, 24, channels), np.uint8)
    for clip in clips:
        x, y, level = rng.integers(0, 16), rng.integers(0, 16), rng.integers(60, 256)
        for time, frame in enumerate(clip):
            frame[y : y + 8, (x + time) % 16 : (x + time) % 16 + 8] = level
    return clips


@pytest.mark.parametrize("counts", [(30, 10), (10, 30), (12, 12), (2, 20), (3, 2)])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_either_axis_may_be_first(tmp_path, counts, channels):
    clips = moving_squares(*counts, channels or 1)
    stored = clips if channels else clips[..., 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened = open_sequences(saved(tmp_path / "frames.npy", np.moveaxis(stored, 1, 0)))
    np.testing.assert_array_equal(opened, clips)
    told = rf"sequences.npy: taken as {counts[0]} sequences of {counts[1]} frames, since its neighbours along the"
    with pytest.warns(UserWarning, match=told):
        opened = open_sequences(saved(tmp_path / "sequences.npy", stored))
    np.testing.assert_array_equal(opened, clips)


def test_what_is_said_is_not_guessed(tmp_path):
    clips = moving_squares(8, 5)[..., 0]
    path = saved(tmp_path / "s.npy", clips)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_sequences(path, "sequences").shape == (8, 5, 24, 24, 1)
        assert open_sequences(path, "frames").shape == (5, 8, 24, 24, 1)
        assert open_sequences(saved(tmp_path / "one.npy", clips[:, :1]), "auto").shape == (1, 8, 24, 24, 1)
        (tmp_path / "s.npy.json").write_text("{}")  # cut by tfav, which writes frames first
        assert open_sequences(path).shape == (5, 8, 24, 24, 1)
    with pytest.raises(UsageError, match=r"one of auto, frames, sequences\. Received: first_axis=time"):
        open_sequences(path, "time")


def test_noise_is_taken_as_documented_and_told(tmp_path):
    path = saved(tmp_path / "s.npy", np.random.default_rng(0).integers(0, 256, (5, 8, 6, 6), np.uint8))
    with pytest.warns(UserWarning, match="8 sequences of 5 frames, since its neighbours do not tell which"):
        assert open_sequences(path).shape == (8, 5, 6, 6, 1)
    with pytest.warns(UserWarning, match="1 sequences of 8 frames"):
        assert open_sequences(saved(tmp_path / "t.npy", moving_squares(1, 8)[..., 0])).shape == (1, 8, 24, 24, 1)


@pytest.mark.parametrize(("between_sequences", "between_frames", "is_told"), [(6, 4, True), (11, 10, False)])
def test_half_as_much_again_tells_time_from_sequences_and_a_tenth_does_not(
    tmp_path, between_sequences, between_frames, is_told
):
    """Flat pictures whose grey grows by one step a frame and by another a sequence."""
    grey = between_sequences * np.arange(6)[:, None] + between_frames * np.arange(8)
    path = saved(tmp_path / "s.npy", np.tile(grey[..., None, None], (1, 1, 6, 6)).astype(np.uint8))
    why = "6 sequences of 8 frames, since its neighbours along" if is_told else "8 sequences of 6 frames, since it"
    with pytest.warns(UserWarning, match=why):
        assert open_sequences(path).shape == ((6, 8, 6, 6, 1) if is_told else (8, 6, 6, 6, 1))
