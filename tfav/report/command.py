"""The command that trains a run again, from what its folder stores."""

import dataclasses
import shlex

from tfav.errors import TfavError
from tfav.systems import load
from tfav.training.config import to_dict
from tfav.training.run import Run


def repeating_command(run: Run) -> str:
    """`tfav train ...` with the preset, every field that differs from it, and a new run folder.

    However a run was started, by a script or in a notebook, this trains it again. Where its configuration cannot be
    read by this version, it is what the run was started with.
    """
    try:
        config_cls = load(run.system).Config
        config = config_cls.from_dict(run.config)
        preset = to_dict(config_cls.preset(config.preset_name))
    except TfavError:
        return run.command
    words = ["tfav", "train", run.system, "--preset", config.preset_name]
    for field in dataclasses.fields(config_cls):
        value = to_dict(config)[field.name]
        if value != preset[field.name] and field.name != "preset_name":
            words += _flag(field.name, value)
    return shlex.join([*words, "--run-dir", f"{run.dir}-again"])


def _flag(name: str, value) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value)] if isinstance(value, list) else [f"--{flag}", str(value)]
