"""Settings that systems share: dataclasses that a `Config` inherits from, with presets and the round trip through JSON.

Each class here is frozen and keyword-only, and its fields are flags of `tfav train`. A `Config` gives a field again
where its default, its range or its choices are others. Loads no TensorFlow, so that `--help` stays quick.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from tfav.errors import UsageError
from tfav.io.cache import cache_folder
from tfav.ranges import SEED_MAX, check_fields, ranged

# Of what `config.json` holds. It grows when fields are renamed or go, so that what older versions wrote is refused.
CONFIG_VERSION = 2
ConfigT = TypeVar("ConfigT", bound="RunConfig")
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of every run.

    Attributes:
        preset_name: Preset this configuration came from; empty: none.
        data_dir: Data set to train on.
        cache_dir: Folder for what is computed from the data once. Default: `$TFAV_CACHE`, else `~/.cache/tfav`.
        batch_size: Examples per step.
        patience: Epochs without a better validation result before training stops; 0 never stops.
        precision: Number format of the layers; the mixed ones keep the weights in float32.
        seed: Seed of the split, the initial weights, the order and the augmentation.
    """

    PRESETS: ClassVar[Mapping[str, Mapping]] = {}  # name -> the fields that differ from the defaults

    preset_name: str = ""
    data_dir: str = ""
    cache_dir: str = ""
    batch_size: int = ranged(8, ge=1)
    patience: int = ranged(0, ge=0)
    precision: Precision = "float32"
    seed: int = ranged(0, ge=0, le=SEED_MAX)

    def __post_init__(self):
        """Refuses values out of range, values that are no choice, and values that contradict one another.

        Raises:
            UsageError: Naming the field, what it needs and what it was given.
        """
        check_fields(self)

    @classmethod
    def preset(cls: type[ConfigT], name: str, **overrides) -> ConfigT:
        """The configuration of a named preset, with some fields set otherwise.

        Raises:
            UsageError: An unknown preset or field; the message lists the valid ones.
        """
        if name not in cls.PRESETS:
            raise UsageError(
                f"unknown preset {name!r}.{_hint(name, cls.PRESETS)} Valid presets: {_listed(cls.PRESETS)}."
            )
        fields = [field.name for field in dataclasses.fields(cls)]
        for key in overrides:
            if key not in fields:
                raise UsageError(f"unknown field {key!r}.{_hint(key, fields)} Valid fields: {_listed(fields)}.")
        homes = {key: str(Path(value).expanduser()) for key, value in overrides.items() if str(value).startswith("~/")}
        return cls(**{**cls.PRESETS[name], "preset_name": name, **overrides, **homes})

    @classmethod
    def from_dict(cls: type[ConfigT], stored: Mapping, source: str = "the stored configuration") -> ConfigT:
        """Reads back what `to_dict` wrote; lists become tuples again where the field is one.

        Raises:
            UsageError: `stored` has fields this version does not know, or values of other types than theirs.
        """
        hints = typing.get_type_hints(cls)
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := [key for key in stored if key not in names]:
            raise UsageError(
                f"{source}: fields {_listed(unknown)} are not known to this version. Use the version that wrote it."
            )
        wrong = [key for key, value in stored.items() if not _fits(hints[key], value)]
        if wrong:
            value = repr(stored[wrong[0]])
            raise UsageError(f"{source}: {wrong[0]} cannot be {value[:80]}. Use the file as it was written.")
        try:
            return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()})
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The fields as what JSON can hold."""
        return {key: _as_json(value) for key, value in dataclasses.asdict(self).items()}

    def cache_path(self) -> Path:
        """Folder for what is computed from the data once."""
        return cache_folder(self.cache_dir)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScheduleConfig(RunConfig):
    """Settings of how long to train and how fast.

    Attributes:
        epochs: Passes over the training part.
        learning_rate: Learning rate at the start.
        schedule: `constant`, or `cosine` from `learning_rate` to 0 over all epochs.
    """

    epochs: int = ranged(20, ge=1)
    learning_rate: float = ranged(1e-3, gt=0, le=1)
    schedule: Literal["constant", "cosine"] = "constant"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig(RunConfig):
    """Settings of the optimizer, beside the learning rate.

    Attributes:
        weight_decay: Decoupled weight decay (AdamW); 0 is Adam.
        clip_norm: Largest norm of all gradients together; 0 does not clip.
        ema_momentum: Momentum of a moving average of the weights, used for everything but training; 0 keeps none.
    """

    weight_decay: float = ranged(0.0, ge=0, lt=1)
    clip_norm: float = ranged(0.0, ge=0)
    ema_momentum: float = ranged(0.0, ge=0, lt=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitConfig(RunConfig):
    """Settings of how the data are divided.

    Attributes:
        val_fraction: Share kept for validation.
        test_fraction: Share kept for the test part.
    """

    val_fraction: float = ranged(0.1, ge=0, lt=1)
    test_fraction: float = ranged(0.0, ge=0, lt=1)

    def __post_init__(self):
        super().__post_init__()
        if self.val_fraction + self.test_fraction >= 1:
            raise UsageError(
                "val_fraction and test_fraction must leave something to train on. "
                f"Received: val_fraction={self.val_fraction} and test_fraction={self.test_fraction}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig(SplitConfig):
    """Settings of a classifier: its classes, and how examples in folders of their classes are divided.

    Attributes:
        num_classes: Number of classes; 0: as many as `data_dir` has.
        label_smoothing: Share of each target spread over the other classes.
        split: How to divide; `auto` divides by a table's parts, or by group where every name matches `group_pattern`.
        group_pattern: Regular expression whose bracket is the group in a file name.
        val_groups: Groups to validate on, by name.
        test_groups: Groups to test on, by name.
        train_list: Split list of the training part (UCF101's format), for `split=lists`.
        test_list: Split list of the test part, for `split=lists`.
    """

    num_classes: int = ranged(0, ge=2, also=(0,))
    label_smoothing: float = ranged(0.0, ge=0, lt=1)
    split: Literal["auto", "group", "fraction", "lists"] = "auto"
    group_pattern: str = r"_g(\d+)_"
    val_fraction: float = ranged(0.2, ge=0, lt=1)
    val_groups: tuple[str, ...] = ()
    test_groups: tuple[str, ...] = ()
    train_list: str = ""
    test_list: str = ""

    def __post_init__(self):
        super().__post_init__()
        if self.split == "lists" and not (self.train_list and self.test_list):
            raise UsageError("split=lists needs train_list and test_list.")

    @property
    def has_val(self) -> bool:
        """Whether there is a validation part."""
        return self.val_fraction > 0 or bool(self.val_groups)


def defaults(cls: type) -> dict:
    """The defaults of a configuration's fields, as `to_dict` gives values."""
    fields = [field for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING]
    return {field.name: _as_json(field.default) for field in fields}


def _as_json(value):
    return list(value) if isinstance(value, tuple) else value


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
    if origin is Literal:  # which one it is, is checked with the ranges
        return isinstance(value, str)
    if hint in (int, float):
        return type(value) in ((int,) if hint is int else (int, float))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _hint(name: str, valid: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
