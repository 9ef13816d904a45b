"""Training: thin functions over Keras' own, each usable alone."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import keras

from tfav import training
from tfav.data.folders import Example
from tfav.io.atomic_write import partial_file
from tfav.metrics.ranking import ranking
from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.dataset import Data, build_dataset, build_datasets, open_data
from tfav.systems.cnn_lstm.model import build_model, save_backbone
from tfav.systems.cnn_lstm.predict import class_probabilities, read_thresholds
from tfav.training import callbacks as training_callbacks
from tfav.training import run_folder as runs
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer
from tfav.training.timelines import keep_clip_length

_NUM_EXAMPLES = 4  # clips whose prediction is shown after each epoch


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: AdamW or Adam, cross-entropy, accuracy (with `multi_label` mAP)."""
    optimizer = make_optimizer(config.learning_rate, weight_decay=config.weight_decay)
    if config.multi_label:
        loss = keras.losses.BinaryCrossentropy(label_smoothing=config.label_smoothing)
        metrics = [keras.metrics.AUC(curve="PR", multi_label=True, num_labels=config.class_count(), name="map")]
    else:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
        metrics = ["accuracy"]
    if len(config.outputs()) == 1:
        return {"optimizer": optimizer, "loss": loss, "metrics": metrics}
    # Each part of the head has a loss of its own; `class`, their product, is what is scored.
    losses = {name: loss if name != "class" else None for name in config.outputs()}
    return {"optimizer": optimizer, "loss": losses, "metrics": {"class": metrics}}


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
        monitor=_monitor(config) if config.has_val else None,
        patience=config.patience,
        schedule=schedule_callback(config.schedule, config.learning_rate, config.epochs),
        extra=extra,
    )


def start_run(config: Config, run_dir: Path | str, *, opened: Data | None = None) -> None:
    """Makes the run folder, or opens the one that is there; the models that stay as they are in training go into it.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    opened = opened or open_data(config)
    runs.start(run_dir, SYSTEM, config, {"labels": opened.labels})
    save_backbone(config, Path(run_dir) / "backbone.keras")
    _save_pca(opened.pca, Path(run_dir) / "pca.keras")
    keep_clip_length(run_dir, opened.split.train)


def _monitor(config: Config) -> str:
    return f"val_{'' if len(config.outputs()) == 1 else 'class_'}{'map' if config.multi_label else 'accuracy'}"


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
        One row per epoch: losses, accuracies, seconds.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    opened = open_data(config)
    runs.check(run_dir, SYSTEM, config, {"labels": opened.labels})
    keras.utils.set_random_seed(config.seed)
    train_set, val_set, _ = build_datasets(config, opened=opened)
    start_run(config, run_dir, opened=opened)  # only now: data that cannot be used leaves no folder behind
    with training.strategy(devices):
        counted = dataclasses.replace(config, num_classes=len(opened.labels))
        model = build_model(counted)
        model.compile(**compile_args(counted))
    history = training.fit(
        model,
        train_set,
        val_set,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir, [_example_predictions(opened, run_dir)], opened=opened),
        run_dir=run_dir,
        verbose=verbose,
    )
    if config.multi_label:
        read_thresholds(run_dir)
    return history


def _save_pca(pca: keras.Model | None, path: Path) -> None:
    if pca is not None and not path.exists():
        with partial_file(path) as partial:
            pca.save(partial)


def _example_predictions(opened: Data, run_dir: Path | str):
    split, labels = opened.split, opened.labels
    source = split.val or split.test or split.train
    # One of each of the first classes rather than four of the first.
    by_label = {example.label: example for example in reversed(source)}
    chosen: list[Example] = [by_label[label] for label in labels if label in by_label][:_NUM_EXAMPLES]
    dataset = build_dataset(opened.config, chosen, labels, pca=opened.pca)
    batch = next(iter(dataset.unbatch().batch(len(chosen))))[0]

    def describe(model: keras.Model) -> list[dict]:
        rows = []
        for example, probabilities in zip(chosen, class_probabilities(model.predict_on_batch(batch)), strict=True):
            best = ranking(probabilities, labels, top=1)[0]
            text = f"{'; '.join(example.labels)}: {best['label']} {best['probability']:.0%}"
            rows.append({"path": str(example.path), "label": example.label, **best, "text": text})
        return rows

    return training_callbacks.ExamplePredictions(Path(run_dir) / "examples.jsonl", describe)
