"""Training: thin functions over Keras' own, each usable alone."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import keras

from tfav import training
from tfav.io.atomic_write import write_json
from tfav.systems.two_stream import fusion
from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.dataset import Data, build_datasets, open_data
from tfav.systems.two_stream.model import build_model
from tfav.training import callbacks as training_callbacks
from tfav.training import run_folder as runs
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: Adam, cross-entropy, accuracy (of samples; `evaluate` scores whole videos)."""
    return {
        "optimizer": make_optimizer(config.learning_rate),
        "loss": keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        "metrics": ["accuracy"],
    }


def callbacks(
    config: Config, run_dir: Path | str, extra: Sequence = (), *, opened: Data | None = None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedule, best checkpoint, early stop, TensorBoard, metrics, resume.

    The best checkpoint goes by validation accuracy; without a validation part it is the last epoch's.

    Args:
        config: What is trained.
        run_dir: The run folder, made when training begins.
        extra: Further callbacks.
        opened: What `open_data(config)` gave, where that was called before.
    """
    return training_callbacks.standard(
        run_dir,
        start=functools.partial(start_run, config, run_dir, opened=opened),
        monitor="val_accuracy" if config.has_val else None,
        patience=config.patience,
        schedule=schedule_callback(
            config.schedule,
            config.learning_rate,
            config.epochs,
            monitor="val_loss" if config.has_val else "loss",
            plateau_patience=config.plateau_patience,
        ),
        extra=extra,
    )


def start_run(config: Config, run_dir: Path | str, *, opened: Data | None = None) -> None:
    """Makes the run folder, or opens the one that is there; for the fusion, chooses the streams' weight.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    opened = opened or open_data(config)
    if config.stream == "fusion":
        fusion.check_streams(config, opened.labels)
    runs.start(run_dir, SYSTEM, config, {"labels": opened.labels})
    weight_file = Path(run_dir) / fusion.FUSION_FILE
    if config.stream == "fusion" and not weight_file.exists():
        write_json(weight_file, fusion.choose_run_weight(config, opened.split.val, opened.labels))


def train(
    config: Config, run_dir: Path | str, *, devices: str | None = None, verbose: str | int = "auto"
) -> list[dict]:
    """Trains a stream, or the fusion, into a run folder, or goes on with the run that is there.

    For the fusion, the weight of each stream's probabilities is chosen on the validation part as well.

    Args:
        config: What to train on and how.
        run_dir: The run folder.
        devices: As in `tfav.strategy`.
        verbose: As in `model.fit`.

    Returns:
        One row per epoch: losses, accuracies, seconds.

    Raises:
        UsageError: The folder belongs to another run, or the streams of a fusion cannot be opened.
        DataError: The data set cannot be used as it stands.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    opened = open_data(config)
    runs.check(run_dir, SYSTEM, config, {"labels": opened.labels})
    if config.stream == "fusion":
        fusion.check_streams(config, opened.labels)
    keras.utils.set_random_seed(config.seed)
    train_set, val_set, _ = build_datasets(config, opened=opened)
    start_run(config, run_dir, opened=opened)  # only now: data that cannot be used leaves no folder behind
    with training.strategy(devices):
        model = build_model(dataclasses.replace(config, num_classes=len(opened.labels)))
        model.compile(**compile_args(config))
    return training.fit(
        model,
        train_set,
        val_set,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir, opened=opened),
        run_dir=run_dir,
        verbose=verbose,
    )
