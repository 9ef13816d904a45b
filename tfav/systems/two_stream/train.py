"""Training: thin functions over Keras' own, each usable alone."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfav import training
from tfav.data.classification import check_known_classes, make_split
from tfav.data.folders import Example
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import write_json
from tfav.metrics.late_fusion import FUSION_FILE, choose_weight
from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.dataset import Data, build_datasets, open_data
from tfav.systems.two_stream.model import build_model
from tfav.systems.two_stream.sampling import find_examples
from tfav.systems.two_stream.stream import Stream, agree_on_labels, both_streams, compute_both, load_stream
from tfav.training import callbacks as training_callbacks
from tfav.training import run_folder as runs
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer
from tfav.training.timelines import keep_clip_length


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
        check_streams(config, opened.labels)
    runs.start(run_dir, SYSTEM, config, {"labels": opened.labels})
    keep_clip_length(run_dir, opened.split.train)
    weight_file = Path(run_dir) / FUSION_FILE
    if config.stream == "fusion" and not weight_file.exists():
        write_json(weight_file, choose_run_weight(config, opened.split.val, opened.labels))


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
        check_streams(config, opened.labels)
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


def check_streams(config: Config, labels: list[str]) -> None:
    """Refuses streams that are not there, differ in their classes, or know others than these.

    Raises:
        UsageError: Naming what is missing or differs.
        DataError: A class that the streams do not know.
    """
    for kind in ("spatial", "motion"):
        if not getattr(config, kind):
            raise UsageError(f"the fusion needs both streams. Give --{kind} a run folder or a .h5 file.")
    agreed = agree_on_labels(load_stream(config.spatial, "spatial"), load_stream(config.motion, "motion"))
    check_known_classes(config.data_dir, labels, agreed)
    if agreed != labels:
        raise UsageError(
            f"{config.data_dir}: holds {len(labels)} of the {len(agreed)} classes the streams know, all needed here."
        )


def choose_run_weight(config: Config, examples: Sequence[Example], labels: list[str]) -> dict:
    """What `fusion.json` holds: the weight of the spatial stream that is best on these examples, and their number.

    Only those count that neither stream was trained on: of its own training videos a stream is always sure. Without
    any, both weigh the same.
    """
    known = set().union(*map(_trained_on, both_streams(config)))
    examples = [example for example in examples if example.key.absolute() not in known]
    if not examples:
        return {"spatial_weight": 0.5, "chosen_on": 0}
    stored = compute_both(config, examples)
    truth = np.array([labels.index(example.label) for example in examples])
    weight = choose_weight(truth, stored["spatial"].probabilities, stored["motion"].probabilities)
    return {"spatial_weight": weight, "chosen_on": len(examples)}


def _trained_on(stream: Stream) -> set[Path]:
    """The keys of the examples a stream's run was trained on, as far as that can still be told."""
    with contextlib.suppress(TfavError):
        if stream.config is not None:
            examples = find_examples(stream.config).examples
            return {example.key.absolute() for example in make_split(examples, stream.config).train}
    return set()
