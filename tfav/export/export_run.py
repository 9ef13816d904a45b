"""From a run folder to a file: what the system hands out, written, opened again, and compared."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav import systems
from tfav._version import __version__
from tfav.errors import TfavError, UsageError
from tfav.export import formats
from tfav.export.formats import FORMATS
from tfav.io.atomic_write import partial_file, partial_folder, write_json
from tfav.training import run_folder as runs
from tfav.training.export_spec import Exported

__all__ = ["FORMATS", "Written", "export"]


class Written(NamedTuple):
    """What was written: `path` and its card, the largest difference, the largest allowed, and what is inside."""

    path: Path
    card: Path
    difference: float
    tolerance: float
    inside: str


def export(
    run_dir: Path | str, format: str, out: Path | str | None = None, *, system: str | None = None, progress=print
) -> Written:
    """Writes a run's best model for use without tfav, and checks that it answers as the run does.

    Beside the model stands a card, `NAME.json`, with its inputs, its outputs, and what they mean.

    Args:
        run_dir: A trained run; `pretrained` with a `system`.
        format: `saved_model`, `onnx` or `litert`.
        out: The folder or file to write; None: in `exported/` of the run folder.
        system: Needed for `pretrained` alone.
        progress: Told, in a line each, what was compared.

    Returns:
        Where it is, and how far its answers to three examples were from the run's.

    Raises:
        UsageError: No run, an unknown format, a system without export, or a package that is not installed.
        TfavError: The format cannot hold this model, the message says why; or its answers differ. Nothing is written
            then.
    """
    kind = formats.find(format)
    run = runs.load(run_dir, system)
    path = Path(out) if out is not None else _default_folder(run_dir, run) / kind.file_name
    module = systems.load(run.system)
    if not hasattr(module, "export"):
        raise UsageError(f"{run.system} cannot be exported.")
    exported = module.export(run_dir)
    is_folder = not Path(kind.file_name).suffix
    with (partial_folder if is_folder else partial_file)(path) as partial:
        if is_folder:
            shutil.rmtree(partial)  # SavedModel makes its own
        try:
            kind.write(exported, partial)
            answer = kind.open(partial)
        except TfavError:
            raise
        except Exception as error:  # converters and runtimes end in errors of every kind
            raise TfavError(f"{run.dir}: {kind.title} cannot hold this model: {formats.reason(error)}") from error
        difference, outputs = compare(exported, answer, progress)
        tolerance = kind.tolerance * exported.amplifies
        if not difference <= tolerance:
            raise TfavError(
                f"{run.dir}: as {kind.title} its answers differ from the run's by {difference:.2g}, more than "
                f"{tolerance:g}. Nothing was written; use another format."
            )
    card = path.with_name(f"{path.name}.json")
    write_json(card, _card(run, kind, exported, outputs, difference, tolerance))
    return Written(path, card, difference, tolerance, exported.inside)


def compare(exported: Exported, answer, progress=print) -> tuple[float, dict]:
    """The largest difference in the answers to the examples, NaN where a number is none; and the last answer."""
    largest, found = 0.0, {}
    for number, example in enumerate(exported.examples, 1):
        given = {name: tf.constant(array) for name, array in example.items()}
        expected = {name: np.asarray(tensor) for name, tensor in exported.serve(**given).items()}
        found = answer(example)
        if {name: array.shape for name, array in found.items()} != {k: v.shape for k, v in expected.items()}:
            raise TfavError(f"the exported model gives other outputs: {sorted(found)}, expected {sorted(expected)}.")
        differences = {name: float(np.max(np.abs(found[name] - array))) for name, array in expected.items()}
        progress(f"example {number}: " + ", ".join(f"{name} differs by {d:.2g}" for name, d in differences.items()))
        largest = float(np.max([largest, *differences.values()]))  # of NaN it is NaN
    return largest, found


def _default_folder(run_dir: Path | str, run: runs.Run) -> Path:
    return Path(f"{run.system}_exported") if runs.is_shipped(run_dir) else run.dir / "exported"


def _card(
    run: runs.Run, kind: formats.Format, exported: Exported, outputs: dict, difference: float, tolerance: float
) -> dict:
    specs = exported.inputs
    if kind.file_name != FORMATS["saved_model"].file_name:
        specs = formats.fixed_inputs(exported, batch=1 if kind is FORMATS["litert"] else None)
    return {
        "tfav": __version__,
        "system": run.system,
        "format": kind.title,
        "inputs": {name: {"shape": list(spec.shape), "dtype": spec.dtype.name} for name, spec in specs.items()},
        "outputs": {
            name: {"shape": [None, *array.shape[1:]], "dtype": array.dtype.name} for name, array in outputs.items()
        },
        "inside": exported.inside,
        "metadata": exported.metadata,
        "checked": {"examples": len(exported.examples), "max_difference": difference, "tolerance": tolerance},
    }
