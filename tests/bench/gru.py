"""`make bench BENCH=gru`: `tfav.layers.BidirectionalGRU` against Keras' own, forward and a training step.

Two layers, one on the other, in the shapes, the precision and the loop that the systems' preset `cpu` gives them:
lipnet's behind a mask of real frames, av_words' without. The two sides run in turn, five rounds of `--steps` batches
each; the first batch, in which all is built, is a fact of the row.
"""

import argparse
import functools
import time

import numpy as np

from tests.bench.rounds import measure, print_row
from tfav.training.tf_startup import start_tensorflow


def main() -> None:
    """Prints a row for each system and kind of step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="batches in a round")
    parser.add_argument("--precision", help="float32 or mixed_bfloat16 (that of the preset)")
    options = parser.parse_args()
    start_tensorflow()
    from tfav.systems import av_words, lipnet

    lips, words = lipnet.Config.preset("cpu"), av_words.Config.preset("cpu")
    for name, config, size in (("lipnet", lips, 2 * lips.filters[-1]), ("av_words", words, words.video_dim)):
        for row in bench_system(name, config, size, options):
            print_row(row)


def bench_system(name: str, config, size: int, options):
    """Yields the two rows of a system; `size` is what goes into the first layer at each step."""
    import keras

    from tfav.layers import BidirectionalGRU
    from tfav.training import mixed_precision

    units, frames = config.rnn_units, config.num_frames
    precision = options.precision or config.precision

    def make(layer) -> keras.Model:
        inputs = keras.Input((frames, size))
        real = keras.Input((frames,), dtype="bool")
        x = inputs
        for _ in range(2):
            x = layer()(x, mask=real if name == "lipnet" else None)
        model = keras.Model([inputs, real], x)
        model.compile("sgd", "mse", jit_compile=False)
        return model

    with mixed_precision(precision):
        models = {
            "keras": make(lambda: keras.layers.Bidirectional(keras.layers.GRU(units, return_sequences=True))),
            "ours": make(lambda: BidirectionalGRU(units, unroll=config.unroll)),
        }
    rng = np.random.default_rng(0)
    x, y = (rng.random((config.batch_size, frames, width), dtype=np.float32) for width in (size, 2 * units))
    real = np.arange(frames) < rng.integers(frames // 2, frames + 1, config.batch_size)[:, None]
    steps = {
        "forward": lambda model: model.predict_on_batch([x, real]),
        "training step": lambda model: model.train_on_batch([x, real], y),
    }
    for kind, step in steps.items():
        first = {}
        for side, model in models.items():
            started = time.perf_counter()
            step(model)
            first[side] = round(time.perf_counter() - started, 2)
        sides = {side: functools.partial(_repeat, step, model, options.steps) for side, model in models.items()}
        yield measure(
            f"{name} cpu, two bidirectional GRUs of {units}, {kind}, {options.steps} batches",
            sides,
            rounds=5,
            warm_up=1,
            packages=("keras", "tensorflow"),
            shape=[config.batch_size, frames, size],
            precision=precision,
            unroll=config.unroll,
            first_batch_seconds=first,
        )


def _repeat(step, model, count: int) -> None:
    for _ in range(count):
        step(model)
