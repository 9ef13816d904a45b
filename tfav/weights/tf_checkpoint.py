"""TensorFlow checkpoints into Keras 3 models, which refuse them.

Object-based checkpoints (tf.keras' `save_weights` without `.h5`) number the layers, so they are matched layer by
layer. Name-based ones (TF1) keep their graph's names, so they want a map of names, or agree by position.
"""

import re
from pathlib import Path

import tensorflow as tf

from tfav.weights.errors import WeightsError, check_built, few, first_line
from tfav.weights.report import Report, Translation
from tfav.weights.slots import ALIASES, tree_of

_ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_WEIGHTS = re.compile(
    r"(_CHECKPOINTABLE_OBJECT_GRAPH|\.OPTIMIZER_SLOT|^(.*/)?optimizer/|^optimizer|save_counter|global_step"
    r"|/(Adam|Adam_1|RMSProp|RMSProp_1|Momentum|ExponentialMovingAverage)$|beta[12]_power|^keras_api|_CHECKPOINT_V2)"
)
# What TensorFlow's reader raises on damaged parts: its statuses by their Python names, or its own errors.
_UNREADABLE = (tf.errors.OpError, RuntimeError, ValueError, TypeError, IndexError, MemoryError)
_NUMBERED = re.compile(r"layer_with_weights-(\d+)")
_CHECK_MODEL = "Check that the model is the one the checkpoint was made from."


def load_checkpoint(model, path, *, name_map=None, with_report=False):
    """Fills a Keras 3 model from a TensorFlow checkpoint.

    Nothing is changed in the model unless everything fits.

    Args:
        model: A built model.
        path: The checkpoint: its prefix, its `.index` file, or its folder (the newest one in it is taken).
        name_map: Which stored tensor goes where: a dict from stored name to variable path (as in
            `[v.path for v in model.weights]`), or a function from stored name to such a path or None. None matches
            numbered layers, then equal names, then by position.
        with_report: Also return the `Report`.

    Returns:
        The model; with `with_report=True` the pair `(model, report)`.

    Raises:
        WeightsError: There is no such checkpoint, it cannot be read, or it does not fit the model.
    """
    prefix = _find_prefix(path)
    check_built(model, path)
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    report = Report(str(path), keras_version="none (TensorFlow checkpoint)", backend="tensorflow")
    names = sorted((name for name in shapes if not _NOT_WEIGHTS.search(name)), key=_natural)
    report.ignored += [f"{name}: not a weight of the model" for name in sorted(shapes) if name not in names]
    pairs = _pair(path, model, names, shapes, name_map)
    for name, variable in pairs:
        if not (dtypes[name].is_floating or dtypes[name].is_integer):
            raise WeightsError(path, f"{name} holds no numbers but {dtypes[name].name}", "Pass name_map= without it.")
        if tuple(shapes[name]) != tuple(variable.shape):
            reason = f"{name} is stored as {list(shapes[name])}, but {variable.path} has {list(variable.shape)}"
            raise WeightsError(path, reason, _CHECK_MODEL)
    missing = {v.path for v in model.weights} - {variable.path for _, variable in pairs}
    if missing:
        raise WeightsError(path, f"nothing is stored for {_first(missing)}", "Pass name_map= for them.")
    used = {name for name, _ in pairs}
    report.ignored += [f"{name}: not mapped" for name in names if name not in used]
    try:
        values = [reader.get_tensor(name) for name, _ in pairs]
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    for (name, variable), value in zip(pairs, values, strict=True):
        variable.assign(value)
        report.translated.append(Translation(name, variable.path, tuple(variable.shape), "as stored"))
    return (model, report) if with_report else model


def _unreadable(path, error) -> WeightsError:
    return WeightsError(path, f"the checkpoint cannot be read ({first_line(error)})", "Fetch all of its parts again.")


def _find_prefix(path):
    path = Path(path)
    if path.is_dir():
        try:
            newest = tf.train.latest_checkpoint(path)
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        if newest is None:
            found = sorted(path.glob("*.index"))
            if len(found) != 1:
                reason = f"the folder holds {len(found)} checkpoints and none is marked newest"
                raise WeightsError(path, reason, "Name one.")
            newest = str(found[0].with_suffix(""))
        return newest
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path))
    if not Path(f"{prefix}.index").is_file():
        reason = f"there is no checkpoint here: {prefix}.index is missing"
        raise WeightsError(path, reason, "A checkpoint is a .index file and its .data files.")
    return prefix


def _pair(path, model, names, shapes, name_map):
    """`[(stored name, variable), ...]` by the first way that applies."""
    by_path = {variable.path: variable for variable in model.weights}
    if name_map is not None:
        wanted = {name: name_map(name) if callable(name_map) else name_map.get(name) for name in names}
        absent = [name for name in (name_map if isinstance(name_map, dict) else ()) if name not in shapes]
        unknown = [target for target in wanted.values() if target is not None and target not in by_path]
        if absent or unknown:
            what = f"the checkpoint has no {_first(absent)}" if absent else f"the model has no {_first(unknown)}"
            raise WeightsError(path, f"name_map does not fit: {what}")
        return [(name, by_path[target]) for name, target in wanted.items() if target is not None]
    numbered = [name for name in names if _NUMBERED.search(name)]
    if numbered:
        return _pair_numbered(path, model, numbered)
    plain = {_plain(name): name for name in names}
    if set(by_path) <= set(plain):
        return [(plain[target], variable) for target, variable in by_path.items()]
    if len(names) != len(by_path):
        raise WeightsError(
            path,
            f"names do not agree, and it stores {len(names)} tensors where the model has {len(by_path)}",
            f"Pass name_map=; stored names begin {_first(names)}.",
        )
    return list(zip(names, model.weights, strict=True))


def _pair_numbered(path, model, names):
    """Pairs numbered layers with the model's layers that have weights, in order, and by role within each."""
    groups = {}
    for name in names:
        scope, _, role = _plain(name).rpartition("/")
        groups.setdefault(scope, {})[role] = name
    leaves = [leaf for layer in model.layers for leaf in tree_of(layer).leaves()]
    if len(groups) != len(leaves):
        raise WeightsError(
            path,
            f"it stores {len(groups)} layers with weights, the model has {len(leaves)}",
            _CHECK_MODEL,
        )
    pairs = []
    for (scope, stored), leaf in zip(sorted(groups.items(), key=lambda item: _natural(item[0])), leaves, strict=True):
        for slot in leaf.slots:
            roles = (slot.role, *ALIASES.get(slot.role, ()))
            name = next((stored[role] for role in roles if role in stored), None)
            if name is None:
                reason = f"{scope} holds {sorted(stored)}, but layer {leaf.layer.name!r} wants a {slot.role}"
                raise WeightsError(path, reason)
            pairs.append((name, slot.variable))
    return pairs


def _plain(name):
    return name.removesuffix(_ATTRIBUTE).removesuffix(":0")


def _natural(name):
    """Sorts numbers by value, and a wrapper's forward layer before its backward one."""
    name = name.replace("forward_layer", "\x00").replace("backward_layer", "\x01")
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _first(names) -> str:
    return few(sorted(map(str, names)), most=4)
