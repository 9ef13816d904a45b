"""Which old whole-model files open, in Keras 3 alone and in tfav: `make bench BENCH=legacy`.

The files are the four real ones, and one of each made family, written by tf_keras with random weights. A file is open
if the model gives what tf_keras gives of the same input, to 1e-5. Prints a table, and a row with the counts.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a plain script
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from tests.bench.rounds import describe_machine, print_row
from tests.conftest import shared_root
from tests.weights.conftest import fill_and_save
from tests.weights.keras_h5.test_families import FAMILIES, inputs_for, outputs_of
from tests.weights.keras_h5.test_two_stream_files import NORMALIZATIONS, build_stream
from tfav.errors import TfavError
from tfav.weights import load_legacy_model

TOLERANCE = 1e-5
OPENS = "opens"


def try_to_open(load, path: Path, inputs, expected) -> tuple[str, float]:
    """What became of it, in a few words, and the seconds it took."""
    started = time.perf_counter()
    try:
        model = load(path)
        seconds = time.perf_counter() - started
        found = outputs_of(model, inputs)
    except Exception as error:  # Keras raises whatever its layers raise; all of it means: not open
        kind = type(error).__name__ if not isinstance(error, TfavError) else str(error)
        return f"refused ({kind})", time.perf_counter() - started
    if [one.shape for one in found] != [one.shape for one in expected]:
        return "opens, outputs of another shape", seconds
    worst = max(float(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))
    return OPENS if worst <= TOLERANCE else f"opens, outputs off by {worst:.2g}", seconds


def main() -> None:
    """Open every file both ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full-size", action="store_true", help="also the pair of 299 x 299 Xceptions")
    options = parser.parse_args()
    import tf_keras

    warnings.filterwarnings("ignore")
    ways = {"keras": lambda path: keras.models.load_model(path, compile=False), "tfav": load_legacy_model}
    opened, seconds = dict.fromkeys(ways, 0), {}
    files = 0
    print(f"{'file':<45}{'Keras 3 alone':<36}tfav")
    with tempfile.TemporaryDirectory() as folder:
        for name, path, reference in _files(Path(folder), tf_keras, options.full_size):
            inputs = inputs_for(reference)
            expected = outputs_of(reference, inputs)
            said = {}
            for way, load in ways.items():
                said[way], spent = try_to_open(load, path, inputs, expected)
                opened[way] += said[way] == OPENS
                seconds[way, name] = round(spent, 2)
            files += 1
            print(f"{name:<45}{said['keras']:<36}{said['tfav']} ({seconds['tfav', name]} s)", flush=True)
    versions = {"keras": keras.__version__, "tf_keras": tf_keras.__version__}
    print_row({"what": "old files that open", "files": files, **opened, "machine": describe_machine(), **versions})


def _files(folder: Path, tf_keras, full_size: bool):
    """Name, path and tf_keras' own model of each file."""
    for path in sorted((shared_root() / "legacy_h5").glob("*.h*5")):
        yield path.name, path, tf_keras.models.load_model(path, compile=False)
    for name, build in FAMILIES.items():
        model = build(tf_keras)
        yield name, fill_and_save(model, folder / "made.h5"), model
    for stream, channels in (("spatial", 3), ("motion", 20)) if full_size else ():
        model = build_stream(tf_keras, stream, channels, 299, NORMALIZATIONS["batch statistics"][0])
        yield f"{stream} stream, 299 x 299", fill_and_save(model, folder / "made.h5"), model


if __name__ == "__main__":
    main()
