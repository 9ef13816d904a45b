"""Files of fields over time in any order of axes, read piece by piece: `.npy`, `.npz`, zarr and NetCDF.

Axes are named by one letter each: `n` sequences, `t` time, `y` rows, `x` columns, `c` channels. NaN is a cell that is
missing. `.npy` is memory-mapped, zarr and NetCDF are read by pieces (xarray and zarr, the extra `arrays`), `.npz` is
read whole. A masked cell of a file, by its fill value or by a mask beside it, is NaN once it is read.
"""

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfav.errors import DataError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.npz import BROKEN, read_npz

AXES = "ntyxc"
SUFFIXES = (".npy", ".npz", ".zarr", ".nc", ".nc4", ".cdf")
_LETTERS = {  # of the names that dimensions have in xarray, ERA5, CF, HDF of radars and OME
    "n": "n sample sequence batch event member number realization",
    "t": "t time valid_time frame step lead_time",
    "y": "y lat latitude row height rlat south_north nj",
    "x": "x lon longitude column width rlon west_east ni",
    "c": "c channel channels band variable level z isobaricinhpa pressure_level",
}
_LETTER_OF = {name: letter for letter, names in _LETTERS.items() for name in names.split()}
_USUAL = {3: "tyx", 4: "tyxc", 5: "ntyxc"}


@dataclasses.dataclass(frozen=True)
class ArrayFile:
    """A file, or an array in memory, as sequences of frames.

    Attributes:
        path: Where it is; of an array in memory `array`.
        axes: Its own order of axes.
        shape: `(N, T, H, W, C)`.
        names: Of the channels.
        parts: What is indexed lazily, by its own axes: one, or several whose channels stand side by side.
        mask: Like a part, or `[H, W]`; not zero where a cell is missing.
        coords: What xarray knows along the axes, by letter: `(name, values)`.
    """

    path: Path
    axes: str
    shape: tuple[int, int, int, int, int]
    names: tuple[str, ...]
    parts: tuple[Any, ...]
    mask: Any = None
    coords: Mapping[str, tuple] = dataclasses.field(default_factory=dict)

    def read(self, sequence: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames of a sequence.

        Returns:
            `[T, H, W, C]` float32, or float64 where what is stored has more digits; NaN where a cell is missing.

        Raises:
            DataError: They cannot be read, or hold infinities.
        """
        stop = self.shape[1] if stop is None else stop
        try:
            found = np.concatenate([self._piece(part, sequence, start, stop) for part in self.parts], axis=-1)
            if self.mask is not None:
                whole = np.ndim(self.mask) == 2
                hidden = np.asarray(self.mask)[..., None] if whole else self._piece(self.mask, sequence, start, stop)
                found = np.where(hidden.astype(bool), np.nan, found)
        except BROKEN as error:
            reason = " ".join(str(error).split())[:150]
            raise DataError(
                f"{self.path}: frames {start} to {stop - 1} of sequence {sequence} cannot be read ({reason}). "
                "Write or fetch it again."
            ) from error
        found = found.astype(np.result_type(found.dtype, np.float32), copy=False)
        if np.isinf(found).any():
            frame = start + int(np.isinf(found).any((1, 2, 3)).argmax())
            raise DataError(
                f"{self.path}: infinite values in frame {frame} of sequence {sequence}. Write NaN, which is a missing "
                "cell, in their place."
            )
        return found

    def _piece(self, part, sequence: int, start: int, stop: int) -> np.ndarray:
        taken = {"n": sequence, "t": slice(start, stop)}
        values = np.asarray(part[tuple(taken.get(letter, slice(None)) for letter in self.axes)])
        left = self.axes.replace("n", "")
        values = values.transpose([left.index(letter) for letter in "tyxc" if letter in left])
        return values if "c" in left else values[..., None]

    def as_stored(self, frames: np.ndarray) -> np.ndarray:
        """`[N, T, H, W, C]` in the order of axes that the file has."""
        dropped = tuple(
            number for number, letter in enumerate(AXES) if letter not in self.axes and frames.shape[number] == 1
        )
        left = [letter for number, letter in enumerate(AXES) if number not in dropped]
        order = [*self.axes, *(letter for letter in left if letter not in self.axes)]
        return np.squeeze(frames, dropped).transpose([left.index(letter) for letter in order])


def is_array_file(path: Path | str) -> bool:
    """Whether a path has the name of an array file, or is a zarr store."""
    path = Path(path)
    return path.suffix.lower() in SUFFIXES or any(
        (path / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")
    )


def open_array(
    source: Path | str | np.ndarray, axes: str = "", *, variables: Sequence[str] = (), mask: str = ""
) -> ArrayFile:
    """Opens a file of fields without reading it.

    Args:
        source: A `.npy`, `.npz`, zarr store or NetCDF file, or an array in memory.
        axes: One letter for each axis, such as `tyxc`; empty: by the names of its dimensions, which zarr and NetCDF
            have. A letter `n` that the array lacks is left out.
        variables: Names of arrays inside the file, whose channels stand side by side; empty: the only one.
        mask: An array inside the file by its name, or a `.npy`: not zero where a cell is missing, of the array's shape
            or `[H, W]`.

    Raises:
        UsageError: It is not there, or `axes` does not fit it.
        DataError: It is cut short, or holds no numbers.

    Example:
        >>> open_array(np.zeros((100, 48, 80)), "tyx").shape
        (1, 100, 48, 80, 1)
    """
    path, arrays, coords = (Path("array"), {"": source}, {}) if isinstance(source, np.ndarray) else _open(source)
    hidden = None
    if mask:
        hidden = arrays.pop(mask) if mask in arrays else _open_npy(Path(mask))
    chosen = arrays if list(arrays) == [""] else _choose(path, arrays, tuple(variables))  # a .npy has no names
    first = next(iter(chosen.values()))
    axes = _check_axes(path, axes or _axes_of(path, first), first.shape)
    for name, array in chosen.items():
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path}: {name or 'the array'} must hold numbers. Received: {array.dtype}")
        if len(array.shape) != len(axes) or not np.prod(array.shape):
            raise DataError(f"{path}: {name} is {_spell(array.shape)}, which axes={axes} does not fit.")
    sides = dict(zip(axes, first.shape, strict=True))
    names = []
    for name, array in chosen.items():
        count = array.shape[axes.index("c")] if "c" in axes else 1
        name = name or "channel"
        names += [name] if count == 1 else [f"{name}_{number}" for number in range(count)]
    shape = (sides.get("n", 1), sides["t"], sides["y"], sides["x"], len(names))
    if hidden is not None and hidden.shape not in (first.shape, shape[2:4]):
        raise DataError(
            f"{path}: the mask {mask} is {_spell(hidden.shape)}, and must be {_spell(first.shape)} or "
            f"{_spell(shape[2:4])}."
        )
    return ArrayFile(path, axes, shape, tuple(names), tuple(chosen.values()), hidden, coords)


def write_array(path: Path | str, frames: np.ndarray, like: ArrayFile) -> Path:
    """Writes frames that follow those of a file, in its order of axes; beside and renamed in.

    Args:
        path: The file, `.npy`, or `.nc` with the coordinates of `like` and its steps of time going on.
        frames: `[N, T, H, W, C]` float32.
        like: What they follow.

    Raises:
        UsageError: Another suffix, or xarray is not installed.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".nc"):
        raise UsageError(f"{path}: forecasts are written as .npy or .nc; choose such a name.")
    if path.suffix == ".npy":
        with partial_file(path) as partial, partial.open("wb") as file:
            np.save(file, like.as_stored(frames))
        return path
    xarray = _import("xarray")
    coords = {letter: (name, values) for letter, (name, values) in like.coords.items() if letter in "nyx"}
    if "t" in like.coords and len(like.coords["t"][1]) > 1:
        name, times = like.coords["t"]
        coords["t"] = (name, times[-1] + (times[-1] - times[-2]) * np.arange(1, frames.shape[1] + 1))
    dims = {letter: coords.get(letter, (letter,))[0] for letter in "ntyx"}
    known = {name: (name, values) for name, values in coords.values()}
    variables = {
        name: xarray.DataArray(frames[..., number], dims=list(dims.values()), coords=known)
        for number, name in enumerate(like.names)
    }
    content = xarray.Dataset({name: field if "n" in like.axes else field[0] for name, field in variables.items()})
    with partial_file(path) as partial:
        content.to_netcdf(partial)
    return path


@dataclasses.dataclass
class _Lazy:
    """A variable of xarray or zarr, which reads what it is indexed by."""

    variable: Any
    dims: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.variable.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.variable.dtype)

    def __getitem__(self, index) -> np.ndarray:
        found = self.variable[index]
        return np.asarray(getattr(found, "values", found))


def _open(source: Path | str) -> tuple[Path, dict[str, Any], dict]:
    path = Path(source).expanduser()
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder. Check the spelling.")
    if not is_array_file(path):
        raise UsageError(f"{path}: not a file of arrays. Give {', '.join(SUFFIXES)}.")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return path, {"": _open_npy(path)}, {}
    if suffix == ".npz":
        return path, read_npz(path), {}
    return _open_xarray(path, is_zarr=path.is_dir())


def _open_npy(path: Path) -> np.ndarray:
    if not path.is_file():
        raise UsageError(f"{path}: no such file. Check the spelling.")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(array, np.ndarray):
            return array
        raise ValueError("an .npz archive")
    except BROKEN as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path}: cut short, or no array ({reason}). Write or fetch it again.") from error


def _open_xarray(path: Path, *, is_zarr: bool) -> tuple[Path, dict[str, Any], dict]:
    xarray = _import("xarray")
    zarr = _import("zarr") if is_zarr else None
    try:
        if is_zarr and ((path / ".zarray").exists() or not _has_groups(zarr, path)):
            arrays = {"": _Lazy(zarr.open(str(path), mode="r"))}
            _check_chunks(path, "", arrays[""].variable, 0)
            return path, arrays, {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that was not consolidated
            try:
                options = {"engine": "zarr"} if is_zarr else {}
                content = xarray.open_dataset(str(path), cache=False, decode_timedelta=False, **options)
            except (KeyError, ValueError):
                if not is_zarr:
                    raise
                group = zarr.open_group(str(path), mode="r")  # without names of dimensions
                return path, {name: _Lazy(array) for name, array in group.arrays()}, {}
    except (*BROKEN, AttributeError) as error:
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path}: cut short, or no array ({reason}). Write or fetch it again.") from error
    arrays = {name: _Lazy(content[name].variable, content[name].dims) for name in content.data_vars}
    coords = {}
    for name in content.dims:
        if (letter := _LETTER_OF.get(str(name).lower())) and name in content.coords:
            coords[letter] = (name, content[name].values)
    if is_zarr:
        for name, array in arrays.items():
            times = [number for number, dim in enumerate(array.dims) if _LETTER_OF.get(str(dim).lower()) == "t"]
            if times and len(array.shape) > 2:
                _check_chunks(path, name, zarr.open_group(str(path), mode="r")[name], times[0])
    return path, arrays, coords


def _has_groups(zarr, path: Path) -> bool:
    return hasattr(zarr.open(str(path), mode="r"), "arrays")


def _check_chunks(path: Path, name: str, array, axis: int) -> None:
    """zarr gives the fill value for a chunk that is not there: told, and refused where the end of time is missing."""
    pieces = getattr(array, "shards", None) or array.chunks
    counts = [-(-side // piece) for side, piece in zip(array.shape, pieces, strict=True)]
    found = set()
    for file in (path / name).rglob("*"):
        if re.fullmatch(r"(c[/.])?\d+([/.]\d+)*", place := file.relative_to(path / name).as_posix()) and file.is_file():
            found.add(tuple(map(int, re.findall(r"\d+", place))))
    missing = int(np.prod(counts)) - len(found)
    if not missing:
        return
    last = max((place[axis] for place in found), default=-1)
    if last < counts[axis] - 1:
        raise DataError(
            f"{path / name}: cut short: of {array.shape[axis]} frames those from {(last + 1) * pieces[axis]} on are "
            "not in the store. Write or fetch it again."
        )
    warnings.warn(
        f"{path / name}: {missing} of {int(np.prod(counts))} chunks are not in the store and are read as its fill "
        f"value, {array.fill_value}.",
        stacklevel=4,
    )


def _choose(path: Path, arrays: Mapping[str, Any], variables: tuple[str, ...]) -> dict[str, Any]:
    fields = {name: array for name, array in arrays.items() if len(array.shape) >= 3}
    if gone := [name for name in variables if name not in arrays]:
        raise UsageError(f"{path}: no array {gone[0]!r} in it. It has: {', '.join(arrays)}.")
    if variables:
        return {name: arrays[name] for name in variables}
    if len(fields) == 1:
        return fields
    if not fields:
        shapes = ", ".join(f"{name} {_spell(array.shape)}".strip() for name, array in arrays.items())
        raise DataError(f"{path}: no array of three axes or more. Received: {shapes or 'nothing'}")
    raise UsageError(f"{path}: several arrays. Name those to use: --variables {' '.join(fields)}")


def _axes_of(path: Path, array) -> str:
    """By the names of dimensions."""
    letters = [_LETTER_OF.get(str(dim).lower(), "?") for dim in getattr(array, "dims", ())]
    if letters and "?" not in letters:
        return "".join(letters)
    of = f" of its dimensions {', '.join(map(str, array.dims))}" if letters else ""
    raise UsageError(
        f"{path}: what are the axes{of} ({_spell(array.shape)})? Name them, such as --axes "
        f"{_USUAL.get(len(array.shape), 'ntyxc')}: n sequences, t time, y rows, x columns, c channels."
    )


def _check_axes(path: Path, axes: str, shape: tuple[int, ...]) -> str:
    if len(axes) == len(shape) + 1:  # a single one of many sequences
        axes = axes.replace("n", "")
    if len(axes) != len(shape) or len(set(axes)) != len(axes) or set(axes) - set(AXES) or not set("tyx") <= set(axes):
        raise UsageError(
            f"{path}: axes must name each axis of {_spell(shape)} once, by n, t, y, x or c, with t, y and x among "
            f"them. Received: axes={axes}"
        )
    return axes


def _import(package: str):
    try:
        return __import__(package)
    except ImportError as error:
        raise UsageError(
            f"zarr and NetCDF need the package {package}. Run: pip install 'tfav[arrays]', or write .npy."
        ) from error


def _spell(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
