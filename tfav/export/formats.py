"""The formats: each writes a file of a served function, and opens it again with the runtime it is meant for."""

import contextlib
import logging
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.errors import UsageError
from tfav.training.export_spec import Exported
from tfav.training.tf_startup import muted

Arrays = dict[str, np.ndarray]
_SIGNATURE = "serving_default"
_OPSET = 18  # of ONNX, of 2022: tf2onnx writes no newer one


class Format(NamedTuple):
    """One format.

    Attributes:
        title: As people call it.
        file_name: Of what is written.
        tolerance: Largest difference to the run's own answers. SavedModel holds the same operations; other runtimes
            have their own, which add in another order.
        write: Writes an `Exported` to a path.
        open: From such a path to a function of arrays by name.
    """

    title: str
    file_name: str
    tolerance: float
    write: Callable[[Exported, Path], None]
    open: Callable[[Path], Callable[[Arrays], Arrays]]


def fixed_inputs(exported: Exported, *, batch: int | None) -> dict[str, tf.TensorSpec]:
    """The inputs in the size of the examples, with that batch axis; None: any."""
    first = exported.examples[0]
    return {
        name: tf.TensorSpec([batch, *first[name].shape[1:]], spec.dtype, name=name)
        for name, spec in exported.inputs.items()
    }


def write_saved_model(exported: Exported, path: Path) -> None:
    """Writes a SavedModel of any batch and any size of pictures."""
    _save(exported.serve, exported.inputs, path)


def open_saved_model(path: Path) -> Callable[[Arrays], Arrays]:
    """Opens it with TensorFlow alone: nothing of Keras or tfav is needed."""
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[_SIGNATURE]

    def answer(inputs: Arrays) -> Arrays:
        given = {name: tf.constant(array) for name, array in inputs.items()}
        return {name: tensor.numpy() for name, tensor in serve(**given).items()}

    answer.loaded = loaded  # its variables live as long as it does
    return answer


def write_onnx(exported: Exported, path: Path) -> None:
    """Writes an ONNX file of any batch, for pictures of the model's own size."""
    with _needs("onnx", "tf2onnx"):
        import tf2onnx
    specs = fixed_inputs(exported, batch=None)
    names = list(specs)

    def serve(*tensors):
        return exported.serve(**dict(zip(names, tensors, strict=True)))

    with _quiet("tf2onnx"):
        tf2onnx.convert.from_function(
            tf.function(serve),
            input_signature=list(specs.values()),
            opset=_OPSET,
            output_path=str(path),
            custom_op_handlers={"Log1p": (_write_log1p, [])},
        )


def _write_log1p(context, node, name, args):
    """`Log1p`, which ONNX has not: `Log` of one more. tf2onnx calls this with its graph and TensorFlow's node."""
    one = context.make_const(f"{name}_one", np.ones((), np.float32)).output[0]
    dtype, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    kept = list(node.input), list(node.output)
    context.remove_node(node.name)
    more = context.make_node("Add", [kept[0][0], one], dtypes=[dtype], shapes=[shape])
    return context.make_node("Log", more.output, outputs=kept[1], name=name, dtypes=[dtype], shapes=[shape])


def open_onnx(path: Path) -> Callable[[Arrays], Arrays]:
    """Opens it with ONNX Runtime on the CPU."""
    with _needs("onnx", "onnxruntime"):
        import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    inputs = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]

    def answer(given: Arrays) -> Arrays:
        found = session.run(outputs, {name: given[name.split(":")[0]] for name in inputs})
        return dict(zip(outputs, found, strict=True))

    return answer


def write_litert(exported: Exported, path: Path) -> None:
    """Writes a LiteRT file for one example of the model's own size, of LiteRT's own operations alone.

    Those of TensorFlow that it can be linked with (Flex) are not in its own packages.
    """
    with tempfile.TemporaryDirectory(prefix="tfav-") as folder:
        saved = Path(folder) / "saved_model"
        _save(exported.serve, fixed_inputs(exported, batch=1), saved)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[_SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        with _quiet("tensorflow"):
            path.write_bytes(converter.convert())


def open_litert(path: Path) -> Callable[[Arrays], Arrays]:
    """Opens it with the interpreter that comes with TensorFlow."""
    with muted():
        interpreter = tf.lite.Interpreter(str(path))
    runner = interpreter.get_signature_runner(_SIGNATURE)
    return lambda inputs: runner(**inputs)


def _save(serve: Callable, specs: dict[str, tf.TensorSpec], path: Path) -> None:
    module = tf.Module()
    module.serve = tf.function(serve)
    concrete = module.serve.get_concrete_function(**specs)
    module.kept = list(concrete.graph.variables)  # Keras' models are not looked into for what must be stored
    with _quiet("tensorflow", "absl"):
        tf.saved_model.save(module, str(path), signatures={_SIGNATURE: concrete})


@contextlib.contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keeps notes of converters to themselves, those of their C++ parts as well; errors are raised all the same."""
    kept = [(logging.getLogger(name), logging.getLogger(name).level) for name in loggers]
    try:
        for logger, _ in kept:
            logger.setLevel(logging.ERROR)
        with muted(show_failure=False):
            yield
    finally:
        for logger, level in kept:
            logger.setLevel(level)


@contextlib.contextmanager
def _needs(extra: str, package: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UsageError(f"{extra} needs the package {package}. Run: pip install 'tfav[export]'") from error


FORMATS = {
    "saved_model": Format("SavedModel", "saved_model", 1e-5, write_saved_model, open_saved_model),
    "onnx": Format("ONNX", "model.onnx", 1e-4, write_onnx, open_onnx),
    "litert": Format("LiteRT", "model.tflite", 1e-4, write_litert, open_litert),
}


def find(name: str) -> Format:
    """The format of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown format {name!r}. Valid formats: {', '.join(FORMATS)}.")
    return FORMATS[name]


def reason(error: BaseException) -> str:
    """What a converter complained of, in one line: its compiler's errors run over pages."""
    text = str(error)
    missing = re.search(r"Select ops: ([\w, ]+)", text)
    if missing:
        return f"it has no operation {missing[1].strip()}"
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "error:" in line or "not supported" in line]
    return (telling or lines or [type(error).__name__])[0][:240]
