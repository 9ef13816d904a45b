"""Training: thin functions over Keras' own, each usable alone."""

import contextlib
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from tfav import training
from tfav.data.classification import check_known_classes, groups_of, make_split
from tfav.data.folders import Example
from tfav.data.splits import Split
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import write_json
from tfav.io.console import say
from tfav.metrics.late_fusion import EQUAL, FUSION_FILE, Choice, choose_fusion, describe_fusion
from tfav.systems.two_stream.config import STREAMS, SYSTEM, Config
from tfav.systems.two_stream.dataset import Data, build_datasets, open_data
from tfav.systems.two_stream.model import build_model
from tfav.systems.two_stream.sampling import find_examples
from tfav.systems.two_stream.stream import Stream, agree_on_labels, both_streams, compute, compute_both, load_stream
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
    """Makes the run folder, or opens the one that is there; for the fusion, chooses the late one, too.

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
        write_json(weight_file, choose_run_fusion(config, run_dir, opened))
        shutil.rmtree(Path(run_dir) / "left_out", ignore_errors=True)


def train(
    config: Config,
    run_dir: Path | str,
    *,
    devices: str | None = None,
    verbose: str | int = "auto",
    opened: Data | None = None,
) -> list[dict]:
    """Trains a stream, or the fusion, into a run folder, or goes on with the run that is there.

    For the fusion, the late one is chosen as well, see `choose_run_fusion`.

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
    opened = opened or open_data(config)
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


def choose_run_fusion(config: Config, run_dir: Path | str, opened: Data) -> dict:
    """What `fusion.json` holds: the late fusion that is best on videos which neither stream was trained on.

    Of its own training videos a stream is always sure. So these are those of the validation part or, where there are
    none of them, training videos that were left out while both streams were trained again. Of released files nothing is
    known; the streams count alike then.
    """
    streams = both_streams(config)
    known = set().union(*map(_trained_on, streams))
    examples = [example for example in opened.split.val if example.key.absolute() not in known]
    if examples:
        found = {kind: stored.probabilities for kind, stored in compute_both(config, examples).items()}
    elif config.fusion_folds > 1 and all(stream.config for stream in streams):
        examples = opened.split.train
        found = {s.kind: _score_left_out(s, config, Path(run_dir) / "left_out", opened) for s in streams}
        keras.utils.set_random_seed(config.seed)  # the recurrent fusion begins as if these had not been trained
    else:
        return describe_fusion(Choice(EQUAL, "equal", {}, 0), STREAMS, opened.labels)
    truth = np.array([opened.labels.index(example.label) for example in examples])
    groups = _groups(examples, config, opened)
    choice = choose_fusion(truth, found["spatial"], found["motion"], groups)
    return describe_fusion(choice, STREAMS, opened.labels)


def _groups(examples: Sequence[Example], config: Config, opened: Data) -> list[str]:
    """What stands in one fold, for each example: its group or, where all are of one, its video."""
    everything = [example for part in opened.split for example in part]
    found = dict(zip(everything, groups_of(everything, config), strict=True))
    groups = [found[example] for example in examples]
    return groups if len(set(groups)) > 1 else [example.video.as_posix() for example in examples]


def _score_left_out(stream: Stream, config: Config, folder: Path, opened: Data) -> np.ndarray:
    """`[N, K]`: of each training video, what a stream like this one says that was trained on those of other groups."""
    examples = opened.split.train
    groups = _groups(examples, config, opened)
    fold_of = {group: place % config.fusion_folds for place, group in enumerate(sorted(set(groups)))}
    data = {name: getattr(config, name) for name in ("data_dir", "cache_dir", "label_pattern")}
    own = dataclasses.replace(stream.config, **data, preset_name="", val_fraction=0.0, val_groups=())
    rows = np.zeros((len(examples), len(opened.labels)), np.float32)
    for fold in sorted(set(fold_of.values())):
        out = np.array([fold_of[group] == fold for group in groups])
        learnt = [example for example, is_out in zip(examples, out, strict=True) if not is_out]
        left_out = [example for example, is_out in zip(examples, out, strict=True) if is_out]
        say(f"choosing the late fusion: {stream.kind} without {len(left_out)} of {len(examples)} training videos")
        run_dir = folder / f"{stream.kind}-{fold}"
        train(own, run_dir, verbose=0, opened=opened.divided(own, Split(learnt, [], left_out)))
        rows[out] = compute(load_stream(run_dir, stream.kind), config, left_out, progress=False).probabilities
    return rows


def _trained_on(stream: Stream) -> set[Path]:
    """The keys of the examples a stream's run was trained on, as far as that can still be told."""
    with contextlib.suppress(TfavError):
        if stream.config is not None:
            examples = find_examples(stream.config).examples
            return {example.key.absolute() for example in make_split(examples, stream.config).train}
    return set()
