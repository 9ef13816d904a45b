"""Dividing examples into training, validation and test parts that share nothing.

Three ways: from list files (UCF101's `trainlist01.txt`), by a group pattern so that one recording session never stands
on both sides, or by fraction. All are deterministic for a seed and independent of the order files were listed in.
"""

import random
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.data.folders import Example
from tfav.errors import DataError, UsageError
from tfav.io import text_files
from tfav.io.text_files import same_form


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
    # By the name alone: the same clips lie elsewhere, and without a suffix, once their frames are extracted.
    return _divide(examples, key=lambda example: same_form(example.name), val=val, test=test, seed=seed)


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
        pattern: Regular expression searched in the file name; its first bracket is the group, e.g. `_g(\d+)_`. An
            example that names its group is of that one.
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


def by_part(examples: Sequence[Example]) -> Split:
    """Follows the part that each example names.

    Raises:
        DataError: As `check`.
    """
    split = Split([], [], [])
    for example in examples:
        getattr(split, example.part).append(example)
    return check(split, all_classes_in=("train",))


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
        examples: What to divide; those that stand in neither list are left out, with a warning that counts them.
        train_list: File that names the training part.
        test_list: File that names the test part.
        val: Share of the training part to keep for validation.
        group_pattern: If given, the validation part is cut from the training part by whole groups.
        seed: For the validation part.

    Raises:
        DataError: A listed file is not among the examples, or a file stands in both lists.
    """
    by_name = defaultdict(list)  # several where a table has several stretches of a video
    for example in examples:
        by_name[same_form(example.label), same_form(example.name)].append(example)
    train, test = (_find_listed(Path(path), by_name) for path in (train_list, test_list))
    listed = {example.key for example in (*train, *test)}
    if unlisted := [example for example in examples if example.key not in listed]:
        warnings.warn(
            f"{len(unlisted)} of {len(examples)} videos stand in neither {Path(train_list).name} nor "
            f"{Path(test_list).name} and are left out; first: {unlisted[0].label}/{unlisted[0].name}.",
            stacklevel=1,  # from here, and so once in a process
        )
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
        `(class, name without extension)` for each line, in the file's order. Where a line can be read in two ways, as
        `Class/take 1` can, the number behind the name is taken for a class number.

    Raises:
        UsageError: The file is not there.
        DataError: A line is not `Class/name` with optional numbers.
    """
    return [readings[0] for _, readings in _read_rows(path)]


def _read_rows(path: Path | str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each line of a split list with all that it may mean, the likeliest first.

    Public lists have folders in front of the class, either slash, a class number behind the name, or the number of
    frames and a class number; and names may hold spaces, dots and numbers themselves.
    """
    rows = []
    for number, line in read_lines(path):
        match = re.fullmatch(r"(.+?)(?:[\s,;]+\d+){1,2}", line)
        readings = []
        for text in [match[1], line] if match else [line]:
            parts = [part for part in re.split(r"[/\\]+", text.strip(" \"'")) if part]
            if len(parts) > 1:
                readings += [(parts[-2], Path(parts[-1]).stem), (parts[-2], parts[-1])]
        if not readings:
            raise DataError(
                f"{path}, line {number}: expected `Class/name.avi` or `Class/name.avi 1`. Received: {line!r}"
            )
        rows.append((line, list(dict.fromkeys(readings))))
    return rows


def _find_listed(path: Path, by_name: Mapping[tuple[str, str], list[Example]]) -> list[Example]:
    rows, chosen, missing = _read_rows(path), [], []
    for line, readings in rows:
        found = [by_name[reading] for reading in readings if reading in by_name]
        if len(found) > 1:
            raise DataError(
                f"{path}: {line!r} may mean {' or '.join(examples[0].path.name for examples in found)}. "
                "Write the name with its suffix and no number behind it."
            )
        chosen += [example for examples in found for example in examples]
        missing += [] if found else ["/".join(readings[0])]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(rows)} listed videos are not in the data folder, first: "
            f"{missing[0]}. Add them, or make lists of what is there."
        )
    return list(dict.fromkeys(chosen))


def read_lines(path: Path | str, what: str = "a split list") -> list[tuple[int, str]]:
    """Reads a list's lines that are not blank, each with its number.

    Raises:
        UsageError: The file is not there.
        DataError: It is no text, or has no such lines.
    """
    lines = text_files.read_lines(path, what)
    if not lines:
        raise DataError(f"{path}: {what} that is empty.")
    return lines


def group_finder(examples: Sequence[Example], pattern: str) -> dict[Example, str]:
    """Maps each example to the group its name spells.

    Raises:
        UsageError: The pattern is no regular expression with one bracket.
        DataError: Names do not match; counted, the first is named.
    """
    groups = _spelt_groups(examples, pattern)
    missed = [example for example in examples if example not in groups]
    if missed:
        others = f" (and {len(missed) - 1} more of {len(examples)})" if len(missed) > 1 else ""
        raise DataError(
            f"{missed[0].path}: the group pattern {pattern!r} does not occur in its name{others}. "
            "Rename the file, change --group-pattern, or use --split fraction."
        )
    return groups


def has_groups(examples: Sequence[Example], pattern: str) -> bool:
    """Whether the names spell two groups or more.

    Raises:
        UsageError: As `group_finder`.
        DataError: Some names spell one and others none: clips of one recording would come to stand on both sides.
    """
    groups = _spelt_groups(examples, pattern)
    if groups:
        group_finder(examples, pattern)
    if len(set(groups.values())) == 1 < len(examples):
        only = next(iter(groups.values()))
        warnings.warn(
            f"all names spell the one group {only!r} by the pattern {pattern!r}; the parts are not of other groups.",
            stacklevel=1,  # from here, and so once in a process
        )
    return len(set(groups.values())) > 1


def _spelt_groups(examples: Sequence[Example], pattern: str) -> dict[Example, str]:
    compiled = bracket_pattern(pattern, "group", r"_g(\d+)_")
    spelt = {example: compiled.search(example.name) for example in examples if not example.group}
    found = {example: match[1] for example, match in spelt.items() if match and match[1] is not None}
    return found | {example: example.group for example in examples if example.group}


def bracket_pattern(pattern: str, what: str, example: str) -> re.Pattern:
    """A pattern whose bracket finds something in a name.

    Args:
        pattern: The regular expression.
        what: What the bracket finds, such as `group`.
        example: A pattern that does.

    Raises:
        UsageError: It is no regular expression, or has no bracket.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{what} pattern {pattern!r} is not a regular expression: {error}.") from error
    if compiled.groups < 1:
        raise UsageError(f"{what} pattern {pattern!r} needs a bracket around the {what}, as in `{example}`.")
    return compiled


def check(split: Split, all_classes_in: Sequence[str] = ("train", "val", "test")) -> Split:
    """Refuses a split that leaks or leaves a class out of a side that ought to have it; returns it otherwise."""
    sides: dict[Path, str] = {}
    for side, examples in split._asdict().items():
        for example in examples:
            if sides.setdefault(example.video, side) != side:
                raise DataError(f"{example.path}: stands in {sides[example.video]} and in {side}; the split leaks.")
    classes = {label for examples in split for example in examples for label in example.labels}
    for side, examples in split._asdict().items():
        missing = sorted(classes - {label for example in examples for label in example.labels})
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
