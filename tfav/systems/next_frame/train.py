"""Training: thin functions over Keras' own, each usable alone."""

import functools
from collections.abc import Sequence
from pathlib import Path

import keras
from keras import ops

from tfav import training
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.dataset import Data, build_datasets, open_data
from tfav.systems.next_frame.model import FORECASTER, build_model
from tfav.training import callbacks as training_callbacks
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.callbacks import read_jsonl
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer
from tfav.training.run_folder import open_run

# What Muon's authors leave to AdamW.
_FIRST_AND_LAST = ("encoder_0_conv", "readout", "draw", "next_frames")


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: optimizer, loss, and but for the notebook's model the error of its forecast."""
    optimizer = make_optimizer(
        config.learning_rate,
        name=config.optimizer,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_momentum=config.ema_momentum,
        muon_exclude=_FIRST_AND_LAST,
        muon_step_dtype="bfloat16" if config.precision == "mixed_bfloat16" else "float32",
    )
    # XLA, which Keras would take, compiles for minutes and runs convolutions on CPUs slower than TensorFlow does.
    loss = _of_seen_cells(config.loss) if config.is_array else _loss(config.loss)
    arguments = {"optimizer": optimizer, "loss": loss, "jit_compile": False}
    if config.model != "notebook":
        arguments["metrics"] = [_forecast_mse(config.output_frames, gaps=config.is_array)]
    return arguments


def callbacks(
    config: Config, run_dir: Path | str, extra: Sequence = (), *, opened: Data | None = None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedules, best checkpoint, early stop, TensorBoard, metrics, resume.

    The best checkpoint goes by the validation loss, but for the notebook's model by the validation error of the
    forecast; without a validation part it is the last epoch's.

    Args:
        config: What is trained.
        run_dir: The run folder, made when training begins.
        extra: Further callbacks.
        opened: What `open_data(config)` gave, where that was called before.
    """
    sampling = [ScheduledSampling(config.sampling_epochs)] if config.sampling_epochs else []
    return training_callbacks.standard(
        run_dir,
        start=functools.partial(start_run, config, run_dir, opened=opened),
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


def start_run(config: Config, run_dir: Path | str, *, opened: Data | None = None) -> None:
    """Makes the run folder, or opens the one that is there.

    Raises:
        UsageError: The folder belongs to another run.
    """
    runs.start(run_dir, SYSTEM, config, (opened or open_data(config)).metadata)


class ScheduledSampling(keras.callbacks.Callback):
    """Lowers the share of true frames among the forecaster's inputs evenly, to none after `epochs` epochs."""

    def __init__(self, epochs: int):
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the share."""
        self.model.get_layer(FORECASTER).teacher_forcing_ratio.assign(max(0.0, 1 - epoch / self.epochs))


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
    opened = open_data(config)
    runs.check(run_dir, SYSTEM, config, opened.metadata)
    keras.utils.set_random_seed(config.seed)
    done = len(read_jsonl(Path(run_dir) / "metrics.jsonl"))
    train_set, val_set, _ = build_datasets(config, opened=opened)
    with training.strategy(devices):
        model = build_model(config)
        if config.init and not done:
            begin(model, config.init)
        model.compile(**compile_args(config))
    start_run(config, run_dir, opened=opened)  # only now: what cannot be used leaves no folder behind
    return training.fit(
        model,
        train_set,
        val_set,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir, opened=opened),
        run_dir=run_dir,
        verbose=verbose,
    )


def begin(model: keras.Model, run_dir: Path | str) -> None:
    """Gives a model the best weights of a run, or the `pretrained` ones, to go on training from.

    Raises:
        UsageError: There is no such run, or its model is another one.
    """
    source, before = open_run(run_dir, SYSTEM, Config)
    checkpoints.begin_with(model, checkpoints.best_model(source.dir, lambda: build_model(before)), source.dir)


def _monitor(config: Config) -> str:
    return "val_loss" if config.model == "notebook" else "val_forecast_mse"


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


def _of_seen_cells(name: str):
    """The loss of an array, whose missing cells, NaN in the truth, count nowhere and get no gradient.

    `frame_mse` is summed over a frame's cells, the others are means over the cells that are there, sample by sample.
    """

    def loss(truth, prediction):
        error, seen = _error_where_seen(truth, prediction)
        values = ops.square(error) + (ops.abs(error) if name == "mse_mae" else 0.0)
        if name == "frame_mse":
            return ops.sum(values, axis=(2, 3, 4))
        axes = (1, 2, 3, 4)
        return ops.sum(values, axis=axes) / ops.maximum(ops.sum(ops.cast(seen, values.dtype), axis=axes), 1.0)

    return loss


def _error_where_seen(truth, prediction):
    """Prediction less truth, float32, and 0 where the truth is NaN; and where it is not."""
    truth, prediction = ops.cast(truth, "float32"), ops.cast(prediction, "float32")
    seen = ops.isfinite(truth)
    return ops.where(seen, prediction - ops.where(seen, truth, 0.0), 0.0), seen


def _forecast_mse(output_frames: int, *, gaps: bool = False):
    def forecast_mse(truth, prediction):
        error = ops.cast(prediction, "float32") - ops.cast(truth, "float32")
        if gaps:
            error, _ = _error_where_seen(truth, prediction)
        return ops.mean(ops.sum(ops.square(error[:, -output_frames:]), axis=(2, 3, 4)), axis=1)

    return forecast_mse
