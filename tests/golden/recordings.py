"""What is recorded: the answers of shipped weights and of whole notebook models, and histories of small trainings.

Inputs and weights are made here, by numpy's `RandomState`, whose stream never changes, and by place alone: a weight's
values depend on how many stand before it, never on a name.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = ("av_words", "lipnet", "next_frame")
# Each model of a preset `notebook`: its system, and what the preset leaves open.
NOTEBOOKS = {
    "cnn_lstm": ("cnn_lstm", {"num_classes": 3}),
    "two_stream": ("two_stream", {"num_classes": 101}),
    "two_stream, motion": ("two_stream", {"num_classes": 101, "stream": "motion"}),
    "lipnet": ("lipnet", {}),
    "next_frame": ("next_frame", {}),
    "av_words": ("av_words", {}),
}
DEMOS = ("cnn_lstm", "two_stream", "lipnet", "next_frame", "av_words")
_NUM_VALUES, _NUM_SUMS = 16, 4
_DIGITS = 9  # a float32 has no more


def shipped(system: str) -> dict[str, dict]:
    """What the weights that a system ships say of made pictures and sound, by output."""
    import tensorflow as tf

    from tfav.systems import load

    exported = load(system).export("pretrained")
    example, given = exported.examples[0], {}
    for place, name in enumerate(exported.inputs):
        dtype = exported.inputs[name].dtype.as_numpy_dtype
        given[name] = tf.constant(_made(place, example[name].shape, dtype, count=60))
    return {name: summary(np.asarray(value)) for name, value in sorted(exported.serve(**given).items())}


def notebook(name: str) -> dict[str, dict]:
    """What a model of `NOTEBOOKS`, of full size, says of one made example, by output."""
    import keras

    from tfav.systems import load

    system, fields = NOTEBOOKS[name]
    package = load(system)
    model = package.build_model(package.Config.preset("notebook", **fields))
    for place, weight in enumerate(model.weights):
        weight.assign(made_weight(place, tuple(weight.shape)))
    inputs = keras.tree.flatten(model.input)
    shapes = [[size or 5 for size in tensor.shape[1:]] for tensor in inputs]  # 5 frames where any number will do
    count = max(shape[0] for shape in shapes if shape)  # all frames are real
    given = [
        keras.ops.convert_to_tensor(_made(place, (1, *shape), tensor.dtype, count))
        for place, (shape, tensor) in enumerate(zip(shapes, inputs, strict=True))
    ]
    answer = model(keras.tree.pack_sequence_as(model.input, given), training=False)
    answer = answer if isinstance(answer, dict) else {"output": answer}
    found = {name: summary(keras.ops.convert_to_numpy(value)) for name, value in sorted(answer.items())}
    return found | {"parameters": model.count_params()}


def small_histories() -> dict[str, list[dict]]:
    """The trainings of `tests.training.continued`; `tests/training/test_epoch_order.py` compares them, too."""
    from tests.training.continued import SMALL, run_folder

    with tempfile.TemporaryDirectory() as folder:
        _run("tests.training.continued", folder, "whole", *SMALL)
        return {system: rows_of(run_folder(Path(folder, "whole"), system)) for system in SMALL}


def demo_history(system: str) -> list[dict]:
    """The training of a system's whole demo, every operation deterministic."""
    with tempfile.TemporaryDirectory() as folder:
        _run("tests.golden.demo", folder, system)
        return rows_of(Path(folder, "run"))


RECORDINGS: dict[str, Callable[[], dict]] = {
    "shipped": lambda: {system: shipped(system) for system in SHIPPED},
    "notebook": lambda: {name: notebook(name) for name in NOTEBOOKS},
    "small_histories": small_histories,
    "demo_histories": lambda: {system: demo_history(system) for system in DEMOS},
}


def rows_of(run_dir: Path) -> list[dict]:
    """The epochs of a run, without what the clock says."""
    from tfav.training.callbacks import read_jsonl

    rows = read_jsonl(run_dir / "metrics.jsonl")
    return [{key: _rounded(value) for key, value in row.items() if key != "seconds"} for row in rows]


def made_weight(place: int, shape: tuple[int, ...]) -> np.ndarray:
    """Values for the weight at a place, that hand a signal on: kernels by their fan-in, everything else about 1."""
    random = np.random.RandomState(place)
    if len(shape) < 2:
        return (1 + 0.25 * random.uniform(-1, 1, shape)).astype(np.float32)
    return (random.uniform(-1, 1, shape) * (3 / np.prod(shape[:-1])) ** 0.5).astype(np.float32)


def summary(values: np.ndarray) -> dict:
    """A few numbers that tell an array from others: some of its values, and sums of all with signs drawn for each."""
    flat = values.astype(np.float64).ravel()
    if not flat.size or not np.isfinite(flat).all() or flat.std() == 0:
        raise ValueError(f"nothing to record: {values.shape} {values.dtype}, {flat[:4]}")
    signs = np.random.RandomState(0).randint(0, 2, (_NUM_SUMS, flat.size), np.int8) * 2.0 - 1
    chosen = flat[np.unique(np.linspace(0, flat.size - 1, _NUM_VALUES).astype(int))]
    return {
        "shape": list(values.shape),
        "largest": _rounded(np.abs(flat).max()),
        "values": [_rounded(value) for value in chosen],
        "sums": [_rounded(value) for value in signs @ flat / flat.size**0.5],
    }


def machine() -> dict:
    """What the last digits depend on."""
    import keras
    import tensorflow as tf

    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    known = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    can = hashlib.sha256(known.get("flags", "").encode()).hexdigest()[:8]  # processors of one name differ in it
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    # Those that this process may use: sums have another order on one of two.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": known.get("model name", ""), "can": can, "cores": cores, **versions}


def _made(place: int, shape: tuple[int, ...], dtype, count: int) -> np.ndarray:
    random, dtype = np.random.RandomState(1000 + place), np.dtype(dtype)
    if len(shape) >= 4:  # soft pictures `[1, T, H, W, C]` or `[1, H, W, C]`, 0-255 or 0-1
        *before, height, width, channels = shape
        blots = random.randint(0, 200, (*before, -(-height // 8), -(-width // 8), channels))
        blots = blots.repeat(8, axis=-3).repeat(8, axis=-2)[..., :height, :width, :]
        pictures = blots + random.randint(0, 56, shape)
        return pictures.astype(dtype) if dtype == np.uint8 else (pictures / 255).astype(dtype)
    if len(shape) == 1:  # how many frames are real
        return np.full(shape, count, dtype)
    if shape[1] > 1000:  # samples of sound
        return (0.1 * random.standard_normal(shape)).astype(dtype)
    mask = np.ones(shape, dtype)
    mask[:, -2:] = 0
    return mask


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _run(module: str, *arguments: str) -> None:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
