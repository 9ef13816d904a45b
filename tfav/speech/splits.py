"""Dividing named recordings into parts that share nothing: by lists, or by a share that goes by each name alone."""

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.data.splits import read_lines
from tfav.errors import DataError
from tfav.io.text_files import same_form

MAX_UNUSABLE = 0.01  # share of the recordings, and of those in a list to train on, that may be unusable


class NamedSplit(NamedTuple):
    """Names of the recordings of each part."""

    train: list[str]
    val: list[str]
    test: list[str]


def by_hash(
    names: Sequence[str], *, val: float, test: float, seed: int = 0, key: Callable[[str], str] = str
) -> NamedSplit:
    """Divides by share: a recording's side follows from its name and the seed alone.

    So recordings that come or go never move another one to the other side; the shares are met on average.

    Args:
        names: What to divide.
        val: Share for validation.
        test: Share for the test part.
        seed: Another one, another division.
        key: What of a name decides; names of one key stay together.
    """
    parts = NamedSplit([], [], [])
    for name in names:
        digest = hashlib.sha256(f"{seed}/{same_form(key(name))}".encode("utf-8", "surrogateescape")).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        parts[2 if place < test else 1 if place < test + val else 0].append(name)
    return parts


def read_names(path: Path | str, names: Sequence[str], *, max_missing: float = 0.0) -> list[str]:
    """The recordings that a list file names, one a line.

    Args:
        path: Of the list. A line is a name as it stands in `names`, its last part alone, or either with a suffix;
            folders may stand before it and, as in GRID's archives, within it: `s1/video/mpg_6000/bbaf2n.mpg`. Both
            slashes do. What stands behind the name, after a space or comma, does not count.
        names: Those that there are, as `folder/name`.
        max_missing: Share of the lines that may be missing, which then is a warning.

    Returns:
        Names, in the list's order, each once.

    Raises:
        UsageError: The file cannot be read.
        DataError: More are missing, counted; or a line fits several names.
    """
    rows = [line for _, line in read_lines(path)]
    by_name: dict[str, list[str]] = {}
    for name in names:
        for short in {same_form(name), same_form(name).rsplit("/", 1)[-1]}:
            by_name.setdefault(short, []).append(name)
    found, missing = [], []
    for row in rows:
        known = next((by_name[name] for name in _readings(row) if name in by_name), [])
        if len(known) > 1:
            raise DataError(f"{path}: {row} is {' and '.join(known)}. Write the speaker before the name.")
        (found if known else missing).append(known[0] if known else row)
    if missing:
        report_unusable(
            f"{path}: {len(missing)} of {len(rows)} listed clips are not in the data, first: {missing[0]}. "
            "prepare_report.json tells which could not be prepared.",
            allowed=len(missing) <= max_missing * len(rows),
        )
    return list(dict.fromkeys(found))


def _readings(row: str) -> list[str]:
    """All names that a row may mean, the most literal first."""
    readings = []
    for text in (row, re.split(r"[,;\t]", row)[0], row.split()[0]):
        parts = [part for part in re.split(r"[/\\]+", text.strip(" \"'")) if part and part != "."]
        if not parts:
            continue
        *folders, last = parts
        for name in dict.fromkeys((last, Path(last).stem)):
            readings += ["/".join([*folders[start:], name]) for start in range(len(folders))]
            readings += [f"{folder}/{name}" for folder in reversed(folders)]  # folders between speaker and name
            readings += [] if folders else [name]
    return readings


def by_lists(names: Sequence[str], config) -> NamedSplit:
    """Divides by list files of the training, the validation and the test part; an empty path is an empty part.

    Args:
        names: Those that there are.
        config: `train_list`, of which one name in a hundred may be missing; `val_list` and `test_list`, which must be
            complete; without the second, the share `val_fraction` of the training list becomes it, by `by_hash` and
            `seed`.

    Raises:
        UsageError: A file cannot be read.
        DataError: As `read_names`.
    """
    lists = ((config.train_list, MAX_UNUSABLE), (config.val_list, 0.0), (config.test_list, 0.0))
    train, val, test = (read_names(path, names, max_missing=allowed) if path else [] for path, allowed in lists)
    if not config.val_list and config.val_fraction:
        train, val, _ = by_hash(train, val=config.val_fraction, test=0.0, seed=config.seed)
    return NamedSplit(train, val, test)


def check_parts(split: NamedSplit, hint: str) -> NamedSplit:
    """Refuses a recording that stands in two parts, and an empty training part; returns the split otherwise.

    Args:
        split: The parts.
        hint: What to do about an empty training part, a sentence.

    Raises:
        DataError: As said.
    """
    sides: dict[str, str] = {}
    for side, members in split._asdict().items():
        for name in members:
            if sides.setdefault(name, side) != side:
                raise DataError(f"the clip {name} stands in {sides[name]} and in {side}; the split leaks.")
    if not split.train:
        raise DataError(f"the training part is empty. {hint}")
    return split


def report_unusable(message: str, *, allowed: bool) -> None:
    """Warns of recordings that cannot be used, or refuses where they are too many.

    Raises:
        DataError: Not `allowed`.
    """
    if not allowed:
        raise DataError(message)
    warnings.warn(message, stacklevel=4)
