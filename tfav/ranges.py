"""What values a setting may have, declared beside it and checked in one place: ranges of numbers and choices."""

import dataclasses
import math
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any

from tfav.errors import UsageError

_KEY = "range"
SEED_MAX = 2**31 - 1  # with room for what is added to it: Keras and NumPy take up to 2**32 - 1


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from a bound to another one; NaN and infinity are in none.

    Attributes:
        ge: The least number; or
        gt: what all are above.
        le: The largest number; or
        lt: what all are below.
        also: Numbers outside that mean something of their own, as 0 may mean off.
        count: Of a setting of several numbers: how many there must be; None: one or more; 0: any, or none.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    also: tuple[float, ...] = ()
    count: int | None = None

    def __contains__(self, number) -> bool:
        if not math.isfinite(number):
            return False
        inside = (self.ge is None or number >= self.ge) and (self.gt is None or number > self.gt)
        inside = inside and (self.le is None or number <= self.le) and (self.lt is None or number < self.lt)
        return inside or number in self.also

    def __str__(self) -> str:
        if self.ge is not None and self.le is not None:
            text = f"{self.ge} to {self.le}" if self.ge < self.le else str(self.ge)
        else:
            low = f"{self.ge} or more" if self.ge is not None else f"above {self.gt}" if self.gt is not None else ""
            high = f"{self.le} or less" if self.le is not None else f"below {self.lt}" if self.lt is not None else ""
            text = " and ".join(filter(None, (low, high))) or "finite"
        return text + "".join(f", or {number}" for number in self.also)


def ranged(default: Any = dataclasses.MISSING, **bounds) -> Any:
    """A field of a dataclass that `check_fields` holds to a range.

    Args:
        default: Its default, where it has one.
        **bounds: As in `Range`.

    Example:
        >>> import dataclasses
        >>> Config = dataclasses.make_dataclass("Config", [("dropout", float, ranged(0.5, ge=0, lt=1))])
        >>> check_fields(Config(dropout=50.0))
        Traceback (most recent call last):
        tfav.errors.UsageError: dropout must be 0 or more and below 1. Received: dropout=50.0
    """
    return dataclasses.field(default=default, metadata={_KEY: Range(**bounds)})


def range_of(field: dataclasses.Field) -> Range | None:
    """The range that `ranged` has declared."""
    return field.metadata.get(_KEY)


def check_fields(config, spell: Callable[[str], str] = str) -> None:
    """Refuses a dataclass with a number outside the range declared beside it, or a value that is no choice of its type.

    The choices of a field are those of its annotation, `Literal[...]` or `tuple[Literal[...], ...]`. NumPy's numbers
    become Python's, and lists tuples, so that JSON and comparisons know them.

    Args:
        config: The dataclass.
        spell: What a field is called in the message, from its name.

    Raises:
        UsageError: Naming the field, its range or choices, and what it was given.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        declared, value = range_of(field), getattr(config, field.name)
        _check_choice(spell(field.name), value, hints[field.name])
        if declared is None or (value is None and type(None) in typing.get_args(hints[field.name])):
            continue
        kinds = kinds_of(hints[field.name])
        checked = _checked(spell(field.name), value, declared, whole=float not in kinds, several=tuple in kinds)
        if checked is not value:
            object.__setattr__(config, field.name, checked)


def _check_choice(name: str, value, hint) -> None:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal and value not in inner:
        choices = ", ".join(choice or "empty" for choice in inner)
        raise UsageError(f"{name} must be one of {choices}. Received: {name}={value}")
    if origin is tuple and typing.get_origin(inner[0]) is typing.Literal:
        for part in value:
            _check_choice(name, part, inner[0])


def check_number(name: str, value, *, whole: bool = False, **bounds) -> None:
    """Refuses an argument outside a range; None, for what is not given, is none's business.

    Args:
        name: Of the argument.
        value: Its value.
        whole: It must be a whole number.
        **bounds: As in `Range`.

    Raises:
        UsageError: Naming the argument, its range and what it was given.
    """
    if value is not None:
        _checked(name, value, Range(**bounds), whole=whole, several=False)


def kinds_of(hint) -> set[type]:
    """Of a type: which of int, float and, for several numbers, tuple it consists of; empty where it is no number."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        kinds = set().union(*(kinds_of(part) for part in inner if part is not ...))
        return kinds | {tuple} if kinds else set()
    if origin in (typing.Union, types.UnionType):
        return set().union(*map(kinds_of, inner))
    return {hint} if hint in (int, float) else set()


def _checked(name: str, value, declared: Range, *, whole: bool, several: bool):
    received = f"Received: {name}={value}"
    if not several:
        number = _number(value, whole)
        if number is None or number not in declared:
            kind = "a whole number, " if whole and number is None else "a number, " if number is None else ""
            raise UsageError(f"{name} must be {kind}{declared}. {received}")
        return value if type(value) is type(number) else number
    values = value if isinstance(value, tuple | list) else (value,)
    found = tuple(_number(part, whole) for part in values)
    count = declared.count
    fits = len(found) == count if count else len(found) > 0 or count == 0
    if not fits or any(number is None or number not in declared for number in found):
        words = f"{count} " if count else "one or more " if count is None else ""
        raise UsageError(f"{name} must be {words}{'whole ' if whole else ''}numbers, each {declared}. {received}")
    return value if type(value) is tuple and all(map(_is_plain, value)) else found


def _number(value, whole: bool):
    """The value as Python's own number; None where it is no such number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
        return None
    return int(value) if isinstance(value, numbers.Integral) else float(value)


def _is_plain(value) -> bool:
    return type(value) in (int, float)
