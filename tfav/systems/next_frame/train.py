"""Training, and making data ready: thin functions over Keras' own, each usable alone."""

import dataclasses
import functools
import json
import time
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import ops

from tfav import training
from tfav.data import moving_mnist
from tfav.data.mnist import Digits, load_digits
from tfav.errors import UsageError
from tfav.io.npy_sequences import write_sequences
from tfav.io.parallel import PrepareReport
from tfav.io.workers import Workers
from tfav.ranges import check_number
from tfav.systems.next_frame import dataset, frame_sequences
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.model import FORECASTER, build_model
from tfav.training import callbacks as training_callbacks
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.callbacks import read_jsonl
from tfav.training.optimizers import make_optimizer, schedule_callback


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: optimizer, loss, and for the forecaster the benchmark's error of its forecast."""
    optimizer = make_optimizer(
        config.learning_rate,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_momentum=config.ema_momentum,
    )
    # XLA, which Keras would take, compiles for minutes and runs convolutions on CPUs slower than TensorFlow does.
    arguments = {"optimizer": optimizer, "loss": _loss(config.loss), "jit_compile": False}
    if config.model == "forecaster":
        arguments["metrics"] = [_forecast_mse(config.output_frames)]
    return arguments


def callbacks(config: Config, run_dir: Path | str, extra: Sequence = ()) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedules, best checkpoint, early stop, TensorBoard, metrics, resume.

    The best checkpoint goes by the validation loss, for the forecaster by the validation error of its forecast; without
    a validation part it is the last epoch's.
    """
    sampling = [ScheduledSampling(config.sampling_epochs)] if config.sampling_epochs else []
    return training_callbacks.standard(
        run_dir,
        start=functools.partial(start_run, config, run_dir),
        monitor=_monitor(config) if config.has_val else None,
        mode="min",
        patience=config.patience,
        schedule=schedule_callback(
            config.schedule,
            config.learning_rate,
            config.epochs,
            monitor=_monitor(config) if config.has_val else "loss",
            plateau_patience=config.plateau_patience,
        ),
        averaged=config.ema_momentum > 0,
        extra=[*sampling, *extra],
    )


def start_run(config: Config, run_dir: Path | str, *, digits: Digits | None = None) -> None:
    """Makes the run folder, or opens the one that is there.

    Args:
        config: What is learnt.
        run_dir: The folder.
        digits: What Moving MNIST is made of; None: `load_digits(config.mnist)`.

    Raises:
        UsageError: The folder belongs to another run.
    """
    if config.is_made:
        digits = digits or load_digits(config.mnist)
    runs.start(run_dir, SYSTEM, config, {"digits": _digits_name(digits)})


class ScheduledSampling(keras.callbacks.Callback):
    """Lowers the share of true frames among the forecaster's inputs evenly, to none after `epochs` epochs."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the share."""
        self.model.get_layer(FORECASTER).true_share.assign(max(0.0, 1 - epoch / self.epochs))


def train(
    config: Config, run_dir: Path | str, *, devices: str | None = None, verbose: str | int = "auto"
) -> list[dict]:
    """Trains into a run folder, or goes on with the run that is there.

    Args:
        config: What to train on and how.
        run_dir: The run folder.
        devices: As in `tfav.strategy`.
        verbose: As in `model.fit`; `"auto"` is a bar on a terminal and a line per epoch elsewhere.

    Returns:
        One row per epoch: losses, errors, seconds.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data cannot be used as they stand.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    digits = load_digits(config.mnist) if config.is_made else None
    metadata = {"digits": _digits_name(digits)}
    runs.check(run_dir, SYSTEM, config, metadata)
    keras.utils.set_random_seed(config.seed)
    done = len(read_jsonl(Path(run_dir) / "metrics.jsonl"))
    datasets = dataset.build_datasets(config, digits=digits)
    with training.strategy(devices):
        model = build_model(config)
        if config.init and not done:
            begin(model, config.init)
        model.compile(**compile_args(config))
    start_run(config, run_dir, digits=digits)  # only now: what cannot be used leaves no folder behind
    return training.fit(
        model,
        datasets.train,
        datasets.val,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir),
        run_dir=run_dir,
        verbose=verbose,
    )


def begin(model: keras.Model, run_dir: Path | str) -> None:
    """Gives a model the best weights of a run, or the `pretrained` ones, to go on training from.

    Raises:
        UsageError: There is no such run, or its model is another one.
    """
    source, before = open_run(run_dir)
    checkpoints.begin_with(model, checkpoints.best_model(source.dir, lambda: build_model(before)), source.dir)


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    sequences: int | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    channels: int = 1,
    num_digits: int = 2,
    seed: int = 0,
    part: str = "train",
    **workers,
) -> PrepareReport:
    """Writes sequences to disk once, in the benchmark's layout.

    Args:
        source: A folder of videos or frames, which is cut to sequences; or Keras' `mnist.npz`, to make Moving MNIST of.
        out: The `.npy` file.
        sequences: How many to make of `mnist.npz`; 10,000 where not given.
        num_frames: Frames of each; 20 where not given.
        size: Height and width of frames cut from videos, in pixels; 64 where not given.
        channels: Of frames cut from videos: 1 grey, 3 colour.
        num_digits: On the canvas of Moving MNIST.
        seed: Of Moving MNIST.
        part: `train` or `test`: which digits Moving MNIST is made of.
        **workers: Fields of `tfav.io.workers.Workers`: who cuts videos. Moving MNIST is made by one process.

    Raises:
        UsageError: Options that do not apply.
    """
    Workers(**workers).check()
    if Path(out).suffix != ".npy":
        raise UsageError(f"{out}: sequences are written as one .npy file; give --out such a name.")
    for name, value in {"sequences": sequences, "num_frames": num_frames, "size": size}.items():
        check_number(name, value, whole=True, ge=1)
    num_frames = num_frames or moving_mnist.NUM_FRAMES
    if Path(source).is_dir():
        if sequences is not None:
            raise UsageError("--sequences is for Moving MNIST; a folder of videos gives as many as it holds.")
        size = size or 64
        return frame_sequences.cut_folder(source, out, num_frames=num_frames, size=size, channels=channels, **workers)
    started, count = time.monotonic(), sequences or 10_000
    digits = load_digits(source)
    made = moving_mnist.sequences(
        getattr(digits, part),
        count=count,
        seed=moving_mnist.seed_of(part, seed),
        batch_size=50,
        num_frames=num_frames,
        num_digits=num_digits,
        dtype="uint8",
    )
    write_sequences(out, made.as_numpy_iterator(), count)
    report = PrepareReport(done=[str(out)], settings={"sequences": count, "num_frames": num_frames, "seed": seed})
    report.seconds = time.monotonic() - started
    return report


def open_run(run_dir: Path | str) -> tuple[runs.Run, Config]:
    """Reads a run folder of this system."""
    run = runs.load(run_dir, SYSTEM)
    return run, Config.from_dict(run.config, str(run.dir / "config.json"))


def write_pretrained(run_dir: Path | str, out: Path | str) -> Path:
    """Writes what `--run-dir pretrained` needs: a run's best weights as float16, its configuration, a model card.

    Args:
        run_dir: A trained run.
        out: The folder, such as `tfav/systems/next_frame/pretrained`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: No readable model, or larger than 8 MB.
    """
    run, config = open_run(run_dir)
    plain = dataclasses.replace(config, data_dir="", cache_dir="", mnist="", init="")
    return checkpoints.write_shipped(run, plain.to_dict(), out, _card(run, config))


def _card(run: runs.Run, config: Config) -> str:
    lines = [
        "# next_frame: weights",
        "",
        "- For: looking at next-frame prediction without training first, on the page and by `--run-dir pretrained`; "
        "beginning a training with (`--init pretrained`); a figure to compare other models with.",
        f"- Model: `{config.model}`, step `{config.step}`, preset `{config.preset_name}`, stored as float16. Settings: "
        "`config.json`.",
        f"- Data: Moving MNIST, {config.num_digits} digits, made of MNIST's training digits "
        "(Y. LeCun, C. Cortes; CC BY-SA 3.0).",
        f"- Sees {config.input_frames} grey frames of {config.image_size} x {config.image_size}, and goes on for as "
        f"many as are asked for; trained for {config.output_frames}.",
    ]
    scores = run.dir / "evaluation.json"
    if scores.exists():
        result = json.loads(scores.read_bytes())
        ours, floor = result["scores"], result["copy_last"]
        lines.append(
            f"- MSE {ours['mse']:.1f}, SSIM {ours['ssim']:.3f} on {result['count']} sequences ({result['data']}); "
            f"copying the last frame {floor['mse']:.1f}, {floor['ssim']:.3f}."
        )
    lines += [
        "- Cannot: foresee anything but small bright things that drift over black; real videos become blurs.",
        "",
        "To train such weights, score them, and put them here:",
        "",
        "```",
        f"tfav train    next_frame --preset {config.preset_name} --mnist mnist.npz --run-dir runs/frames",
        "tfav evaluate next_frame --run-dir runs/frames --part test",
        'python -c "from tfav.systems import next_frame; '
        "next_frame.write_pretrained('runs/frames', 'tfav/systems/next_frame/pretrained')\"",
        "```",
        "",
    ]
    return "\n".join(lines)


def _digits_name(digits: Digits | None) -> str:
    return digits.source if digits else ""


def _monitor(config: Config) -> str:
    return "val_forecast_mse" if config.model == "forecaster" else "val_loss"


def _loss(name: str):
    known = {"bce": "binary_crossentropy", "mse": "mean_squared_error"}
    return known.get(name) or {"mse_mae": _squared_and_absolute, "frame_mse": _frame_error}[name]


def _frame_error(truth, prediction):
    """The benchmark's error, summed over a frame's pixels: gradients of a size that Adam and clipping can work with."""
    return ops.sum(ops.square(prediction - ops.cast(truth, prediction.dtype)), axis=(2, 3, 4))


def _squared_and_absolute(truth, prediction):
    """Large errors by their square, small ones by their size, so that the picture stays sharp."""
    error = prediction - ops.cast(truth, prediction.dtype)
    return ops.mean(ops.square(error) + ops.abs(error), axis=-1)


def _forecast_mse(output_frames: int):
    def forecast_mse(truth, prediction):
        error = ops.cast(prediction, "float32") - ops.cast(truth, "float32")
        return ops.mean(ops.sum(ops.square(error[:, -output_frames:]), axis=(2, 3, 4)), axis=1)

    return forecast_mse
