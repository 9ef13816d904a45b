"""Legacy Keras HDF5 files in Keras 3: open, fill, convert.

`keras.models.load_model` of Keras 3 refuses most whole-model files of Keras 1.2 to 2.15. Here the stored architecture
is translated, rebuilt and filled by position within each layer, every shape checked. Nothing stored is executed.
"""

from pathlib import Path

import keras
import numpy as np

from tfav import keras_private, keras_settings
from tfav.weights.errors import WeightsError, check_built
from tfav.weights.keras_h5 import architecture, sandbox
from tfav.weights.keras_h5.archive import Archive
from tfav.weights.keras_h5.assignment import Assignment
from tfav.weights.keras_h5.legacy_layers import legacy_hard_sigmoid
from tfav.weights.keras_h5.rebuild import Rebuilder
from tfav.weights.keras_h5.tensors import Context
from tfav.weights.report import Report
from tfav.weights.slots import Branch, tree_of

BACKENDS = ("tensorflow", "theano", "cntk")
MAX_DIFFERENCE = 1e-5
_HARD_SIGMOID_NOTE = (
    "hard_sigmoid kept as it was, 0.2 x + 0.5; import tfav.weights.keras_h5.legacy_layers before loading a saved copy"
)
_TEST_SIZES = (16, 32, 64, 128, 224)


def load_legacy_model(path, *, custom_objects=None, with_report=False, backend=None):
    """Opens a whole-model HDF5 file of Keras 1, Keras 2 or tf.keras as a Keras 3 model.

    Args:
        path: The file.
        custom_objects: The caller's own functions, layer classes or layers, by layer name, class name or function
            name. The only way to replace a Lambda: its stored code is never run.
        with_report: Also return the `Report`.
        backend: "tensorflow", "theano" or "cntk", the backend that wrote the file; None takes the stored one. Keras 1
            stored none, and `dim_ordering="th"` is then taken for Theano, whose kernels are flipped.

    Returns:
        The model, not compiled; with `with_report=True` the pair `(model, report)`.

    Raises:
        WeightsError: The file is not such a file, is damaged or absurd, or holds what cannot be translated; the
            message names the file, the cause and what to do.
    """
    keras_settings.settle()
    _check_backend(backend)
    sandbox.check(path)
    with Archive(path) as archive:
        config = archive.json("model_config")
        if config is None:
            archive.layer_names()  # says so if it is no Keras file at all
            remedy = "Build the model in code and call tfav.weights.load_legacy_weights(model, path)."
            raise WeightsError(path, "it holds weights without an architecture", remedy)
        root, is_keras1, guessed_theano = architecture.parse(path, config, archive.keras_version)
        stored = archive.stored_layers()
        report = _start_report(archive, is_keras1)
        context = _context(archive, report, backend, is_keras1, guessed_theano)
        rebuilder = Rebuilder(path, stored, custom_objects, report)
        model = rebuilder.build(root)
        built = rebuilder.built
        specs = [spec for spec in root.model.layers if id(spec) in built]
        children = [(spec.name, tree_of(built[id(spec)], spec, built)) for spec in specs]
        Assignment(path, context, report).fill(_flatten_unstored(children, stored), stored)
        _note_legacy_meanings(model, archive.keras_version or "", report)
    return (model, report) if with_report else model


def load_legacy_weights(model, path, *, with_report=False, backend=None):
    """Fills a Keras 3 model from an HDF5 file of Keras 1 or 2, weights-only or whole.

    Layers are matched by name where the names agree, else by order.

    Args:
        model: A built Keras 3 model of the same architecture.
        path: The file.
        with_report: Return the `Report` instead of the model.
        backend: As for `load_legacy_model`.

    Returns:
        The model; with `with_report=True` the pair `(model, report)`.

    Raises:
        WeightsError: The file is not such a file, or its arrays do not fit the model. The model may then be partly
            filled.
    """
    _check_backend(backend)
    check_built(model, path)
    sandbox.check(path)
    with Archive(path) as archive:
        stored = archive.stored_layers()
        is_keras1 = (archive.keras_version or "").startswith(("0.", "1.")) or _names_look_keras1(stored)
        report = _start_report(archive, is_keras1)
        formats = [getattr(layer, "data_format", None) for layer in keras_private.flatten_layers(model)]
        context = _context(archive, report, backend, is_keras1, guessed_theano="channels_first" in formats)
        children = [(layer.name, tree_of(layer)) for layer in model.layers]
        Assignment(path, context, report).fill(_flatten_unstored(children, stored), stored)
    return (model, report) if with_report else model


def convert(path, out, *, custom_objects=None, backend=None):
    """Writes a legacy file as a Keras 3 `.keras` file, and checks the copy before it gets its name.

    Args:
        path: The legacy file.
        out: The `.keras` file to write; replaced if it exists, left alone if anything fails.
        custom_objects: As for `load_legacy_model`.
        backend: As for `load_legacy_model`.

    Returns:
        The `Report`, with a note on the check.

    Raises:
        WeightsError: The file cannot be opened, or the written copy does not give the same outputs.
    """
    out = Path(out)
    if out.suffix != ".keras":
        raise WeightsError(out, "the name of a Keras 3 file ends in .keras", "Choose such a name.")
    if not out.parent.is_dir():
        raise WeightsError(out, "its folder does not exist", "Make the folder first.")
    model, report = load_legacy_model(path, custom_objects=custom_objects, with_report=True, backend=backend)
    beside = out.with_name(f".{out.stem}.part.keras")
    try:
        model.save(beside)
        again = keras.models.load_model(beside, custom_objects=custom_objects, compile=False, safe_mode=False)
        difference = _compare(model, again)
        if difference is None:
            report.note("the copy holds the same weights; its outputs were not compared, since no test input suits it")
        elif difference > MAX_DIFFERENCE:
            raise WeightsError(out, f"the written copy differs from the original by {difference:.2g}; it was discarded")
        else:
            report.note(f"the copy gives the same outputs (largest difference {difference:.1g})")
        beside.replace(out)
    except OSError as error:
        raise WeightsError(out, f"it cannot be written ({error.strerror or error})") from error
    finally:
        beside.unlink(missing_ok=True)
    return report


def _check_backend(backend):
    if backend is not None and backend not in BACKENDS:
        raise WeightsError(None, f"backend is one of {BACKENDS}. Received: backend={backend!r}")


def _start_report(archive, is_keras1):
    version = archive.keras_version or ("1 (by its words)" if is_keras1 else "unknown")
    report = Report(str(archive.path), keras_version=version)
    if archive.has_optimizer:
        report.ignored.append("optimizer_weights: optimizer state")
    try:
        has_training = archive.json("training_config") is not None
    except WeightsError:
        has_training = True
    if has_training:
        report.ignored.append("training_config: loss, metrics and optimizer; compile the model anew to train it")
    return report


def _context(archive, report, backend, is_keras1, guessed_theano):
    known = backend or archive.backend
    if known is None and is_keras1:
        known = "theano" if guessed_theano else "tensorflow"
        basis = "channels come first" if guessed_theano else "channels come last"
        report.note(
            f"backend {known} assumed, since {basis}; Keras 1 does not store it. Pass backend= if it was another"
        )
    report.backend = known or "tensorflow"
    return Context(is_keras1, report.backend == "theano")


def _flatten_unstored(children, stored):
    """Takes models apart whose layers the file lists one by one, as Keras 1 did below a Merge."""
    flat = []
    for name, node in children:
        leaves = node.leaves() if isinstance(node, Branch) and name not in stored else []
        are_stored = leaves and all(leaf.layer.name in stored for leaf in leaves)
        flat += [(leaf.layer.name, leaf) for leaf in leaves] if are_stored else [(name, node)]
    return flat


def _names_look_keras1(stored):
    """Keras 1 wrote `convolution2d_1_W`, later versions `conv2d_1/kernel:0`."""
    names = [array.name for arrays in stored.values() for array in arrays]
    return bool(names) and all("/" not in name and ":" not in name.replace(":0", "") for name in names)


def _note_legacy_meanings(model, version, report):
    """Notes the settings whose meaning changed: kept where it could be, told where it could not."""
    had_old_bilinear = version.startswith("2.2.") and not version.endswith("-tf")
    for layer in keras_private.flatten_layers(model):
        if had_old_bilinear and getattr(layer, "interpolation", None) == "bilinear":
            report.note(
                f"{layer.name}: Keras {version} placed bilinear samples half a pixel aside; outputs differ a little"
            )
        for key in ("activation", "recurrent_activation"):
            if getattr(layer, key, None) is legacy_hard_sigmoid:
                report.note(_HARD_SIGMOID_NOTE)


def _compare(model, again):
    """Largest absolute difference of outputs on one random input; None where none could be made.

    Raises:
        WeightsError: The weights differ.
    """
    for ours, theirs in zip(model.weights, again.weights, strict=True):
        if not np.array_equal(ours.numpy(), theirs.numpy(), equal_nan=True):
            raise WeightsError(None, f"weight {ours.path} was not written as it is")
    has_embedding = any(isinstance(layer, keras.layers.Embedding) for layer in keras_private.flatten_layers(model))
    for size in _TEST_SIZES:
        random = np.random.default_rng(0)
        inputs = [_sample(random, tensor, size, has_embedding) for tensor in model.inputs]
        try:
            outputs = (keras.tree.flatten(m(inputs, training=False)) for m in (model, again))
            pairs = zip(*outputs, strict=True)
            return max(float(np.max(np.abs(_array(a) - _array(b)), initial=0.0)) for a, b in pairs)
        except Exception:  # an open size can be too small for the strides; try a larger one
            if all(None not in tensor.shape[1:] for tensor in model.inputs):
                return None
    return None


def _array(tensor):
    return np.nan_to_num(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def _sample(random, tensor, size, integers):
    shape = [2 if tensor.shape[0] is None else tensor.shape[0], *(n or size for n in tensor.shape[1:])]
    if integers or "int" in str(tensor.dtype):
        return random.integers(0, 2, shape).astype(tensor.dtype)
    return random.random(shape, dtype="float32").astype(tensor.dtype)
