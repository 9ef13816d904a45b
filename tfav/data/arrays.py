"""Windows of long arrays: divided so that none crosses from one part to another, scaled by what the training part has.

Frames are `[T, H, W, C]`, NaN where a cell is missing, in the user's units until `Scaling` makes them the model's.
"""

import dataclasses
import functools
import warnings
from collections.abc import Sequence

import numpy as np

from tfav.errors import DataError, UsageError
from tfav.io.array_files import ArrayFile

METHODS = ("minmax", "standard", "log1p", "none")
_BLOCK_BYTES = 4 << 20  # read at a time, as float64
_PARTS = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class Scaling:
    """From a user's units to the model's and back, channel by channel.

    Attributes:
        method: `minmax`, to 0-1 of the training part; `standard`, to mean 0 and deviation 1; `log1p`, the logarithm of
            1 + what is above the lowest value, to 0-1; `none`.
        low: Lowest value of each channel in the training part.
        high: Highest value.
        mean: Mean.
        std: Standard deviation.
    """

    method: str
    low: list[float]
    high: list[float]
    mean: list[float]
    std: list[float]

    @property
    def value_range(self) -> np.ndarray:
        """Highest less lowest value, `[C]` float64."""
        return np.subtract(self.high, self.low)

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """What is taken away before, and what is divided by after the logarithm, if any; `[C]` float64 each."""
        return {
            "minmax": (np.array(self.low), self.value_range),
            "standard": (np.array(self.mean), np.array(self.std)),
            "log1p": (np.array(self.low), np.log1p(self.value_range)),
            "none": (np.zeros(len(self.low)), np.ones(len(self.low))),
        }[self.method]

    def forward(self, values: np.ndarray) -> np.ndarray:
        """`[..., C]` in the user's units to float32 in the model's."""
        offset, size = self.affine
        values = values - offset
        if self.method == "log1p":  # odd, so that values below the lowest have a way back as well
            values = np.sign(values) * np.log1p(np.abs(values))
        return (values / size).astype(np.float32)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """`[..., C]` in the model's units to float32 in the user's."""
        offset, size = self.affine
        values = values.astype(np.float64) * size
        if self.method == "log1p":
            values = np.sign(values) * np.expm1(np.abs(values))
        return (values + offset).astype(np.float32)

    def check(self, values: np.ndarray, path, names: Sequence[str]) -> list[str]:
        """A warning for each channel that goes beyond the training range by more than its length."""
        said = []
        for number, name in enumerate(names):
            known = values[..., number][np.isfinite(values[..., number])]
            low, high = self.low[number], self.high[number]
            if known.size and (known.min() < 2 * low - high or known.max() > 2 * high - low):
                said.append(
                    f"{path}: {name} goes from {known.min():.6g} to {known.max():.6g}, and the run was trained on "
                    f"{low:.6g} to {high:.6g}. Are the units the same?"
                )
        return said


@dataclasses.dataclass
class _Survey:
    """What one reading of some frames tells: numbers for each channel and cell, and frames without any value."""

    low: np.ndarray
    high: np.ndarray
    total: np.ndarray  # [H, W, C], of the values less `shift`
    squares: np.ndarray
    count: np.ndarray
    shift: np.ndarray  # [C], near the mean, so that squares keep their digits
    blank: set[tuple[int, int]]

    @property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel."""
        count = np.maximum(self.count.sum((0, 1)), 1)
        mean = self.total.sum((0, 1)) / count
        return mean + self.shift, np.sqrt(np.maximum(self.squares.sum((0, 1)) / count - mean**2, 0))


class ArrayWindows:
    """Windows of a file's sequences, in three parts.

    Where the file has enough sequences, whole ones make up the parts, in their order; else each is divided in time.
    Windows of the training part begin at every `stride`-th frame, those of the others so that each frame is forecast
    once.

    Args:
        file: The sequences.
        input_frames: Frames of a window that are seen.
        output_frames: Frames to forecast after them.
        stride: Frames from one training window to the next.
        val_fraction: Share for validation.
        test_fraction: Share for the test part.
        method: One of `METHODS`, fitted on the training part.
        scaling: That of a run, in place of one that is fitted.

    Raises:
        DataError: The scaling has another number of channels.
    """

    def __init__(
        self,
        file: ArrayFile,
        *,
        input_frames: int,
        output_frames: int,
        stride: int = 1,
        val_fraction: float = 0.0,
        test_fraction: float = 0.0,
        method: str = "minmax",
        scaling: Scaling | None = None,
    ):
        self.file, self.stride, self.method = file, stride, method
        self.input_frames, self.output_frames = input_frames, output_frames
        self._fractions = (val_fraction, test_fraction)
        self._surveys: dict[str, _Survey] = {}
        self._windows: dict[str, np.ndarray] = {}
        if scaling is not None:
            check_channels(file, scaling)
            self.scaling = scaling

    @property
    def num_frames(self) -> int:
        """Frames of a window."""
        return self.input_frames + self.output_frames

    @functools.cached_property
    def scaling(self) -> Scaling:
        """Of the training part.

        Raises:
            DataError: A channel of it is constant, or has no value at all.
        """
        survey = self._survey("train")
        mean, std = survey.moments
        for number, name in enumerate(self.file.names):
            if not survey.low[number] < survey.high[number]:
                constant = np.isfinite(survey.low[number])
                what = f"is {survey.low[number]:g} everywhere" if constant else "has no value"
                raise DataError(f"{self.file.path}: {name} {what} in the training part. Leave that channel out.")
        return Scaling(self.method, *(list(map(float, x)) for x in (survey.low, survey.high, mean, std)))

    @functools.cached_property
    def climatology(self) -> np.ndarray:
        """The mean frame of the training part, `[H, W, C]` float64; a cell that never has a value has its channel's."""
        survey = self._survey("train")
        mean, _ = survey.moments
        with np.errstate(invalid="ignore"):
            return np.where(survey.count > 0, survey.total / np.maximum(survey.count, 1) + survey.shift, mean)

    def ranges(self, part: str) -> list[tuple[int, int, int]]:
        """Sequence, first frame and end of each piece of a part: `train`, `val`, `test` or `all`."""
        count, length = self.file.shape[:2]
        if part == "all":
            return [(number, 0, length) for number in range(count)]
        if part not in _PARTS:
            raise UsageError(f"part must be one of train, val, test, all. Received: part={part}")
        whole = count > 1 and all(not share or round(share * count) for share in self._fractions)
        total = count if whole else length
        val, test = (round(share * total) for share in self._fractions)
        borders = [0, total - val - test, total - test, total]
        first, end = borders[_PARTS.index(part)], borders[_PARTS.index(part) + 1]
        if whole:
            return [(number, 0, length) for number in range(first, end)]
        return [(number, first, end) for number in range(count)] if end > first else []

    def windows(self, part: str) -> np.ndarray:
        """Sequence and first frame of each window of a part, `[K, 2]` int64; those with a blank frame are left out.

        Raises:
            DataError: None is left.
        """
        if part in self._windows:
            return self._windows[part]
        step = self.stride if part == "train" else self.output_frames
        ranges = self.ranges(part)
        found = [(n, t) for n, first, end in ranges for t in range(first, end - self.num_frames + 1, step)]
        if not ranges or not found:
            longest = max((end - first for _, first, end in ranges), default=0)
            raise DataError(
                f"{self.file.path}: the {part} part has {longest} frames in a row, and a window {self.num_frames} "
                f"({self.input_frames} seen, {self.output_frames} forecast). Set --input-frames and --output-frames "
                "lower, or --val-fraction and --test-fraction otherwise."
            )
        blank = self._survey(part).blank
        kept = [(n, t) for n, t in found if not any((n, t + k) in blank for k in range(self.num_frames))]
        if len(kept) < len(found):
            n, frame = min(blank)
            said = (
                f"{self.file.path}: {len(found) - len(kept)} of {len(found)} windows of the {part} part have a frame "
                f"without any value, the first is frame {frame} of sequence {n}; they are left out."
            )
            if not kept:
                raise DataError(f"{said} None is left.")
            warnings.warn(said, stacklevel=2)
        self._windows[part] = np.array(kept, np.int64)
        return self._windows[part]

    def read(self, windows: np.ndarray) -> np.ndarray:
        """Windows `[K, 2]` as frames `[K, T, H, W, C]` float32 in the model's units; NaN where a cell is missing."""
        pieces = [self.file.read(int(n), int(t), int(t) + self.num_frames) for n, t in windows]
        return np.stack([self.scaling.forward(piece) for piece in pieces])

    def _survey(self, part: str) -> _Survey:
        if part not in self._surveys:
            self._surveys[part] = self._look(self.ranges(part))
        return self._surveys[part]

    def _look(self, ranges: list[tuple[int, int, int]]) -> _Survey:
        _, _, *frame = self.file.shape
        step = max(1, _BLOCK_BYTES // (8 * int(np.prod(frame))))
        zeros, channels = np.zeros(frame), frame[-1]
        found = _Survey(
            np.full(channels, np.inf), np.full(channels, -np.inf), zeros, zeros.copy(), zeros.copy(), None, set()
        )
        for n, first, end in ranges:
            for start in range(first, end, step):
                block = self.file.read(n, start, min(end, start + step))
                known = np.isfinite(block)
                found.blank |= {(n, start + int(t)) for t in np.flatnonzero(~known.any((1, 2, 3)))}
                found.low = np.minimum(found.low, np.min(block, (0, 1, 2), where=known, initial=np.inf))
                found.high = np.maximum(found.high, np.max(block, (0, 1, 2), where=known, initial=-np.inf))
                if found.shift is None:
                    found.shift = np.where(np.isfinite(found.low), found.low, 0.0)
                block = np.where(known, block - found.shift, 0.0)
                found.total += block.sum(0)
                found.squares += (block**2).sum(0)
                found.count += known.sum(0)
        if found.shift is None:
            found.shift = np.zeros(channels)
        return found


def fill_gaps(frames: np.ndarray, first: np.ndarray | Sequence[float] | float = 0.0) -> np.ndarray:
    """Missing cells of `[B, T, H, W, C]` get the value last seen there, and before any was `first`.

    Nothing of other cells or of later frames goes into them.
    """
    missing = np.isnan(frames)
    if not missing.any():
        return frames
    filled = np.where(missing, np.asarray(first, frames.dtype), frames)
    for number in range(1, frames.shape[1]):
        filled[:, number] = np.where(missing[:, number], filled[:, number - 1], filled[:, number])
    return filled


def check_channels(file: ArrayFile, scaling: Scaling) -> None:
    """Refuses a file with another number of channels than a run has.

    Raises:
        DataError: Both numbers.
    """
    if file.shape[-1] != len(scaling.low):
        raise DataError(
            f"{file.path}: {file.shape[-1]} channels, and the run was trained on {len(scaling.low)}. "
            "Give the same channels, or train another run."
        )
