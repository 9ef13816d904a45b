"""How what is found is held against what was recorded, and where it is kept."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent
# Of an output's largest value: on the machine it was recorded on, and on any other, where sums have another order.
SAME, OTHER = 1e-6, 1e-3
# Of histories, to the last digit on the same machine. Elsewhere rounding moves the weights from the first step on.
OTHER_LOSS, OTHER_SHARE = 0.1, 0.35


def read(name: str) -> dict:
    """A recording, with the `machine` it is of and its `entries`; empty where there is none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machine": {}, "entries": {}}


def write(name: str, machine: dict, entries: dict) -> None:
    """Keeps a recording.

    Raises:
        ValueError: There is not one number in an entry.
    """
    empty = [key for key, entry in entries.items() if not any(True for _ in numbers(entry))]
    if empty or not entries:
        missing = ", ".join(empty) or "anything"
        raise ValueError(f"{name}: nothing was recorded of {missing}; the file is left as it was.")
    blocks = []
    for key, entry in entries.items():  # an output or an epoch on each line
        if isinstance(entry, list):
            parts, (opening, closing) = [_text(row) for row in entry], "[]"
        else:
            parts, (opening, closing) = [f"{_text(part)}: {_text(value)}" for part, value in entry.items()], "{}"
        lines = ",\n".join(f"   {part}" for part in parts)
        blocks.append(f"  {_text(key)}: {opening}\n{lines}\n  {closing}")
    text = f'{{\n "machine": {_text(machine)},\n "entries": {{\n' + ",\n".join(blocks) + "\n }\n}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def _text(value) -> str:
    return json.dumps(value, allow_nan=False)


def numbers(entry, path: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of an entry, with where they stand."""
    if isinstance(entry, dict):
        for key, value in entry.items():
            yield from numbers(value, f"{path}/{key}")
    elif isinstance(entry, list):
        for place, value in enumerate(entry):
            yield from numbers(value, f"{path}/{place}")
    else:
        yield path, entry


def differences(found, recorded, *, exact: bool) -> list[str]:
    """Where an entry of outputs or a history is not what was recorded, a line each.

    Args:
        found: What is now.
        recorded: What was then.
        exact: Whether it was recorded on this very machine.
    """
    now, then = dict(numbers(found)), dict(numbers(recorded))
    lines = [f"{path}: only recorded" for path in then if path not in now]
    lines += [f"{path}: not recorded" for path in now if path not in then]
    for path in then:
        if path in now and not _is_close(now[path], then[path], _tolerance(path, then, exact)):
            lines.append(f"{path}: {now[path]!r}, recorded {then[path]!r}")
    return lines


def _tolerance(path: str, then: dict[str, float], exact: bool) -> float:
    output, _, rest = path.lstrip("/").partition("/")
    if rest.partition("/")[0] in ("largest", "values", "sums"):
        return (SAME if exact else OTHER) * then[f"/{output}/largest"]
    if exact or rest in ("", "epoch", "stage", "stage_epoch", "learning_rate") or rest.startswith("shape"):
        return 0.0 if exact or rest != "learning_rate" else 1e-6 * then[path]
    return OTHER_LOSS * abs(then[path]) if "loss" in rest else max(OTHER_SHARE, OTHER_LOSS * abs(then[path]))


def _is_close(one: float, other: float, tolerance: float) -> bool:
    return math.isfinite(one) and abs(one - other) <= tolerance
