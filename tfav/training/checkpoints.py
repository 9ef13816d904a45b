"""Models on disk: the best one of a run, and the small files that a system ships for `--run-dir pretrained`."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from tfav import keras_settings
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_file, write_json
from tfav.io.npz import ArraysError, read_npz
from tfav.io.text_files import write_text
from tfav.training.config import CONFIG_VERSION
from tfav.training.run_folder import Run

WEIGHTS_NAME = "weights.npz"
CARD_NAME = "README.md"
MAX_BYTES = 8 * 1024**2
_LONG = ("examples", "confusion", "per_class", "streams")  # of scores: what is not shipped along


def write_shipped(run: Run, config: Mapping, out: Path | str, card: str | Path) -> Path:
    """Writes a run's best weights as float16, its configuration, its scores and a model card.

    Args:
        run: A trained run; its `evaluation.json`, where there is one, is kept along, without long tables.
        config: The configuration to store, free of this machine's paths; JSON-ready.
        out: The folder, a system's `pretrained`.
        card: The model card: text, or a file of it.

    Returns:
        The folder.

    Raises:
        TfavError: No readable model, or the file would be larger than 8 MB.
    """
    model, out = best_model(run.dir), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with partial_file(out / WEIGHTS_NAME) as partial:
        with partial.open("wb") as file:
            np.savez_compressed(file, **{variable.path: _small(variable) for variable in model.weights})
        if partial.stat().st_size > MAX_BYTES:
            raise TfavError(f"{run.dir}: {partial.stat().st_size / 1e6:.1f} MB of weights; at most 8 MB are shipped.")
    stored = {
        "version": CONFIG_VERSION,
        "tfav": run.environment.get("tfav", ""),
        "system": run.system,
        "config": dict(config),
        "metadata": run.metadata,
        # What repeats it, without the folders of the machine it was made on.
        "environment": {key: run.environment[key] for key in ("python", "packages") if key in run.environment},
        "command": f"tfav train {run.system} --preset {config['preset_name']}",
    }
    write_json(out / "config.json", stored)
    scores = run.dir / "evaluation.json"
    if scores.exists():
        result = json.loads(scores.read_bytes())
        kept = {key: value for key, value in result.items() if key not in _LONG}
        if "data" in kept:
            kept["data"] = Path(kept["data"]).name  # without the folders of this machine, as above
        write_json(out / "evaluation.json", kept)
    if isinstance(card, Path):
        shutil.copyfile(card, out / CARD_NAME)
    else:
        with partial_file(out / CARD_NAME) as partial:
            write_text(partial, card)
    return out


def load_arrays(model: keras.Model, path: Path | str, *, skip: tuple[str, ...] = ()) -> list[str]:
    """Fills a model from a file of `write_shipped`, by the variables' paths.

    Args:
        model: Built.
        path: The `.npz` file.
        skip: Layers that stay as they are.

    Returns:
        Paths of the variables that were filled.

    Raises:
        TfavError: It cannot be read, or is of another model; nothing is changed then.
    """
    try:
        arrays = read_npz(path)
    except ArraysError as error:
        raise TfavError(f"{path}: not a readable weights file. Fetch it again.") from error
    wanted = {variable.path: variable for variable in model.weights if variable.path.split("/")[0] not in skip}
    for name, variable in wanted.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            has = f"has it as {list(arrays[name].shape)}" if name in arrays else "does not have it"
            raise TfavError(
                f"{path}: {name} should be {list(variable.shape)}, and the file {has}. It is of another model or "
                "another setting, such as another alphabet."
            )
    for name, variable in wanted.items():
        variable.assign(arrays[name].astype(variable.dtype))
    return list(wanted)


def best_model(run_dir: Path | str, build: Callable[[], keras.Model] | None = None) -> keras.Model:
    """The best model of a run, or the one that its shipped weights make.

    Args:
        run_dir: The run folder.
        build: Gives the model for shipped weights.

    Raises:
        TfavError: There is none.
    """
    path, weights = Path(run_dir) / "best.keras", Path(run_dir) / WEIGHTS_NAME
    if build is not None and weights.exists() and not path.exists():
        model = build()
        load_arrays(model, weights)
        return model
    return read_model(path)


def read_model(path: Path | str) -> keras.Model:
    """Opens a `.keras` file of a run.

    Raises:
        TfavError: There is no readable model.
    """
    keras_settings.settle()
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:  # a TypeError: layers that nobody knows
        raise TfavError(f"{path}: there is no readable model. Train the run to its first epoch's end.") from error


def begin_with(
    model: keras.Model, source: keras.Model, where: Path | str, *, new: tuple[str, ...] = (), common: bool = False
) -> list[str]:
    """Gives a model the weights of another one of the same structure, by their paths.

    Args:
        model: Takes them.
        source: Has them.
        where: The run they come from, for messages.
        new: Layers that keep the weights they have.
        common: Only those parts that both models have; otherwise the source must have all.

    Returns:
        The paths of the variables that were given.

    Raises:
        UsageError: A variable that the source lacks or has in another shape; then nothing has changed.
    """
    stored = {variable.path: variable for variable in source.weights}
    filled = [variable for variable in model.weights if variable.path.split("/")[0] not in new]
    if common:
        filled = [variable for variable in filled if variable.path in stored]
    for variable in filled:
        other = stored.get(variable.path)
        if other is None or tuple(other.shape) != tuple(variable.shape):
            has = f"has it as {list(other.shape)}" if other is not None else "does not have it"
            raise UsageError(
                f"{where}: {variable.path} should be {list(variable.shape)}, and the run {has}. Sizes, picture "
                "and words must be those of the run one begins with."
            )
    for variable in filled:
        variable.assign(stored[variable.path])
    return [variable.path for variable in filled]


def _small(variable) -> np.ndarray:
    array = keras.ops.convert_to_numpy(variable)
    if array.dtype.kind in "iu":  # the state of a random source
        return array
    array = array.astype(np.float32)
    small = array.astype(np.float16)
    return small if np.isfinite(small).all() else array  # a variance may be beyond float16
