"""Files of fields: any order of axes, gaps, pieces that are read; what cannot be used is one line."""

import tracemalloc

import numpy as np
import pytest

from tfav.errors import DataError, UsageError
from tfav.io.array_files import ArrayFile, open_array, write_array

FIELD = np.random.default_rng(0).normal(size=(2, 7, 5, 6, 3))  # n t y x c


@pytest.mark.parametrize("axes", ["ntyxc", "cxytn", "nctyx", "tnyxc"])
def test_any_order_of_axes_is_the_same_field(axes):
    stored = FIELD.transpose(["ntyxc".index(letter) for letter in axes])
    file = open_array(stored, axes)
    assert file.shape == FIELD.shape
    np.testing.assert_array_equal(file.read(1, 2, 5), FIELD[1, 2:5])
    np.testing.assert_array_equal(file.as_stored(FIELD), stored)
    one = open_array(stored.take(1, axes.index("n")), axes)  # a single one of such sequences
    np.testing.assert_array_equal(one.read(0), FIELD[1])
    np.testing.assert_array_equal(one.as_stored(FIELD[1:]), stored.take(1, axes.index("n")))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, ">f4", np.int64, bool])
def test_numbers_of_any_type(dtype, tmp_path):
    values = (np.arange(4 * 5 * 6) % 2).reshape(4, 5, 6).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    read = open_array(tmp_path / "a.npy", "tyx", variables=("rain",)).read(0)  # a name says nothing of it
    assert read.shape == (4, 5, 6, 1) and read.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(read[..., 0], values)


def test_masked_cells_are_nan(tmp_path):
    hidden = np.zeros((7, 5, 6), bool)
    hidden[3, 2, 1] = True
    field = np.where(hidden, 9999, FIELD[0, ..., 0])
    np.savez(tmp_path / "a.npz", field=field, flags=hidden, land=hidden[3])
    np.save(tmp_path / "land.npy", hidden[3])
    read = open_array(tmp_path / "a.npz", "tyx", variables=("field",), mask="flags").read(0, 2)
    assert np.isnan(read).sum() == 1 and np.isnan(read[1, 2, 1, 0])
    for mask in ("land", str(tmp_path / "land.npy")):
        read = open_array(tmp_path / "a.npz", "tyx", variables=("field",), mask=mask).read(0)
        assert np.isnan(read[:, 2, 1]).all() and np.isnan(read).sum() == 7


def test_a_file_larger_than_its_use_is_read_by_pieces(tmp_path):
    stored = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.float32, (1 << 20, 64, 64))  # 16 GiB, sparse
    stored[1 << 19] = 3
    del stored
    tracemalloc.start()
    file = open_array(tmp_path / "big.npy", "tyx")
    assert file.read(0, (1 << 19) - 1, (1 << 19) + 1).mean() == 1.5
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    (tmp_path / "big.npy").unlink()


@pytest.mark.parametrize(
    ("axes", "options", "error", "message"),
    [
        ("tyxc", {}, UsageError, "must name each axis of 7 x 5 x 6 once.*Received: axes=tyxc"),
        ("tyy", {}, UsageError, "must name each axis"),
        ("nyx", {}, UsageError, "with t, y and x among them"),
        ("", {}, UsageError, r"what are the axes \(7 x 5 x 6\)\? Name them, such as --axes tyx"),
        ("tyx", {"variables": ("wind",)}, UsageError, "no array 'wind' in it. It has: a, b, c"),
        ("tyx", {"variables": ()}, UsageError, "several arrays. Name those to use: --variables a b"),
        ("tyx", {"variables": ("a", "c")}, DataError, "c is 5 x 6, which axes=tyx does not fit"),
        ("tyx", {"mask": "c", "variables": ("b",)}, DataError, "a mask|must hold numbers"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path, axes, options, error, message):
    field = FIELD[0, ..., 0]
    path = tmp_path / "a.npz"
    np.savez(path, a=field, b=field.astype(str), c=field[0])
    options = {"variables": ("a",)} | options
    with pytest.raises(error, match=message) as raised:
        open_array(path, axes, **options)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_damaged_files_and_infinities(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, FIELD)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cut short"):
        open_array(path, "ntyxc")
    with pytest.raises(UsageError, match="no such file"):
        open_array(tmp_path / "gone.npy", "tyx")
    (tmp_path / "a.txt").write_text("1 2 3")
    with pytest.raises(UsageError, match=r"not a file of arrays\. Give \.npy"):
        open_array(tmp_path / "a.txt", "tyx")
    field = FIELD.copy()
    field[1, 4, 0, 0, 2] = -np.inf
    with pytest.raises(DataError, match=r"infinite values in frame 4 of sequence 1\. Write NaN"):
        open_array(field, "ntyxc").read(1, 3)


def test_netcdf_is_named_by_its_dimensions_and_goes_on_in_time(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    hours = np.datetime64("2026-12-01", "ns") + np.arange(7) * np.timedelta64(1, "h")
    coords = {"time": hours, "lat": np.linspace(40, 44, 5)}
    content = xarray.Dataset({"rain": (("lat", "lon", "time"), FIELD[0, ..., 0].transpose(1, 2, 0))}, coords)
    content["rain"].values[2, 1, 3] = np.nan
    content["wind"] = 2 * content["rain"]
    content.to_netcdf(tmp_path / "a.nc", encoding={"rain": {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -9}})
    file = open_array(tmp_path / "a.nc", variables=("rain", "wind"))
    assert file.axes == "yxt" and file.shape == (1, 7, 5, 6, 2) and file.names == ("rain", "wind")
    read = file.read(0, 2, 5)
    np.testing.assert_allclose(read[..., 0], content["rain"].values.transpose(2, 0, 1)[2:5], atol=6e-4)
    assert np.isnan(read[1, 2, 1, 0])
    write_array(tmp_path / "next.nc", np.ones((1, 3, 5, 6, 2), np.float32), file)
    with xarray.open_dataset(tmp_path / "next.nc") as made:
        assert made["wind"].dims == ("time", "lat", "x") and made["time"].values[0] == hours[-1] + np.timedelta64(
            1, "h"
        )
        np.testing.assert_array_equal(made["lat"], coords["lat"])


def test_a_zarr_store_cut_short(tmp_path):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("xarray")
    store = zarr.open_array(str(tmp_path / "a.zarr"), mode="w", shape=(8, 5, 6), chunks=(2, 5, 6), dtype="f4")
    store[:] = 1 + np.arange(240).reshape(8, 5, 6)
    file = open_array(tmp_path / "a.zarr", "tyx")
    assert isinstance(file, ArrayFile) and file.read(0, 3, 5)[0, 0, 0, 0] == 91
    pieces = sorted(path for path in (tmp_path / "a.zarr").rglob("*") if path.is_file() and path.name[0] not in ".z")
    assert len(pieces) == 4
    pieces[1].unlink()
    with pytest.warns(UserWarning, match="1 of 4 chunks are not in the store and are read as its fill value"):
        open_array(tmp_path / "a.zarr", "tyx")
    pieces[2].write_bytes(pieces[2].read_bytes()[:9])
    with pytest.warns(UserWarning), pytest.raises(DataError, match="frames 4 to 5 of sequence 0 cannot be read"):
        open_array(tmp_path / "a.zarr", "tyx").read(0, 4, 6)
    pieces[3].unlink()
    with pytest.raises(DataError, match="cut short: of 8 frames those from 6 on are not in the store"):
        open_array(tmp_path / "a.zarr", "tyx")
