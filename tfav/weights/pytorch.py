"""PyTorch state dicts in Keras 3 models: by name, every shape checked, nothing changed unless all of it fits.

A layer called as a module of the original, `resnet.layer1.0.conv1`, takes that module's tensors; the model's own name
may stand in front. A recurrent layer called `gru.l0` takes layer 0 of the module `gru`, both directions.

What differs between the two is handled here: the order of axes in kernels, the order of the gates of a GRU and its two
biases, names. What a model has to be built with is told where it is not: batch normalisation with PyTorch's epsilon of
1e-5, a GRU with `reset_after`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from tfav.io.npz import ArraysError, read_npz
from tfav.weights.errors import WeightsError, first_line
from tfav.weights.report import Report, Translation

_EPSILON = 1e-5  # of PyTorch's batch normalisation
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which checkpoints keep the weights proper
_PARALLEL = "module."  # in front of every name where several GPUs trained
_SAVE_ONE = "Save one with torch.save(model.state_dict(), path)"
_NOT_WEIGHTS = re.compile(r"(^|\.)num_batches_tracked$")


def load_state_dict(model, arrays, *, name_map=None, strict=True, source=None, with_report=False):
    """Fills a Keras model from the arrays of a PyTorch state dict.

    Args:
        model: A built model whose layers are called as the original's modules.
        arrays: Stored name to array, as in `{k: v.numpy() for k, v in state_dict.items()}`.
        name_map: For other names: a dict or a function from the stored name to the one looked for, or to None for
            what is to be left out.
        strict: Refuse tensors that have no place; otherwise they stand in the report.
        source: The file they are from, for errors and the report.
        with_report: Also return the `Report`.

    Returns:
        The model; with `with_report=True` the pair `(model, report)`.

    Raises:
        WeightsError: A tensor is missing, is not in the model, has another shape or holds no numbers; a layer is of a
            kind that has no counterpart. Nothing is changed then.
    """
    report = Report(str(source or "state dict"), keras_version="none (PyTorch state dict)", backend="torch")
    source = source or "the state dict"
    stored = _stored_names(arrays, name_map, source, report)
    targets = [target for layer in _leaves(model) for target in _targets(layer, model, source, report)]
    used = {name for target in targets for name in target.names}
    assignments, wrong = [], []
    for target in targets:
        absent = [name for name in target.names if name not in stored]
        if absent:
            wrong.append(f"{absent[0]} is missing, for {target.variable.path} {list(target.variable.shape)}")
            continue
        given = [_numbers(arrays[stored[name]], stored[name], source) for name in target.names]
        unfit = [
            f"{name} should be {list(shape)}, and is {list(array.shape)}"
            for name, shape, array in zip(target.names, target.shapes, given, strict=True)
            if array.shape != tuple(shape)
        ]
        wrong += unfit[:1]
        assignments.append((target, given))
    if strict:
        extra = [name for name in stored if name not in used and not _NOT_WEIGHTS.search(name)]
        wrong += [f"{name} has no place in the model" for name in extra]
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        reason = f"it does not fit the model {model.name!r}: {'; '.join(wrong[:3])}{more}"
        raise WeightsError(source, reason, "Check that the model is built with the sizes of the original.")
    report.ignored += [f"{stored[name]}: no weight of the model" for name in stored if name not in used]
    for target, given in assignments:
        value, how = target.translate(*given)
        if not np.isfinite(value).all():
            report.note(f"{stored[target.names[0]]} holds values that are not finite")
        target.variable.assign(value.astype(np.float32))
        path, shape = target.variable.path, value.shape
        report.translated += [Translation(stored[name], path, shape, how) for name in target.names]
    return (model, report) if with_report else model


def load_pt(model, path, *, name_map=None, strict=True, with_report=False):
    """Fills a Keras model from a `.pt` file of a state dict, or from an `.npz` of its arrays.

    A `.pt` file is a pickle, which can hold programs; PyTorch opens it with `weights_only=True`, which runs none.

    Args:
        model: As in `load_state_dict`, and so are the other arguments and what is returned.
        path: The file.
        name_map: See there.
        strict: See there.
        with_report: See there.

    Raises:
        WeightsError: There is no such file, it is no state dict, PyTorch is not installed, or it does not fit.
    """
    arrays = read_state_dict(path)
    return load_state_dict(model, arrays, name_map=name_map, strict=strict, source=str(path), with_report=with_report)


def read_state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays of a `.pt` file, opened safely, or of an `.npz` file.

    Raises:
        WeightsError: As in `load_pt`.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(path, "there is no such file", "Check the path.")
    if path.suffix.lower() == ".npz":
        try:
            return read_npz(path)
        except ArraysError as error:
            raise WeightsError(path, "it is no .npz file of plain arrays", "Save it again with np.savez.") from error
    torch = _import_torch(path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or foreign pickle raises is of any kind
        raise WeightsError(
            path,
            f"it is no state dict that can be opened safely ({first_line(error)[:120]})",
            f"{_SAVE_ONE}; a file that pickles whole objects is never opened.",
        ) from error
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded or not all(torch.is_tensor(value) for value in loaded.values()):
        raise WeightsError(path, f"it holds {_kind(loaded)}, no state dict", f"{_SAVE_ONE}.")
    return {
        str(name): (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()
        for name, tensor in loaded.items()
    }


def _import_torch(path: Path):
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            path,
            "PyTorch is needed to open it, and is not installed",
            "pip install 'tfav[torch]', or save the arrays as .npz on a machine that has it.",
        ) from error
    return torch


def _kind(loaded) -> str:
    if isinstance(loaded, Mapping):
        odd = [name for name, value in loaded.items() if not hasattr(value, "shape")]
        return f"a dict with {odd[0]!r} among its keys" if odd else "an empty dict"
    return f"a {type(loaded).__name__}"


def _stored_names(arrays, name_map, source, report) -> dict[str, str]:
    """Name that is looked for -> stored name."""
    if not isinstance(arrays, Mapping) or not arrays:
        raise WeightsError(source, "it holds no tensors", "Give a dict from name to array.")
    names = {str(name): str(name) for name in arrays}
    if name_map is not None:
        rename: Callable = name_map if callable(name_map) else lambda name: name_map.get(name, name)
        names = {rename(name): name for name in arrays}
        report.ignored += [f"{names.pop(None)}: left out by name_map"] if None in names else []
    elif all(name.startswith(_PARALLEL) for name in names):
        names = {name.removeprefix(_PARALLEL): name for name in names}
        report.note(f"{_PARALLEL!r} taken off the front of every name")
    return names


def _numbers(array, name: str, source) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "fiu":
        raise WeightsError(source, f"{name} holds no numbers but {array.dtype}", "Save it as float32.")
    return array


def _leaves(model) -> Iterator[keras.layers.Layer]:
    """Layers that hold weights of their own, in models within models too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif any(True for _ in layer.weights if "seed_generator" not in _.path):
            yield layer


@dataclass(frozen=True)
class _Target:
    """One Keras variable, the tensors it is made of, the shapes they must have, and how."""

    variable: keras.Variable
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    translate: Callable


def _targets(layer, model, source, report) -> list[_Target]:
    module = layer.name.removeprefix(f"{model.name}.")
    if isinstance(layer, keras.layers.BatchNormalization):
        return list(_batch_norm(layer, module, report))
    if isinstance(layer, keras.layers.Bidirectional | keras.layers.GRU):
        return list(_gru(layer, module, source))
    kernel = getattr(layer, "kernel", None)
    kinds = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    if not isinstance(layer, kinds) or kernel is None or getattr(layer, "groups", 1) != 1:
        reason = f"layer {layer.name!r} is a {type(layer).__name__}, for which no rule is known"
        raise WeightsError(source, reason, "Fill it by hand.")
    rank = len(kernel.shape)
    axes = (*range(2, rank), 1, 0)  # stored [out, in, places...], wanted [places..., in, out]
    shape = tuple(kernel.shape[axes.index(axis)] for axis in range(rank))
    found = [_Target(kernel, (f"{module}.weight",), (shape,), lambda x: (x.transpose(axes), "axes turned"))]
    return [*found, _plain(layer.bias, f"{module}.bias")] if layer.use_bias else found


def _plain(variable, name: str) -> _Target:
    return _Target(variable, (name,), (tuple(variable.shape),), lambda x: (x, "as stored"))


def _batch_norm(layer, module: str, report) -> Iterator[_Target]:
    if abs(layer.epsilon - _EPSILON) > 1e-9:
        report.note(f"{layer.name} has epsilon {layer.epsilon:g}, PyTorch's is {_EPSILON:g} unless set otherwise")
    roles = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    for attribute, role in roles.items():
        variable = getattr(layer, attribute)
        if variable is not None:
            yield _plain(variable, f"{module}.{role}")


def _gru(layer, module: str, source) -> Iterator[_Target]:
    """A GRU of one layer, or both directions of one; `module` ends in `.l` and the layer's number, else it is 0."""
    match = re.fullmatch(r"(.*)\.l(\d+)", module)
    module, number = (match[1], match[2]) if match else (module, "0")
    directions = [(layer, "")]
    if isinstance(layer, keras.layers.Bidirectional):
        directions = [(layer.forward_layer, ""), (layer.backward_layer, "_reverse")]
    for one, suffix in directions:
        if not isinstance(one, keras.layers.GRU) or not one.reset_after or not one.use_bias:
            reason = f"layer {layer.name!r} is no GRU with biases and reset_after=True, as PyTorch's are"
            raise WeightsError(source, reason, "Build it so.")
        cell, end = one.cell, f"_l{number}{suffix}"
        for kernel, role in ((cell.kernel, "weight_ih"), (cell.recurrent_kernel, "weight_hh")):
            shape = tuple(kernel.shape)[::-1]
            yield _Target(kernel, (f"{module}.{role}{end}",), (shape,), _turn_gates)
        names = (f"{module}.bias_ih{end}", f"{module}.bias_hh{end}")
        yield _Target(cell.bias, names, ((3 * one.units,),) * 2, _join_biases)


def _reorder(array: np.ndarray) -> np.ndarray:
    """PyTorch keeps reset, update, new, one below the other; Keras update, reset, new."""
    reset, update, new = np.split(array, 3, axis=0)
    return np.concatenate([update, reset, new], axis=0)


def _turn_gates(array):
    return _reorder(array).T, "gates reordered, axes turned"


def _join_biases(of_input, of_state):
    return np.stack([_reorder(of_input), _reorder(of_state)]), "gates reordered, two biases joined"
