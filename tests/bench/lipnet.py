"""`make bench BENCH=lipnet`: mouths cut out, clips out of the shards, training steps, a clip read; against real time.

`--clips N` (default 200) clips of `grid/s1` below the real data are prepared once; then whole epochs of the training
pipeline of the preset `cpu` are timed, against decoding and cutting each clip again in every epoch. `--only steps`
needs no data: training steps of each model in both precisions, with the share of the machine's matrix product peak, and
Keras' first convolution, batch normalisation and CTC against ours (its GRU: `BENCH=gru`). `--only read` reads whole
videos with the shipped weights.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.bench.flops import forward_flops, matrix_peak
from tests.bench.grid import link_clips, use_detector
from tests.bench.rounds import describe_machine, measure, print_row
from tests.conftest import shared_root
from tfav.data import shards
from tfav.speech import grid, log_mel
from tfav.systems.lipnet import dataset
from tfav.systems.lipnet.config import Config
from tfav.training.tf_startup import start_tensorflow

_CLIP_SEC = 3.0
_NUM_READ = 12


def main() -> None:
    """Prints rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--only", choices=("data", "steps", "read"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    start_tensorflow()
    if options.only in (None, "data"):
        bench_data(options)
    if options.only in (None, "steps"):
        for row in bench_steps(options.batch_size, options.steps):
            print_row(row)
        for row in bench_layers(options.batch_size):
            print_row(row)
        print_row(bench_ctc(options.batch_size))
    if options.only in (None, "read"):
        print_row(bench_reading())


def bench_data(options) -> None:
    """Prints the two rows that need the grid."""
    use_detector()
    with tempfile.TemporaryDirectory() as folder:
        source, out = link_clips(Path(folder, "grid"), options.clips), Path(folder, "shards")
        prepared = bench_prepare(source, out)
        print_row(prepared)
        print_row(bench_pipeline(out, options.epochs, prepared["seconds"] / prepared["clips"]))


def bench_prepare(source: Path, out: Path) -> dict:
    """Videos to shards, start of the processes included; the ratio is seconds of video to seconds of work."""
    started = time.perf_counter()
    report = dataset.prepare(source, out, quiet=True)
    seconds = time.perf_counter() - started
    index = shards.read_index(out)
    video_sec = sum(entry.num_frames for entry in index.entries) / grid.FPS
    return {
        "what": "mouth crops of GRID clips into shards against real time",
        "clips": len(index.entries),
        "failed": len(report.failed),
        "seconds": round(seconds, 2),
        "ratio": round(video_sec / seconds, 2),
        "target": 3,
        "megabytes": round(sum(facts["bytes"] for facts in index.shards.values()) / 1e6, 1),
        "machine": describe_machine(),
    }


def bench_pipeline(out: Path, epochs: int, decode_sec: float) -> dict:
    """Epochs of the training pipeline alone; the baseline is what preparing took for each clip on all cores."""
    config = Config.preset("cpu", data_dir=str(out), val_fraction=0.0)
    train = dataset.build_datasets(config).train
    rates, first = [], 0.0
    for epoch in range(epochs + 1):
        started = time.perf_counter()
        count = sum(len(inputs["frame_count"]) for inputs, _ in train)
        rate = count / (time.perf_counter() - started)
        if epoch:
            rates.append(rate)
        else:
            first = rate
    median = statistics.median(rates)
    return {
        "what": "lipnet cpu training pipeline from shards, nothing else running in it",
        "baseline": {"name": "decode and cut anew in each epoch", "clips_per_sec": round(1 / decode_sec, 1)},
        "ours": {"name": "shards, cached in memory", "clips_per_sec": round(median, 1)},
        "first_epoch_clips_per_sec": round(first, 1),
        "ratio": round(median * decode_sec, 1),
        "target_clips_per_sec": 150,
        "rounds": [round(rate, 1) for rate in rates],
        "batch_size": config.batch_size,
        "machine": describe_machine(),
    }


def bench_steps(batch_size: int, steps: int):
    """Yields a row for each model and precision: seconds of a training step, and its share of the peak."""
    import keras

    from tfav.systems.lipnet import build_model, compile_args

    for precision in ("float32", "mixed_bfloat16"):
        peak = matrix_peak(precision.removeprefix("mixed_"))
        for name in ("notebook", "paper", "cpu"):
            config = Config.preset(name, precision=precision, batch_size=batch_size)
            model = build_model(config)
            model.compile(**compile_args(config))
            inputs, targets = made_batch(config)
            model.train_on_batch(inputs, targets)
            seconds = statistics.median(timed(lambda: model.train_on_batch(inputs, targets), steps))  # noqa: B023
            flops = 3 * batch_size * forward_flops(model)  # forward, and twice as much backward
            yield {
                "what": f"lipnet training step, {name}, {precision}",
                "batch_size": batch_size,
                "seconds": round(seconds, 3),
                "clips_per_sec": round(batch_size / seconds, 2),
                "gflop_per_clip": round(flops / batch_size / 1e9, 1),
                "peak_gflops": round(peak / 1e9),
                "share_of_peak": round(flops / seconds / peak, 3),
                "machine": describe_machine(),
            }
            keras.backend.clear_session()


def bench_layers(batch_size: int) -> Iterator[dict]:
    """Forward and backward of what `cpu` begins with, on its own, Keras' and ours."""
    import keras

    from tfav.layers import FusedBatchNormalization
    from tfav.systems.lipnet.model import StemConv3D

    options = {"use_bias": False, "dtype": "mixed_bfloat16"}
    yield compare_layers(
        "the first convolution, a training step on 75x48x92x1 a clip",
        keras.layers.Conv3D(32, 5, (1, 2, 2), "same", **options),
        StemConv3D(32, 5, **options),
        (batch_size, 75, 48, 92, 1),
    )
    yield compare_layers(
        "batch normalisation, a training step on 75x24x46x32 a clip",
        *(kind(dtype="mixed_bfloat16") for kind in (keras.layers.BatchNormalization, FusedBatchNormalization)),
        (batch_size, 75, 24, 46, 32),
    )


def compare_layers(what: str, theirs, ours, shape: tuple[int, ...]) -> dict:
    """Gradients of the weights, and of the input where it is more than a picture."""
    import tensorflow as tf

    x = tf.cast(tf.random.normal(shape), tf.bfloat16)

    def make(layer):
        layer.build(shape)
        sources = layer.trainable_variables if shape[-1] == 1 else [x, *layer.trainable_variables]

        @tf.function
        def step():
            with tf.GradientTape() as tape:
                tape.watch(x)
                out = layer(x, training=True)
            return tape.gradient(out, sources)

        return lambda: [value.numpy() for value in step()]

    return measure(what, {"keras": make(theirs), "ours": make(ours)}, rounds=5, warm_up=2)


def bench_ctc(batch_size: int) -> dict:
    """CTC's loss and its gradient: `keras.ops.ctc_loss`, which takes TensorFlow's loop, and ours."""
    import tensorflow as tf
    from keras import ops

    from tfav.systems.lipnet.losses import CTCLoss

    config = Config.preset("cpu", batch_size=batch_size)
    blank, frames = config.symbols().blank, config.num_frames
    labels = tf.constant(made_batch(config)[1]["labels"], tf.int32)
    lengths = tf.reduce_sum(tf.cast(labels != blank, tf.int32), axis=-1)
    logits = tf.random.normal((batch_size, frames, config.symbols().num_classes))

    def make(loss):
        @tf.function
        def step():
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = loss()
            return tape.gradient(value, logits)

        return lambda: step().numpy()

    ours = CTCLoss(blank)
    sides = {
        "keras": make(lambda: ops.ctc_loss(labels, logits, lengths, ops.full_like(lengths, frames), mask_index=blank)),
        "ours": make(lambda: ours(labels, logits)),
    }
    return measure("CTC, loss and gradient", sides, rounds=5, warm_up=2)


def bench_reading() -> dict:
    """Videos of GRID to text and files, with the shipped weights: face, mouth, posteriors, all decoders, times, GIF."""
    from tfav.systems.lipnet import predict

    use_detector()
    grid = shared_root() / "grid"
    names = (grid / "val.txt").read_text(encoding="utf-8").split()[:_NUM_READ]
    videos = [grid / "s1" / f"{Path(name).name}.mp4" for name in names]
    read = predict.open_predictor("pretrained")
    with tempfile.TemporaryDirectory() as out:
        read(videos[0], out=out)
        seconds = []
        for video in videos:
            seconds += timed(lambda video=video: read(video, out=out), 1)
    return {
        "what": "a GRID clip of 3 s to text, times and files, warm",
        "clips": len(videos),
        "seconds": round(statistics.median(seconds), 3),
        "slowest": round(max(seconds), 3),
        "real_time_factor": round(statistics.median(seconds) / _CLIP_SEC, 3),
        "target": 0.3,
        "machine": describe_machine(),
    }


def made_batch(config: Config):
    """Noise with labels, in the shape of a training batch."""
    rng = np.random.default_rng(0)
    shape = (config.batch_size, config.num_frames, *config.crop_size, 1)
    labels = np.full((config.batch_size, config.num_frames), config.symbols().blank)
    labels[:, :24] = config.symbols().encode("bin blue at f two please")
    inputs = {
        "frames": rng.normal(size=shape).astype(np.float32),
        "frame_count": np.full(config.batch_size, config.num_frames, np.int32),
    }
    targets = {"labels": labels}
    if config.word_loss_weight:
        targets["words"] = rng.integers(0, 1 + len(grid.WORDS), shape[:2])
    if config.mel_loss_weight:
        targets["sound"] = rng.normal(size=(*shape[:2], log_mel.SIZE)).astype(np.float32)
    return inputs, targets


def timed(work, rounds: int) -> list[float]:
    """Seconds of each of some runs."""
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
