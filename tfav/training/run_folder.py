"""The run folder: all that a run was, so that it can go on, be repeated and be told from others.

config.json      system, configuration, labels, command, versions, git state
metrics.jsonl    one line per epoch
best.keras       the model
backup/          the state to go on from
tensorboard/     logs for TensorBoard
report.html      what tfav report wrote
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tfav._version import __version__
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import write_json
from tfav.io.text_files import same_form
from tfav.training.config import CONFIG_VERSION, ConfigT, RunConfig, defaults

PRETRAINED = "pretrained"  # as a run folder: the weights that a system ships
_SYSTEMS = Path(__file__).resolve().parent.parent / "systems"

# Fields that may change when a run goes on: how long and where, not what is learnt.
MAY_CHANGE = frozenset({"epochs", "stages", "stage_epochs", "data_dir", "mnist", "cache_dir", "devices"})
_PACKAGES = ("tensorflow", "keras", "numpy", "opencv-contrib-python", "av", "tensorflow-hub")


class Run(NamedTuple):
    """A run folder that was read."""

    dir: Path
    system: str
    config: dict
    metadata: dict  # what the system stored beside the configuration, labels among it
    environment: dict
    command: str


def start(run_dir: Path | str, system: str, config, metadata: dict) -> Run:
    """Makes a run folder, or opens the one that is there to go on with it.

    Args:
        run_dir: The folder.
        system: Name of the system.
        config: The system's `Config`, or a JSON-ready mapping.
        metadata: JSON-ready knowledge the model depends on, such as `labels`.

    Raises:
        UsageError: The folder holds a run of another system, other settings or other labels.
    """
    run_dir = Path(run_dir)
    check(run_dir, system, config, metadata)
    if (run_dir / "config.json").exists():
        return load(run_dir, system)
    run_dir.mkdir(parents=True, exist_ok=True)
    stored = {
        "version": CONFIG_VERSION,
        "tfav": __version__,
        "system": system,
        "config": _json_ready(config),
        "metadata": metadata,
        "environment": environment(),
        "command": _command(),
    }
    write_json(run_dir / "config.json", stored)
    return load(run_dir, system)


def check(run_dir: Path | str, system: str, config, metadata: dict) -> None:
    """Refuses a folder that `start` would refuse, and makes nothing; to be asked before long work on the data.

    Raises:
        UsageError: As in `start`.
    """
    run_dir = Path(run_dir)
    if (run_dir / "config.json").exists():
        _check_same(load(run_dir, system), config, metadata)
    elif run_dir.exists() and (not run_dir.is_dir() or any(p for p in run_dir.iterdir() if p.name[0] != ".")):
        raise UsageError(f"{run_dir}: not empty and no run folder. Give --run-dir a new folder.")


def resolve(run_dir: Path | str, system: str | None) -> Path:
    """The folder of a run; `pretrained` is the one inside the package that a system ships.

    Raises:
        UsageError: The system ships no weights; the message lists those that do.
    """
    if not is_shipped(run_dir):
        return Path(run_dir).expanduser()
    folder = _SYSTEMS / (system or "") / PRETRAINED
    if system is None or not (folder / "config.json").exists():
        ships = ", ".join(sorted(path.parent.parent.name for path in _SYSTEMS.glob(f"*/{PRETRAINED}/config.json")))
        raise UsageError(
            f"{system or 'this command'} has no pretrained weights. Systems that ship some: {ships or '-'}."
        )
    return folder


def is_shipped(run_dir: Path | str) -> bool:
    """Whether this is what a system ships: part of the package, so no place to keep results in."""
    return str(run_dir) == PRETRAINED


def predictions_folder(run_dir: Path | str) -> Path:
    """By default: `predictions/` in the run folder; of `pretrained`, in the current one."""
    return Path("" if is_shipped(run_dir) else run_dir) / "predictions"


def load(run_dir: Path | str, system: str | None = None) -> Run:
    """Reads a run folder, or what a system ships where `run_dir` is `pretrained`.

    Raises:
        UsageError: It is none, one of another system, or one that another version of tfav wrote.
        TfavError: Its `config.json` is damaged.
    """
    run_dir = resolve(run_dir, system)
    path = run_dir / "config.json"
    try:
        stored = json.loads(path.read_bytes())
        version = stored.get("version", 1)
        run = Run(
            run_dir, stored["system"], stored["config"], stored["metadata"], stored["environment"], stored["command"]
        )
        if "labels" in run.metadata:  # as `scan` gives them now, whatever system they were stored on
            run.metadata["labels"] = [same_form(label) for label in run.metadata["labels"]]
        if not all(isinstance(value, kind) for value, kind in zip(run[1:], (str, dict, dict, dict, str), strict=True)):
            raise ValueError("of other types")
    except OSError as error:
        raise UsageError(_why_no_run(run_dir, error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TfavError(f"{path}: cannot be read as a run's configuration. Train again into a new folder.") from error
    if version != CONFIG_VERSION:
        raise UsageError(
            f"{path}: written by {'an older' if version == 1 else 'another'} version of tfav (configuration version "
            f"{version}, this one reads {CONFIG_VERSION}). Train again into a new folder."
        )
    if system is not None and run.system != system:
        raise UsageError(f"{run_dir}: a run of {run.system}, not of {system}. Use tfav ... {run.system}.")
    return run


def open_run(run_dir: Path | str, system: str, config_cls: type[ConfigT]) -> tuple[Run, ConfigT]:
    """Reads a run folder of a system, and its configuration.

    Raises:
        UsageError: It is no run of the system, or one that another version of tfav wrote.
        TfavError: Its `config.json` is damaged.
    """
    run = load(run_dir, system)
    return run, config_cls.from_dict(run.config, str(run.dir / "config.json"))


def _why_no_run(run_dir: Path, error: OSError) -> str:
    """What stands at the path in place of a run folder, and what to give."""
    if run_dir.is_file():
        beside = run_dir.parent if (run_dir.parent / "config.json").exists() else None
        meant = f"Give --run-dir {beside}." if beside else "Give the folder that tfav train made."
        return f"{run_dir}: a file, and a run is the folder of its files. {meant}"
    if not run_dir.exists():
        return f"{run_dir}: not a run folder: it is not there. Check the spelling, or train one with tfav train."
    if not isinstance(error, FileNotFoundError):
        return f"{run_dir / 'config.json'}: cannot be read ({error.strerror}). Change its permissions."
    inside = sorted(path.parent.name for path in run_dir.glob("*/config.json"))
    if inside:
        return f"{run_dir}: not a run folder, but holds some: {', '.join(inside[:6])}. Give one of them."
    if (run_dir.parent / "config.json").exists():
        return f"{run_dir}: a part of a run. Give --run-dir {run_dir.parent}."
    return f"{run_dir}: not a run folder (no config.json). Train one first with tfav train."


def is_finished(run_dir: Path | str, epochs: int) -> bool:
    """Whether training came to its end, be it the last epoch or an early stop."""
    path = Path(run_dir) / "finished.json"
    return path.exists() and json.loads(path.read_bytes())["epochs"] >= epochs


def mark_finished(run_dir: Path | str, epochs: int) -> None:
    """Notes that training up to `epochs` has ended."""
    write_json(Path(run_dir) / "finished.json", {"epochs": epochs})


def environment() -> dict:
    """Versions, machine and git state."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "tfav": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": versions,
        "git": _git_state(),
    }


def _json_ready(config) -> dict:
    return config.to_dict() if isinstance(config, RunConfig) else dict(config)


def _check_same(run: Run, config, metadata: dict) -> None:
    for key, value in metadata.items():
        if run.metadata.get(key) != value:
            raise UsageError(
                f"{run.dir}: was started with other {key} ({_short(run.metadata.get(key))}; now {_short(value)}). "
                "Give --run-dir a new folder."
            )
    # What came into the configuration after the run was started had its default then.
    before = defaults(type(config)) if isinstance(config, RunConfig) else {}
    before, now = before | run.config, _json_ready(config)
    changed = [key for key in now if key not in MAY_CHANGE and before.get(key) != now[key]]
    if changed:
        key = changed[0]
        raise UsageError(
            f"{run.dir}: was started with other settings: {', '.join(changed)} "
            f"({key} was {_short(before.get(key))}, now {_short(now[key])}). "
            "Give --run-dir a new folder, or the same settings to go on."
        )


def _short(value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _command() -> str:
    return " ".join(["tfav" if Path(sys.argv[0]).name == "tfav" else sys.argv[0], *sys.argv[1:]])


def _git_state() -> dict | None:
    def git(*arguments):
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=True,
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None  # installed from a package, or no git here
