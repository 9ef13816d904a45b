"""The command that trains a run again, from what its folder stores."""

import shlex

from tfav.errors import TfavError
from tfav.systems import load
from tfav.training.run_folder import Run


def repeating_command(run: Run) -> str:
    """`tfav train ...` with the preset, every field that differs from it, and a new run folder.

    However a run was started, by a script or in a notebook, this trains it again. Where its configuration cannot be
    read by this version, it is what the run was started with.
    """
    try:
        config_cls = load(run.system).Config
        config = config_cls.from_dict(run.config)
        name = config.preset_name or next(iter(config_cls.PRESETS))
        preset = config_cls.preset(name).to_dict()
    except TfavError:
        return run.command
    words = ["tfav", "train", run.system, "--preset", name]
    for field, value in config.to_dict().items():
        if value != preset[field] and field != "preset_name":
            words += _flag(field, value)
    return shlex.join([*words, "--run-dir", f"{run.dir}-again"])


def _flag(name: str, value) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value)] if isinstance(value, list) else [f"--{flag}", str(value)]
