"""Every system on made data: a training step against the matrix-product peak, the pipeline, both, memory, and growth.

`make bench BENCH=systems`. Presets are `demo`, so figures say how cost grows, not how good a system is. A row for each
system at its base size, and one for each of: clips twice and four times as long, batches of two and four times the
size and as many times the clips, so that steps stay as many, 4 and 16 times the clips, two logical devices. Each case
has a process of its own, whose peak memory is its own.
A step's share of the peak counts convolutions, dense and recurrent layers, three times their forward pass; it is left
out where a model has layers of its own that are not known here.
"""

import argparse
import dataclasses
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.flops import forward_flops, matrix_peak
from tests.bench.rounds import describe_machine, print_row

BASE_CLIPS = 24
GROWTH = {"length": (2, 4), "batch": (2, 4), "clips": (4, 16), "devices": (2,)}


@dataclasses.dataclass(frozen=True)
class Case:
    """One measurement: a system, and by how much its base size is multiplied."""

    system: str
    length: int = 1
    batch: int = 1
    clips: int = 1
    devices: int = 1


def main() -> None:
    """Prints a row for each case."""
    from tfav.systems import SYSTEMS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--axes", nargs="*", choices=GROWTH, default=list(GROWTH), help="what to let grow")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print_row(measure_case(Case(**json.loads(options.case)), options.steps))
        return
    failed = 0
    for system in options.systems:
        base = run_case(Case(system), options.steps)
        print_row(base)
        failed += "error" in base
        for axis in options.axes:
            for factor in GROWTH[axis]:
                if (axis, system) == ("length", "two_stream") or (axis, system) == ("length", "av_words"):
                    continue  # their models take samples of one length, however long the clip
                row = compared(run_case(Case(system, **{axis: factor}), options.steps), base, axis, factor)
                print_row(row)
                failed += "error" in row
    if failed:
        sys.exit(f"error: {failed} cases failed, see their rows.")


def run_case(case: Case, steps: int) -> dict:
    """Measures a case in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.systems", "--steps", str(steps)]
    command += ["--case", json.dumps(dataclasses.asdict(case))]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return {"what": f"{case.system}: {case}", "error": done.stderr.strip().splitlines()[-1][:200]}
    return json.loads(done.stdout.splitlines()[-1])


def compared(row: dict, base: dict, axis: str, factor: int) -> dict:
    """The row with how much dearer it is than the base, for each cost."""
    if "error" in row or "error" in base:
        return row
    costs = ("step_sec", "pipeline_sec_per_clip", "epoch_sec_per_clip", "peak_mb")
    growth = {cost: round(row[cost] / base[cost], 2) for cost in costs}
    return row | {"what": f"{base['what'].split(',')[0]}, {axis} x {factor}", "growth": growth}


def measure_case(case: Case, steps: int) -> dict:
    """A training step, an epoch of the pipeline alone, an epoch of training, and the peak memory of this process."""
    import keras

    from tfav import training
    from tfav.training.tf_startup import start_tensorflow

    start_tensorflow()
    devices = "cpu" if case.devices == 1 else f"cpu:{case.devices}"
    training.prepare_devices(devices)
    from tfav.systems import load

    system = load(case.system)
    with tempfile.TemporaryDirectory() as folder:
        config = made_config(case, Path(folder))
        train_set = system.build_datasets(config).train
        with training.strategy(devices):
            model = system.build_model(config)
            model.compile(**system.compile_args(config))
        for _ in train_set:  # fills caches
            pass
        started = time.perf_counter()
        examples = sum(batch_size(batch) for batch in train_set)
        pipeline_sec = time.perf_counter() - started
        batch = next(iter(train_set))
        step_sec = step_seconds(model, batch, steps)
        epoch_sec = epoch_seconds(model, train_set)
    forward, figures = forward_flops(model, keras.tree.map_structure(lambda x: x[:1], batch[0])), {}
    if forward is not None:
        rate = 3 * batch_size(batch) * forward / step_sec
        figures = {"gflops": round(rate / 1e9, 2), "share_of_peak": round(rate / matrix_peak("float32"), 4)}
    return {
        "what": f"{case.system} demo, training",
        "examples": examples,
        "batch_size": batch_size(batch),
        "devices": case.devices,
        "step_sec": round(step_sec, 4),
        **figures,
        "pipeline_sec_per_clip": round(pipeline_sec / examples, 6),
        "epoch_sec_per_clip": round(epoch_sec / examples, 6),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "machine": describe_machine(),
    }


def made_config(case: Case, folder: Path):
    """A configuration with made data of the case's size."""
    import importlib

    from tfav.data import synthetic

    config_cls = importlib.import_module(f"tfav.systems.{case.system}.config").Config
    base = config_cls.preset("demo")
    changes, count = {"batch_size": base.batch_size * case.batch}, BASE_CLIPS * case.clips * case.batch
    if case.system in ("cnn_lstm", "two_stream"):
        groups = count // len(synthetic.MOVING_SHAPES)
        synthetic.moving_shapes(folder / "data", num_groups=groups, clips_per_group=1, num_frames=20 * case.length)
        changes |= {"cache_dir": str(folder / "cache")}
        if case.system == "cnn_lstm":
            changes |= {"num_frames": base.num_frames * case.length}
    elif case.system == "lipnet":
        from tfav.systems.lipnet.demo import make_shards

        make_shards(folder / "data", num_clips=count, num_frames=40 * case.length)
        changes |= {"num_frames": 40 * case.length}
    elif case.system == "av_words":
        from tfav.speech.synthetic_speaker import WORDS
        from tfav.systems.av_words.demo import make_shards

        make_shards(folder / "data", num_sentences=count)
        changes |= {"num_classes": len(WORDS)}
    else:
        changes |= {"mnist": "small", "train_sequences": count, "val_sequences": 0}
        changes |= {name: getattr(base, name) * case.length for name in ("input_frames", "output_frames")}
    if case.system != "next_frame":
        changes |= {"data_dir": str(folder / "data")}
    if case.system in ("cnn_lstm", "two_stream"):
        changes |= {"val_fraction": 0.0, "num_classes": len(synthetic.MOVING_SHAPES)}
    return dataclasses.replace(base, **changes)


def batch_size(batch) -> int:
    """Examples in a batch."""
    import tensorflow as tf

    return int(tf.nest.flatten(batch)[0].shape[0])


def epoch_seconds(model, train_set) -> float:
    """The last of three epochs: what a run pays once, and what it pays before its first step, is left out."""
    import keras

    times: list[float] = []
    timer = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()))
    model.fit(train_set, epochs=3, verbose=0, shuffle=False, callbacks=[timer])
    return times[-1] - times[-2]


def step_seconds(model, batch, steps: int) -> float:
    """The median of some training steps on one batch, tracing left out."""
    import keras
    import tensorflow as tf

    times: list[float] = []
    timer = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: times.append(time.perf_counter()))
    same = tf.data.Dataset.from_tensors(batch).repeat(steps + 1).prefetch(2)
    model.fit(same, epochs=1, verbose=0, shuffle=False)
    model.fit(same, epochs=1, verbose=0, shuffle=False, callbacks=[timer])
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(times))


if __name__ == "__main__":
    main()
