"""What every system's frozen `Config` dataclass shares: presets by name, and a round trip through JSON."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from tfav.errors import UsageError

ConfigT = typing.TypeVar("ConfigT")


def from_preset(cls: type[ConfigT], presets: Mapping[str, dict], name: str, overrides: Mapping) -> ConfigT:
    """Builds the configuration of a preset.

    Args:
        cls: A frozen dataclass; its defaults are the base of every preset.
        presets: Preset name -> the fields in which it differs from the defaults.
        name: Which one.
        overrides: Fields the caller sets on top.

    Raises:
        UsageError: An unknown preset or field; the message lists the valid ones.
    """
    if name not in presets:
        raise UsageError(f"unknown preset {name!r}.{_hint(name, presets)} Valid presets: {', '.join(presets)}.")
    check_fields(cls, overrides)
    homes = {key: str(Path(value).expanduser()) for key, value in overrides.items() if str(value).startswith("~/")}
    return cls(**{**presets[name], "preset_name": name, **overrides, **homes})


def check_fields(cls: type, names) -> None:
    """Refuses names that are no field of the dataclass, and lists the fields there are."""
    fields = [field.name for field in dataclasses.fields(cls)]
    for name in names:
        if name not in fields:
            raise UsageError(f"unknown field {name!r}.{_hint(name, fields)} Valid fields: {', '.join(fields)}.")


def check_choices(config, choices: Mapping[str, tuple]) -> None:
    """Refuses fields with a value that is none of those they may have.

    Args:
        config: The dataclass.
        choices: Field -> its valid values.

    Raises:
        UsageError: Naming the field, the valid values and the one it has.
    """
    for field, valid in choices.items():
        value = getattr(config, field)
        if value not in valid:
            raise UsageError(f"{field} must be one of {', '.join(valid)}. Received: {field}={value}")


def check_fractions(config) -> None:
    """Refuses shares for validation and test that leave nothing to train on.

    Raises:
        UsageError: Naming both.
    """
    if config.val_fraction + config.test_fraction >= 1:
        raise UsageError(
            "val_fraction and test_fraction must leave something to train on. "
            f"Received: val_fraction={config.val_fraction} and test_fraction={config.test_fraction}"
        )


def to_dict(config) -> dict:
    """The configuration as what JSON can hold."""
    return {key: _as_json(value) for key, value in dataclasses.asdict(config).items()}


def defaults(cls: type) -> dict:
    """The defaults of a configuration's fields, as `to_dict` gives values."""
    fields = [field for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING]
    return {field.name: _as_json(field.default) for field in fields}


def from_dict(cls: type[ConfigT], stored: Mapping, source: str = "the stored configuration") -> ConfigT:
    """Reads back what `to_dict` wrote; lists become tuples again where the field is one.

    Raises:
        UsageError: `stored` has fields this version does not know, or values of other types than theirs.
    """
    hints = typing.get_type_hints(cls)
    unknown = [key for key in stored if key not in hints]
    if unknown:
        raise UsageError(
            f"{source}: fields {', '.join(unknown)} are not known to this version. Use the version that wrote it."
        )
    wrong = [key for key, value in stored.items() if not _fits(hints[key], value)]
    if wrong:
        value = repr(stored[wrong[0]])
        raise UsageError(f"{source}: {wrong[0]} cannot be {value[:80]}. Use the file as it was written.")
    try:
        return cls(**{key: _as_type(hints[key], value) for key, value in stored.items()})
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from error


def _as_json(value):
    return list(value) if isinstance(value, tuple) else value


def _as_type(hint, value):
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    is_tuple = any(typing.get_origin(option) is tuple for option in options)
    return tuple(value) if is_tuple and isinstance(value, list) else value


def _fits(hint, value) -> bool:
    """Whether JSON's form of a field's type may hold a value."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(option, value) for option in inner)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        inner = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(inner) == len(value) and all(map(_fits, inner, value))
    if hint in (int, float):
        return type(value) in ((int,) if hint is int else (int, float))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _hint(name: str, valid) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
