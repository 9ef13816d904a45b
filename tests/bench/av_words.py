"""`make bench BENCH=av_words`: training steps of every stage, the training pipeline, a clip said word for word.

`--only steps` needs no data: clips a second of a training step of each stage of the preset `cpu`, on random input, and
minutes that its epochs take on 4,200 words. `--only pipeline` takes prepared shards (`--data-dir`), or prepares 200
clips of `grid/s1` below the real data. `--only predict` has 12 clips said by the weights that ship, or by `--run-dir`.
"""

import argparse
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.bench.grid import link_clips, use_detector
from tests.bench.rounds import describe_machine, measure, print_row
from tests.conftest import shared_root
from tfav.systems.av_words.config import STAGES, Config
from tfav.training.tf_startup import start_tensorflow

_WORDS = 4200  # of 700 sentences of GRID
_NUM_READ = 12


def main() -> None:
    """Prints rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("steps", "pipeline", "predict"))
    parser.add_argument("--stages", nargs="*", default=STAGES)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--data-dir", default="", help="prepared shards")
    parser.add_argument("--run-dir", default="pretrained")
    parser.add_argument("--clips", type=Path, nargs="*", default=())
    options = parser.parse_args()
    start_tensorflow()
    if options.only in (None, "steps"):
        for row in bench_steps(Config.preset(options.preset), options.stages, options.steps):
            print_row(row)
    use_detector()
    if options.only in (None, "pipeline"):
        with contextlib.nullcontext(options.data_dir) if options.data_dir else prepared_clips() as data_dir:
            print_row(bench_pipeline(data_dir))
            for row in bench_stage_pipelines(data_dir):
                print_row(row)
    if options.only in (None, "predict"):
        clips = options.clips or sorted((shared_root() / "grid" / "s1").glob("*.mp4"))[:_NUM_READ]
        print_row(bench_predict(options.run_dir, clips))


@contextlib.contextmanager
def prepared_clips(count: int = 200):
    """A folder of shards of some clips of GRID."""
    from tfav.systems.av_words import prepare

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "shards")
        prepare(link_clips(Path(folder, "grid"), count), out, quiet=True)
        yield out


def bench_steps(config: Config, names, steps: int):
    """Yields a row for each stage: clips a second in training, and the minutes of its epochs."""
    import keras

    from tfav.systems.av_words import stages
    from tfav.systems.av_words.train import compile_args

    for name in names:
        model = stages.build_stage(config, name)
        model.compile(**compile_args(config, name, sorted(model.output)))
        inputs, words = made_batch(config, model)
        started = time.perf_counter()
        model.train_on_batch(inputs, words)
        first = time.perf_counter() - started
        seconds = statistics.median(timed(lambda: model.train_on_batch(inputs, words), steps))  # noqa: B023
        rate = config.batch_size / seconds
        epochs = config.stage_epochs[STAGES.index(name)]
        yield {
            "what": f"av_words training step, {config.preset_name}, stage {name}, {config.precision}",
            "batch_size": config.batch_size,
            "seconds": round(seconds, 3),
            "clips_per_sec": round(rate, 1),
            "first_step_sec": round(first, 1),
            "epochs": epochs,
            "minutes": round(epochs * _WORDS / rate / 60, 1),
            "parameters": model.count_params(),
            "machine": describe_machine(),
        }
        keras.utils.clear_session()


def bench_pipeline(data_dir: str, epochs: int = 3) -> dict:
    """Epochs of the training pipeline alone."""
    from tfav.systems.av_words.dataset import build_datasets

    config = Config.preset("cpu", data_dir=str(data_dir), num_classes=0)
    train = build_datasets(config).train
    rates = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        count = sum(len(words) for _, words in train)
        rates.append(count / (time.perf_counter() - started))
    return {
        "what": "av_words cpu training pipeline from shards, nothing else running in it",
        "clips_per_sec": round(statistics.median(rates[1:]), 1),
        "first_epoch_clips_per_sec": round(rates[0], 1),
        "rounds": [round(rate, 1) for rate in rates[1:]],
        "batch_size": config.batch_size,
        "machine": describe_machine(),
    }


def bench_stage_pipelines(data_dir: Path | str):
    """Yields a row for each stream: epochs of it alone, as its stages have them, against both with one thrown away."""
    from tfav.systems.av_words.dataset import STREAMS, build_datasets

    config = Config.preset("cpu", data_dir=str(data_dir), num_classes=0)
    both = build_datasets(config).train

    def drain(dataset) -> int:
        return sum(len(words) for _, words in dataset)

    for stream in STREAMS:
        alone = build_datasets(config, streams=(stream,)).train
        sides = {"both streams, one thrown away": lambda: drain(both), f"{stream} alone": lambda: drain(alone)}  # noqa: B023
        row = measure(f"av_words cpu training pipeline of a stage that takes {stream}", sides, rounds=3)
        count = drain(both)
        for side in (row["baseline"], row["ours"]):
            side["clips_per_sec"] = round(count / side["seconds"], 1)
        yield row


def bench_predict(run_dir: Path | str, clips) -> dict:
    """Clips to words, one model for all: decoding, finding the mouth, all streams, the page."""
    from tfav.io.video import probe
    from tfav.systems.av_words import predict

    factors = []
    with tempfile.TemporaryDirectory() as out:
        predict_file = predict.open_predictor(run_dir)
        predict_file(clips[0], out=out)
        for clip in clips:
            (seconds,) = timed(lambda: predict_file(clip, out=out), 1)  # noqa: B023
            factors.append(seconds / probe(clip).duration_sec)
    return {
        "what": "av_words predict, warm: a clip from file to words and page, seconds over seconds of video",
        "clips": len(factors),
        "real_time_factor": round(statistics.median(factors), 3),
        "target": 0.5,
        "machine": describe_machine(),
    }


def made_batch(config: Config, model):
    """Noise with words, in the shape of a training batch of a stage's model."""
    from tfav.systems.av_words.model import SAID

    rng = np.random.default_rng(0)
    inputs = {
        name: rng.normal(size=(config.batch_size, *tensor.shape[1:])).astype(np.float32)
        for name, tensor in model.input.items()
    }
    words = rng.integers(0, config.num_classes, config.batch_size)
    said = rng.integers(0, config.num_classes, (config.batch_size, config.num_frames))
    return inputs, {name: said if name.endswith(SAID) else words for name in model.output}


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
