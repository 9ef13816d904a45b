"""Weights to begin with: of other runs, of the course notebook's TensorFlow checkpoint, of Keras-2 files of LipNet."""

import re
from pathlib import Path

import h5py
import keras
import numpy as np

from tfav import weights
from tfav.errors import TfavError, UsageError
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.model import BACKEND, build_model
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.weights.report import Report, Translation

_MODELS = ("notebook", "paper")
# In the newer `.weights.h5` layers are called by their class and counted; these are all that hold weights here.
_CLASSES = {"conv3d": ("conv1", "conv2", "conv3"), "bidirectional": ("rnn1", "rnn2"), "dense": ("labels_dense",)}
_LAST = ("labels_dense",)  # the one layer that depends on the tokenizer
_HEADS = {"words": "word_loss_weight", "sound": "mel_loss_weight"}  # layers for training alone, and what asks for them


def load_init(model: keras.Model, config: Config) -> list[str]:
    """Fills a model from `config.init`, all but the last layer where the tokenizer is another one; then freezes.

    Args:
        model: Of `config`, not compiled yet.
        config: `init`: a run folder, `pretrained`, an `.npz`, or an old `.h5` file or TensorFlow checkpoint of the
            same builder; `freeze`.

    Returns:
        What was done, a line each.

    Raises:
        UsageError: There is no such run or file.
        TfavError: Weights that do not fit; the message names the tensor.
    """
    said = []
    if config.init:
        said = _fill(model, config)
    if config.freeze == "frontend":
        for layer in model.layers:
            layer.trainable = layer.name in BACKEND
    return said


def _fill(model: keras.Model, config: Config) -> list[str]:
    path = Path(config.init)
    if not runs.is_shipped(config.init) and not path.exists() and not path.with_name(path.name + ".index").exists():
        raise UsageError(f"{path}: there are no weights to begin with. Give --init a run folder or a weights file.")
    if path.suffix == ".npz":
        return [f"{path}: {len(checkpoints.load_arrays(model, path))} variables"]
    if runs.is_shipped(config.init) or (path / "config.json").exists():
        return _fill_from_run(model, config)
    return load_old_weights(model, path).render().splitlines()


def _fill_from_run(model: keras.Model, config: Config) -> list[str]:
    run, before = runs.open_run(config.init, SYSTEM, Config)
    before = before.with_learnt(run.metadata)
    new = {}
    if before.symbols().symbols != config.symbols().symbols:
        new |= dict.fromkeys(_LAST, "the tokenizer has other symbols")
    if config.word_loss_weight and before.known_words() != config.known_words():
        new |= dict.fromkeys(("words", "cond_proj"), "it tells other words apart")
    for head, weight in _HEADS.items():
        if getattr(config, weight) and not getattr(before, weight):
            new[head] = "the run had no such head"
    source = checkpoints.best_model(run.dir, lambda: build_model(before))
    filled = checkpoints.begin_with(model, source, run.dir, new=tuple(new))
    return [f"{run.dir}: {len(filled)} variables", *(f"{name}: new, since {why}" for name, why in new.items())]


def load_old_weights(model: keras.Model, path: Path | str) -> Report:
    """Fills a `notebook` or `paper` model from an old file, tensor by tensor, every shape checked.

    Layers are taken in order: three convolutions, two recurrent layers, the last Dense. Nothing stored is run.

    Args:
        model: From `build_model`, of the file's sizes: picture, units, tokenizer.
        path: An HDF5 file of Keras 1 or 2 (`.h5` with weights alone or a whole model, or the newer `.weights.h5`), or a
            TensorFlow checkpoint (its prefix, `.index` file or folder).

    Returns:
        A report of every tensor: where it went, how it was changed.

    Raises:
        WeightsError: The file cannot be read or does not fit.
        TfavError: A model that no old file is of.
    """
    if not model.name.endswith(_MODELS):
        raise TfavError(f"{path}: old files are of the models {' and '.join(_MODELS)}. Received: {model.name}")
    path = Path(path)
    if path.suffix == ".h5" and _is_newer_format(path):
        report = _load_newer_format(model, path)
    else:
        load = weights.load_legacy_weights if path.suffix == ".h5" else weights.load_checkpoint
        _, report = load(model, path, with_report=True)
    if model.name.endswith("notebook"):
        report.note("its pictures were standardised in wrapping bytes: set normalize=wrapped, mouth_crop=fixed")
    return report


def _is_newer_format(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return "layer_names" not in file.attrs and "layers" in file
    except OSError:
        return False  # said better by who reads the older format


def _load_newer_format(model: keras.Model, path: Path) -> Report:
    stored: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file["layers"].visititems(
            lambda name, item: stored.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
        )
    by_layer: dict[str, list[str]] = {}
    for name in sorted(stored, key=_order):
        by_layer.setdefault(name.split("/")[0], []).append(name)
    pairs, used = [], set()
    for kind, targets in _CLASSES.items():
        sources = [name for name in by_layer if re.fullmatch(rf"{kind}(_\d+)?", name)]
        if len(sources) != len(targets):
            raise weights.WeightsError(
                path, f"it stores {len(sources)} layers {kind}, the model {model.name} has {len(targets)}"
            )
        for source, target in zip(sources, targets, strict=True):
            variables = model.get_layer(target).weights
            used.add(source)
            if len(variables) != len(by_layer[source]):
                raise weights.WeightsError(
                    path, f"{source} stores {len(by_layer[source])} tensors, {target} has {len(variables)}"
                )
            pairs += zip(by_layer[source], variables, strict=True)
    for name, variable in pairs:
        if stored[name].shape != tuple(variable.shape):
            raise weights.WeightsError(
                path,
                f"{name} is stored as {list(stored[name].shape)}, but {variable.path} has {list(variable.shape)}",
                "Set the sizes, the picture and the tokenizer to those of the file.",
            )
    report = Report(str(path), keras_version="2, newer weights format", backend="tensorflow")
    for name, variable in pairs:
        variable.assign(stored[name])
        report.translated.append(Translation(name, variable.path, stored[name].shape, "as stored"))
    report.ignored += [f"{name}: no such layer here" for name in by_layer if name not in used]
    return report


def _order(name: str) -> list:
    """Numbers by value, a first layer before `_1`, the forward half before the backward one."""
    name = name.replace("forward_layer", "0").replace("backward_layer", "1")
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
