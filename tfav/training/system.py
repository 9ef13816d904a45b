"""The contract of a system: what the command line, the report, the page, `tfav export` and `tfav demo` ask of it.

A system is a folder in `tfav/systems` whose package has a `SYSTEM` and the public names of `MEMBERS`. No table of
systems stands anywhere else. Loads no TensorFlow, so that help stays quick.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from tfav.ranges import ranged

# What a system's results are; report and page choose by it.
Kind = Literal["classes", "timeline", "sentences", "frames", "words"]
KINDS = get_args(Kind)

# Public names of a system's package, and what each is for.
MEMBERS = {
    "Config": "all settings, a frozen dataclass; each field is a flag of `tfav train`",
    "PRESETS": "name to the fields that differ from the defaults; notebook, cpu or transfer, and demo",
    "PrepareOptions": "flags of `tfav prepare`, keyword arguments of `prepare`",
    "EvaluateOptions": "flags of `tfav evaluate`, keyword arguments of `evaluate`",
    "PredictOptions": "flags of `tfav predict`, keyword arguments of `predict_files`",
    "TAB": "how the page presents it, a `Tab`",
    "build_datasets": "Config to three tf.data.Dataset; None for an empty part",
    "open_data": "Config to its data, opened once for all of a training: `dataset(part)`, `describe()`",
    "build_model": "Config to keras.Model",
    "compile_args": "Config to the arguments of `model.compile`",
    "callbacks": "Config and run folder to callbacks for `model.fit`; the first one makes the run folder",
    "train": "`(config, run_dir, *, devices)` to one row for each epoch; goes on after a kill",
    "prepare": "`(source, out, **PrepareOptions)` to a PrepareReport",
    "evaluate": "`(run_dir, data_dir, *, part, progress, **EvaluateOptions)` to a JSON-ready dict with `failed`",
    "describe_evaluation": "that dict to text",
    "predict_files": "`(run_dir, files, **PredictOptions)` to `{'files': [row]}`; a row has `path`, or also `error`",
    "open_predictor": "`(run_dir, ...)` to a function `(path, *, progress, **options)` that gives one row",
    "export": "run folder to an `Exported`: pixels in, answers out, three examples",
    "demo": "folder to scores: makes data, trains into `folder/run` and evaluates, in about a minute",
}
# Those that not every system has.
OPTIONAL_MEMBERS = {
    "LiveOptions": "flags of `tfav live`, keyword arguments of `open_live`",
    "open_live": "`(**LiveOptions)` to a `tfav.live.Live`, which gives a row for the newest window of frames",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class System:
    """A system, by the names that the rest of tfav asks for; each is looked up when it is first used.

    Attributes:
        name: Name of its folder and on the command line.
        summary: What it does, one line for `tfav --help`.
        kind: What its results are.
        package: Its package, `__name__` of the module that makes this.

    Example:
        >>> from tfav.systems import SYSTEMS
        >>> all(system.Config.preset("demo").seed == 0 for system in SYSTEMS.values())
        True
    """

    name: str
    summary: str
    kind: Kind
    package: str

    def __getattr__(self, member: str) -> Any:
        """A public name of the system's package.

        Raises:
            AttributeError: It is not part of the contract.
        """
        if member not in MEMBERS and member not in OPTIONAL_MEMBERS:
            raise AttributeError(f"a system has no {member!r}. It has: {', '.join(MEMBERS)}.")
        return getattr(importlib.import_module(self.package), member)

    def has(self, member: str) -> bool:
        """Whether it has one of `OPTIONAL_MEMBERS`; nothing heavy is imported to tell."""
        return member in importlib.import_module(self.package).__all__


@dataclasses.dataclass(frozen=True, kw_only=True)
class Control:
    """A number that a person may set on the page.

    Attributes:
        name: Key in the values that `Tab.options` is given.
        label: Shown beside it.
        info: What it does.
        low: Smallest value.
        high: Largest value.
        start: Value at first.
        places: Digits after the point.
    """

    name: str
    label: str
    info: str
    low: int
    high: int
    start: int
    places: int = 0


def _no_options(values: Mapping[str, float], out: Path) -> dict:
    return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tab:
    """A system on the page.

    Attributes:
        system: Name of the system.
        title: On the tab.
        intro: What it does with a video, for somebody who has never heard of it.
        button: What its button says.
        make_run: The command that makes a run, for who has none.
        example_label: What the button of the example video says.
        example: The function that makes that video at a path, as `module:function`; it loads no TensorFlow.
        controls: What a person may set.
        options: From the controls' values and the folder for results to the options of the predictor.
        where: From what `tfav serve --run-dir SYSTEM=` was given to the arguments of `open_predictor`; None: one run.
        position: Tabs stand in this order.
    """

    system: str
    title: str
    intro: str
    button: str
    make_run: str
    example_label: str
    example: str
    controls: tuple[Control, ...] = ()
    options: Callable[[Mapping[str, float], Path], dict] = _no_options
    where: Callable[[str], dict] | None = None
    position: int = 0

    def write_example(self, path: Path) -> Path:
        """Makes the example video, without TensorFlow, and gives its path."""

        return pkgutil.resolve_name(self.example)(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Flags of `tfav predict` where one run answers."""

    run_dir: Path
    """Run folder, or pretrained where the system ships weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Flags of `tfav live` where windows are classified."""

    window_sec: float | None = ranged(None, gt=0)
    """Length of the window that is looked at, in seconds. Default: that of the clips in training."""
    top: int = ranged(5, ge=1)
    """Number of classes in an answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimelineOptions:
    """Flags of `tfav predict` for what happens when in a long video."""

    every: float | None = ranged(None, gt=0)
    """Look at a window every N seconds and print segments: what happens when. Default: one answer for each video."""
    window_sec: float | None = ranged(None, gt=0)
    """Length of a window in seconds. Default: that of the clips in training."""
    smooth_sec: float | None = ranged(None, ge=0)
    """Deviation of the smoothing of segments over time, in seconds. Default: as --every; 0 for none."""
    out: Path | None = None
    """Folder for segments as .csv, .srt, .vtt and .timeline.json. Default: predictions in the run folder."""
    captions: bool = False
    """Write the video with its segments as captions, too."""


def given(options) -> dict:
    """The keyword arguments that a dataclass of options stands for: its fields, without those that are None."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return {name: value for name, value in values.items() if value is not None}
