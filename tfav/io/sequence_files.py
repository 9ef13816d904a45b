"""Files of frame sequences in the benchmark's layout, `[T, N, H, W]` uint8 in one `.npy`: checked, and memory-mapped.

The known one is `mnist_test_seq.npy`, 20 x 10000 x 64 x 64, the fixed test set of Moving MNIST.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfav.errors import DataError, UsageError
from tfav.io.arrays import BROKEN
from tfav.io.partial import partial_file

BENCHMARK_SHAPE = (20, 10_000, 64, 64)
_CHECKED_SEQUENCES = 100  # evenly over the file: reading all of it would take longer than starting to use it


def open_sequences(path: Path | str) -> np.ndarray:
    """Opens a file of sequences without reading it.

    Args:
        path: The `.npy` file; `[T, N, H, W]` grey or `[T, N, H, W, 3]` colour, uint8, 0-255.

    Returns:
        `[N, T, H, W, C]` uint8, a view of the memory-mapped file.

    Raises:
        UsageError: There is no such file.
        DataError: It is cut short, of another shape or type, or its values are 0-1 instead of 0-255.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file. Check the spelling.")
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN as error:
        # A file shorter than its header says cannot be mapped; anything else has no header at all.
        reason = " ".join(str(error).split())[:150]
        raise DataError(f"{path}: cut short or not a .npy file ({reason}). Fetch it again.") from error
    if not isinstance(stored, np.ndarray):
        raise DataError(f"{path}: an .npz archive; a single array in .npy is needed.")
    shape = " x ".join(map(str, stored.shape))
    if stored.dtype != np.uint8:
        raise DataError(f"{path}: values must be uint8, 0-255. Received: {stored.dtype} {shape}")
    if stored.ndim not in (4, 5) or not stored.size or (stored.ndim == 5 and stored.shape[-1] not in (1, 3)):
        raise DataError(
            f"{path}: the shape must be frames x sequences x height x width, like {_known()}. Received: {shape}"
        )
    if path.name == "mnist_test_seq.npy" and stored.shape != BENCHMARK_SHAPE:
        raise DataError(f"{path}: the benchmark's file is {_known()}. Received: {shape}. Fetch it again.")
    sequences = np.moveaxis(stored if stored.ndim == 5 else stored[..., None], 1, 0)
    _check_range(path, sequences)
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


def _check_range(path: Path, sequences: np.ndarray) -> None:
    some = np.linspace(0, len(sequences) - 1, min(_CHECKED_SEQUENCES, len(sequences))).astype(int)
    highest = max(int(sequences[number].max()) for number in some)
    if highest <= 1:
        what = "nothing but 0" if highest == 0 else "no value above 1; pictures are 0-255 in uint8, not 0-1"
        raise DataError(f"{path}: {len(some)} of its sequences were looked at and hold {what}.")


def _known() -> str:
    return " x ".join(map(str, BENCHMARK_SHAPE))
