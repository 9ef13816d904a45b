"""Files of frame sequences, `[T, N, H, W]` uint8 in one `.npy` as the benchmark has them: checked, and memory-mapped.

The known one is `mnist_test_seq.npy`, 20 x 10000 x 64 x 64, the fixed test set of Moving MNIST.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfav.errors import DataError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.listing import VIDEO_SUFFIXES
from tfav.io.npz import BROKEN

BENCHMARK_SHAPE = (20, 10_000, 64, 64)
FIRST_AXES = ("auto", "frames", "sequences")
_COMPARED = 64  # pictures with their neighbours, to find the axis of time
_CLEARLY = 1.2  # times the difference
_CHECKED_SEQUENCES = 100  # evenly over the file: reading all of it would take longer than starting to use it


def open_sequences(path: Path | str, first_axis: str = "auto") -> np.ndarray:
    """Opens a file of sequences without reading it.

    Args:
        path: The `.npy` file; `[T, N, H, W]` grey or `[T, N, H, W, 3]` colour, uint8, 0-255. Or `[N, T, H, W]` and
            `[N, T, H, W, 3]`, as most libraries keep clips.
        first_axis: What the file's first axis counts: `frames`, `sequences`, or `auto`: neighbours along the axis of
            time are more alike. The benchmark's file and those of `write_sequences` have frames first.

    Returns:
        `[N, T, H, W, C]` uint8, a view of the memory-mapped file. There is a warning where `auto` took sequences first,
        or could not tell and took frames first.

    Raises:
        UsageError: There is no such file, or no such `first_axis`.
        DataError: It is cut short, of another shape or type, or its values are 0-1 instead of 0-255.
    """
    path = Path(path)
    if first_axis not in FIRST_AXES:
        raise UsageError(f"first_axis must be one of {', '.join(FIRST_AXES)}. Received: first_axis={first_axis}")
    if not path.is_file():
        raise UsageError(f"{path}: no such file. Check the spelling.")
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN as error:
        with path.open("rb") as file:
            is_array = file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
        if not is_array:  # numpy would take it for a pickle, and say how to load that
            kind = "a single video" if path.suffix.lower() in VIDEO_SUFFIXES else "not a .npy file"
            raise DataError(f"{path}: {kind}. Give a folder of videos or frames, or a .npy of sequences.") from error
        # A file shorter than its header says cannot be mapped.
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path}: cut short, or holds no numbers ({reason}). Fetch it again.") from error
    if not isinstance(stored, np.ndarray):
        raise DataError(f"{path}: an .npz archive; a single array in .npy is needed.")
    shape = " x ".join(map(str, stored.shape))
    if stored.dtype != np.uint8:
        raise DataError(
            f"{path}: values must be uint8, 0-255. Received: {stored.dtype} {shape}. For an array of any numbers say "
            "what its axes are, such as --axes tyxc."
        )
    if stored.ndim not in (4, 5) or not stored.size or (stored.ndim == 5 and stored.shape[-1] not in (1, 3)):
        raise DataError(
            f"{path}: the shape must be frames x sequences x height x width, like {_known()}. Received: {shape}"
        )
    if path.name == "mnist_test_seq.npy" and stored.shape != BENCHMARK_SHAPE:
        raise DataError(f"{path}: the benchmark's file is {_known()}. Received: {shape}. Fetch it again.")
    sequences = stored if stored.ndim == 5 else stored[..., None]
    _check_range(path, sequences)
    # A file beside which stands what it was cut from is our own.
    is_known = stored.shape == BENCHMARK_SHAPE or path.with_name(f"{path.name}.json").exists()
    if first_axis == "auto" and not is_known:
        first_axis = _find_first_axis(path, sequences)
    if first_axis != "sequences":
        sequences = np.moveaxis(sequences, 1, 0)
    return sequences


def write_sequences(path: Path | str, batches: Iterable[np.ndarray], count: int) -> Path:
    """Writes sequences in the benchmark's layout, holding one batch at a time; beside and renamed in.

    Args:
        path: The `.npy` file.
        batches: Arrays `[B, T, H, W, C]` uint8.
        count: Sequences in all of them together.

    Returns:
        The path.

    Raises:
        UsageError: Another suffix than .npy, or other than `count` sequences.
        DiskFullError: No space was left.
    """
    path = Path(path)
    if path.suffix != ".npy":
        raise UsageError(f"{path}: sequences are written as .npy; choose such a name.")
    with partial_file(path) as partial:
        stored, done = None, 0
        for batch in batches:
            if stored is None:
                frames = (batch.shape[1], count, *batch.shape[2:4], *((3,) if batch.shape[-1] == 3 else ()))
                stored = np.lib.format.open_memmap(partial, "w+", np.uint8, frames)
            taken = np.moveaxis(batch, 0, 1)
            stored[:, done : done + len(batch)] = taken if stored.ndim == 5 else taken[..., 0]
            done += len(batch)
        if done != count:
            raise UsageError(f"{path}: {count} sequences were announced, and {done} came.")
        stored.flush()
    return path


def _find_first_axis(path: Path, stored: np.ndarray) -> str:
    """Whether `[A, B, H, W, C]` has frames or sequences first, by what is alike; warns unless frames clearly are."""
    first, second = stored.shape[:2]
    if second == 1:
        return "frames"
    if first > 1:
        rng = np.random.default_rng(0)
        places = [(int(rng.integers(first - 1)), int(rng.integers(second - 1))) for _ in range(_COMPARED)]
        corners = [stored[a : a + 2, b : b + 2].astype(np.float32) for a, b in places]
        along_first = np.mean([np.abs(pictures[1, 0] - pictures[0, 0]).mean() for pictures in corners])
        along_second = np.mean([np.abs(pictures[0, 1] - pictures[0, 0]).mean() for pictures in corners])
    is_sequences = first == 1 or along_second * _CLEARLY < along_first
    if not is_sequences and along_first * _CLEARLY < along_second:
        return "frames"
    taken, other = ("sequences", "frames") if is_sequences else ("frames", "sequences")
    why = "its neighbours along the second axis are alike" if is_sequences else "its neighbours do not tell which"
    counts = f"{first} sequences of {second} frames" if is_sequences else f"{second} sequences of {first} frames"
    warnings.warn(
        f"{path}: taken as {counts}, since {why}. If it is the other way round, set first_axis (--first-axis) to "
        f"{other}; set it to {taken} to say so.",
        stacklevel=3,
    )
    return taken


def _check_range(path: Path, sequences: np.ndarray) -> None:
    some = np.linspace(0, len(sequences) - 1, min(_CHECKED_SEQUENCES, len(sequences))).astype(int)
    highest = max(int(sequences[number].max()) for number in some)
    if highest <= 1:
        what = "nothing but 0" if highest == 0 else "no value above 1; pictures are 0-255 in uint8, not 0-1"
        raise DataError(f"{path}: {len(some)} of its sequences were looked at and hold {what}.")


def _known() -> str:
    return " x ".join(map(str, BENCHMARK_SHAPE))
