"""Windows of arrays: parts that share no frame, scaling that has a way back, gaps that touch nothing else."""

import tracemalloc
import warnings

import numpy as np
import pytest

from tfav.data.arrays import METHODS, ArrayWindows, fill_gaps
from tfav.data.synthetic import drifting_field
from tfav.errors import DataError
from tfav.io.array_files import open_array

FIELD = 280 + drifting_field(60, 6, 7, 2)


def windows(field=FIELD, axes="tyxc", **options):
    shares = {"input_frames": 4, "output_frames": 3, "val_fraction": 0.2, "test_fraction": 0.2}
    return ArrayWindows(open_array(field, axes), **shares | options)


def test_no_frame_of_one_part_is_in_another():
    arrays = windows()
    frames = {part: {t + k for _, t in arrays.windows(part) for k in range(7)} for part in ("train", "val", "test")}
    assert frames == {"train": set(range(36)), "val": set(range(36, 46)), "test": set(range(48, 58))}
    assert [t for _, t in arrays.windows("train")] == list(range(30))
    assert [t for _, t in windows(stride=4).windows("train")] == list(range(0, 30, 4))
    assert [t for _, t in arrays.windows("val")] == [36, 39]  # each frame is forecast once
    many = windows(np.stack([FIELD] * 10), "ntyxc")
    parts = [{n for n, _ in many.windows(part)} for part in ("train", "val", "test")]
    assert parts == [set(range(6)), {6, 7}, {8, 9}]
    few = windows(np.stack([FIELD] * 2), "ntyxc")  # too few to keep whole: each is divided in time
    assert {n for n, _ in few.windows("val")} == {0, 1} and few.windows("val")[:, 1].min() == 36


@pytest.mark.parametrize("method", METHODS)
def test_scaling_is_of_the_training_part_and_has_a_way_back(method):
    field = FIELD.copy()
    field[40:] += 100  # of no account
    arrays = windows(field, method=method)
    scaled = arrays.scaling.forward(field[:36].astype(np.float64))
    if method in ("minmax", "log1p"):
        np.testing.assert_allclose([scaled.min((0, 1, 2)), scaled.max((0, 1, 2))], [[0, 0], [1, 1]], atol=1e-6)
    if method == "standard":
        np.testing.assert_allclose([scaled.mean((0, 1, 2)), scaled.std((0, 1, 2))], [[0, 0], [1, 1]], atol=1e-5)
    np.testing.assert_allclose(arrays.scaling.inverse(arrays.scaling.forward(field)), field, rtol=1e-5)
    np.testing.assert_array_equal(arrays.read(arrays.windows("train")[:1])[0], arrays.scaling.forward(field[:7]))
    np.testing.assert_allclose(arrays.climatology, field[:36].mean(0), rtol=1e-6)


def test_gaps_are_filled_by_what_was_seen_there_before():
    frames = np.array([[np.nan, 1], [2, np.nan], [np.nan, 5]], np.float32).reshape(1, 3, 1, 2, 1)
    np.testing.assert_array_equal(fill_gaps(frames)[0, :, 0, :, 0], [[0, 1], [2, 1], [2, 5]])


def test_frames_without_a_value_are_left_out_and_told():
    field = FIELD.copy()
    field[10] = np.nan
    field[3, 2, 2] = np.nan
    arrays = windows(field)
    with pytest.warns(UserWarning, match="7 of 30 windows of the train part.* the first is frame 10 of sequence 0"):
        assert [t for _, t in arrays.windows("train")] == [0, 1, 2, 3, *range(11, 30)]
    field[:36:3] = np.nan
    with pytest.raises(DataError, match="None is left"):
        windows(field).windows("train")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda field: field[:20], "the val part has 4 frames in a row, and a window 7"),
        (lambda field: np.where([True, False], field, 7.0), "channel_1 is 7 everywhere in the training part"),
        (lambda field: np.where([True, False], field, np.nan), "channel_1 has no value in the training part"),
        (
            lambda field: np.where(np.arange(60)[:, None, None, None] == 50, np.inf, field),
            "infinite values in frame 50",
        ),
    ],
)
def test_what_cannot_be_learnt_from(change, message):
    with pytest.raises(DataError, match=message) as raised:
        arrays = windows(change(FIELD))
        [arrays.scaling, *map(arrays.windows, ("train", "val", "test"))]
    assert "\n" not in str(raised.value)


def test_an_array_is_looked_through_and_read_by_pieces(tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (1500, 128, 128))  # 94 MiB
    stored[:, 3] = np.arange(128)
    del stored
    tracemalloc.start()
    arrays = windows(tmp_path / "big.npy", "tyx")
    assert arrays.read(arrays.windows("val")[:2]).shape == (2, 7, 128, 128, 1) and arrays.scaling.high == [127.0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 << 20


def test_other_units_and_channels():
    scaling = windows().scaling
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scaling.check(FIELD[40:], "f.npy", ("a", "b")) == []
    said = scaling.check(FIELD - 273.15, "f.npy", ("a", "b"))
    assert len(said) == 2 and said[0].startswith("f.npy: a goes from ") and "trained on 27" in said[0]
    with pytest.raises(DataError, match="1 channels, and the run was trained on 2"):
        windows(FIELD[..., :1], scaling=scaling)
