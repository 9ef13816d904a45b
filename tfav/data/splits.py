"""Dividing examples into training, validation and test parts that share nothing.

Three ways: from list files (UCF101's `trainlist01.txt`), by a group pattern so that one recording session never stands
on both sides, or by fraction. All are deterministic for a seed and independent of the order files were listed in.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.data.folders import Example
from tfav.errors import DataError, UsageError


class Split(NamedTuple):
    """Three lists of examples; `val` and `test` may be empty where none was asked for."""

    train: list[Example]
    val: list[Example]
    test: list[Example]


def by_fraction(examples: Sequence[Example], *, val: float, test: float, seed: int = 0) -> Split:
    """Divides each class on its own, so that every part keeps the classes' proportions.

    Args:
        examples: What to divide.
        val: Share for validation, 0-1; a share above 0 gives every class at least one example.
        test: Share for the test part, likewise.
        seed: Same seed, same examples: same split.

    Raises:
        DataError: A class has too few examples to stand on every side.
    """
    return _divide(examples, key=lambda example: example.path.as_posix(), val=val, test=test, seed=seed)


def by_group(
    examples: Sequence[Example],
    pattern: str,
    *,
    val: float = 0.0,
    test: float = 0.0,
    val_groups: Iterable[str] = (),
    test_groups: Iterable[str] = (),
    seed: int = 0,
) -> Split:
    r"""Keeps all examples of one group on one side.

    Args:
        examples: What to divide.
        pattern: Regular expression searched in the file name; its first bracket is the group, e.g. `_g(\d+)_`.
        val: Share of groups for validation, used where `val_groups` is empty.
        test: Share of groups for the test part, used where `test_groups` is empty.
        val_groups: Groups to hold out for validation, by name.
        test_groups: Groups to hold out for testing, by name.
        seed: Chooses the groups where only a share is given.

    Raises:
        UsageError: The pattern has no bracket, or a named group does not occur.
        DataError: A file name does not match the pattern, or a class is missing from one side.
    """
    group_of = group_finder(examples, pattern)
    groups = sorted(set(group_of.values()))
    named = {"val_groups": tuple(val_groups), "test_groups": tuple(test_groups)}
    for field, wanted in named.items():
        unknown = [group for group in wanted if group not in groups]
        if unknown:
            raise UsageError(
                f"{field} names groups that do not occur: {', '.join(unknown)}. The pattern {pattern!r} finds: "
                f"{', '.join(groups)}."
            )
    fixed_test, fixed_val = set(named["test_groups"]), set(named["val_groups"])
    if fixed_test & fixed_val:
        raise UsageError(f"groups {sorted(fixed_test & fixed_val)} stand in both val_groups and test_groups.")
    rest = [group for group in groups if group not in fixed_test | fixed_val]
    order = _shuffled(rest, seed)
    num_test = 0 if fixed_test else _count(test, len(groups))
    num_val = 0 if fixed_val else _count(val, len(groups))
    if num_test + num_val >= len(order):
        raise DataError(
            f"{len(groups)} groups are too few for a validation share of {val} and a test share of {test}. "
            "Lower the shares, or name the groups."
        )
    test_set = fixed_test | set(order[:num_test])
    val_set = fixed_val | set(order[num_test : num_test + num_val])
    parts = Split([], [], [])
    for example in examples:
        group = group_of[example]
        (parts.test if group in test_set else parts.val if group in val_set else parts.train).append(example)
    # A group that was named is a deliberate choice (leaving one session out); one drawn by share must hold every class.
    return check(parts, all_classes_in=("train",) if (fixed_test or fixed_val) else ("train", "val", "test"))


def by_lists(
    examples: Sequence[Example],
    train_list: Path | str,
    test_list: Path | str,
    *,
    val: float = 0.0,
    group_pattern: str = "",
    seed: int = 0,
) -> Split:
    """Follows two list files in the format of UCF101's: `Class/name.avi`, with or without a class number behind it.

    Args:
        examples: What to divide; those that stand in neither list are left out.
        train_list: File that names the training part.
        test_list: File that names the test part.
        val: Share of the training part to keep for validation.
        group_pattern: If given, the validation part is cut from the training part by whole groups.
        seed: For the validation part.

    Raises:
        DataError: A listed file is not among the examples, or a file stands in both lists.
    """
    by_name = {(example.label, example.name): example for example in examples}
    chosen: dict[Path, list[Example]] = {}
    for list_file in (Path(train_list), Path(test_list)):
        rows = read_list(list_file)
        found = [by_name.get(row) for row in rows]
        missing = [f"{label}/{name}" for (label, name), example in zip(rows, found, strict=True) if example is None]
        if missing:
            raise DataError(
                f"{list_file}: {len(missing)} of {len(rows)} listed videos are not in the data folder, first: "
                f"{missing[0]}. Add them, or make lists of what is there."
            )
        chosen[list_file] = found
    train, test = chosen[Path(train_list)], chosen[Path(test_list)]
    if val == 0:
        return check(Split(train, [], test))
    if group_pattern:
        part = by_group(train, group_pattern, val=val, seed=seed)
    else:
        part = by_fraction(train, val=val, test=0.0, seed=seed)
    return check(Split(part.train, part.val, test))


def read_list(path: Path | str) -> list[tuple[str, str]]:
    """Reads a split list.

    Returns:
        `(class, name without extension)` for each line, in the file's order.

    Raises:
        UsageError: The file is not there.
        DataError: A line is not `Class/name` with an optional number.
    """
    rows = []
    for number, line in read_lines(path):
        match = re.fullmatch(r"\s*([^/\\]+)[/\\](.+?)(?:\s+\d+)?\s*", line)
        if match is None:
            raise DataError(
                f"{path}, line {number}: expected `Class/name.avi` or `Class/name.avi 1`. Received: {line!r}"
            )
        rows.append((match[1], Path(match[2]).stem))
    return rows


def read_lines(path: Path | str) -> list[tuple[int, str]]:
    """Reads a split list's lines that are not blank, each with its number.

    Raises:
        UsageError: The file is not there.
        DataError: It is no text, or has no such lines.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot read the split list ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file, so not a split list.") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(f"{path}: the split list is empty.")
    return lines


def group_finder(examples: Sequence[Example], pattern: str) -> dict[Example, str]:
    """Maps each example to the group its name spells.

    Raises:
        UsageError: The pattern is no regular expression with one bracket.
        DataError: A name does not match.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"group pattern {pattern!r} is not a regular expression: {error}.") from error
    if compiled.groups < 1:
        raise UsageError(rf"group pattern {pattern!r} needs a bracket around the group, as in `_g(\d+)_`.")
    groups = {}
    for example in examples:
        match = compiled.search(example.name)
        if match is None:
            raise DataError(
                f"{example.path}: the group pattern {pattern!r} does not occur in its name. "
                "Rename the file, change --group-pattern, or use --split fraction."
            )
        groups[example] = match[1]
    return groups


def check(split: Split, all_classes_in: Sequence[str] = ("train", "val", "test")) -> Split:
    """Refuses a split that leaks or leaves a class out of a side that ought to have it; returns it otherwise."""
    sides: dict[Path, str] = {}
    for side, examples in split._asdict().items():
        for example in examples:
            if sides.setdefault(example.path, side) != side:
                raise DataError(f"{example.path}: stands in {sides[example.path]} and in {side}; the split leaks.")
    classes = {example.label for examples in split for example in examples}
    for side, examples in split._asdict().items():
        missing = sorted(classes - {example.label for example in examples})
        if examples and missing and side in all_classes_in:
            raise DataError(
                f"the {side} part holds no video of class {', '.join(missing)}. "
                "Add videos, change the seed, or name the groups to hold out."
            )
    if not split.train:
        raise DataError("the training part is empty. Lower the validation and test shares.")
    return split


def _divide(examples, *, key, val, test, seed):
    for name, share in (("val", val), ("test", test)):
        if not 0 <= share < 1:
            raise UsageError(f"the {name} share must be at least 0 and below 1. Received: {share}")
    parts = Split([], [], [])
    counts = Counter(example.label for example in examples)
    for label in sorted(counts):
        members = _shuffled(sorted((e for e in examples if e.label == label), key=key), seed)
        num_test, num_val = _count(test, len(members)), _count(val, len(members))
        if num_test + num_val >= len(members):
            raise DataError(
                f"class {label}: {len(members)} videos are too few for a validation share of {val} and a test share "
                f"of {test}. Add videos or lower the shares."
            )
        parts.test.extend(members[:num_test])
        parts.val.extend(members[num_test : num_test + num_val])
        parts.train.extend(members[num_test + num_val :])
    return check(parts)


def _count(share: float, total: int) -> int:
    return max(1, round(share * total)) if share > 0 else 0


def _shuffled(items: Sequence, seed: int) -> list:
    order = list(items)
    random.Random(seed).shuffle(order)
    return order
