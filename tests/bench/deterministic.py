"""What `--deterministic` costs, an epoch of each system's demo with and without: `make bench BENCH=deterministic`.

TensorFlow cannot be told to stop being deterministic, so each side is a process of its own; they work in turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.rounds import describe_machine, print_row
from tests.bench.systems import Case, made_config

_SIDES = ("free", "deterministic")


def main() -> None:
    """Prints a row for each system."""
    from tfav.systems import SYSTEMS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(time_epoch(options.systems[0], options.side)))
        return
    for system in options.systems:
        seconds = {side: [] for side in _SIDES}
        for _ in range(options.rounds):
            for side in _SIDES:
                command = [sys.executable, "-m", "tests.bench.deterministic", "--systems", system, "--side", side]
                environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
                seconds[side].append(json.loads(done.stdout.splitlines()[-1]))
        print_row(row_of(system, seconds))


def row_of(system: str, seconds: dict[str, list[float]]) -> dict:
    """The benchmark's row; a ratio below 1 is what it costs."""
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    ratios = [free / fixed for free, fixed in zip(seconds["free"], seconds["deterministic"], strict=True)]
    return {
        "what": f"{system} demo, an epoch, deterministic",
        "baseline": {"name": "free", "seconds": round(medians["free"], 3)},
        "ours": {"name": "deterministic", "seconds": round(medians["deterministic"], 3)},
        "ratio": round(medians["free"] / medians["deterministic"], 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "machine": describe_machine(),
    }


def time_epoch(system: str, side: str) -> float:
    """Seconds of the second epoch."""
    from tfav import training
    from tfav.training.tf_startup import start_tensorflow

    start_tensorflow()
    if side == "deterministic":
        training.be_deterministic()
    import keras

    from tfav.systems import load

    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        config = made_config(Case(system), Path(folder))
        data = load(system).build_datasets(config).train
        with training.strategy("cpu"):
            model = load(system).build_model(config)
            model.compile(**load(system).compile_args(config))
        model.fit(data, epochs=1, verbose=0, shuffle=False)
        started = time.perf_counter()
        model.fit(data, epochs=1, verbose=0, shuffle=False)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
