"""Training: thin functions over Keras' own, each usable alone, and the chain of stages."""

import dataclasses
import functools
import gc
import json
from collections.abc import Sequence
from pathlib import Path

import keras

from tfav import training
from tfav.data.pipeline import Datasets
from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.io.lock import locked_folder
from tfav.systems.av_words import dataset, stages
from tfav.systems.av_words.config import STAGES, SYSTEM, Config
from tfav.systems.av_words.losses import WordAccuracy, WordLoss
from tfav.systems.av_words.model import BOTH, FUSION, SAID
from tfav.training import callbacks as training_callbacks
from tfav.training import run_folder as runs
from tfav.training.callbacks import RunFolder, read_jsonl
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer

_LAST = STAGES[-1]


def compile_args(config: Config, stage: str = _LAST, outputs: Sequence[str] | None = None) -> dict:
    """Arguments for `model.compile`: AdamW or Adam, the loss of words, the share of them that is right.

    Args:
        config: The configuration.
        stage: Whose learning rate to take.
        outputs: Of a stage's model; None: the one output of `build_model`.
    """
    optimizer = make_optimizer(
        config.stage_rates[STAGES.index(stage)],
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_momentum=config.ema_momentum,
    )
    # XLA, which Keras would take, runs convolutions on CPUs slower than TensorFlow does.
    arguments = {"optimizer": optimizer, "jit_compile": False}
    if outputs is None:
        return arguments | {"loss": WordLoss(), "metrics": [WordAccuracy()]}
    losses, weights, metrics = {}, {}, {}
    for name in outputs:
        if name.endswith(SAID):
            losses[name] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            weights[name] = config.said_weight
        else:
            losses[name], metrics[name] = WordLoss(config.step_weight), [WordAccuracy()]
            weights[name] = config.stream_weight if name != BOTH and BOTH in outputs else 1.0
    return arguments | {"loss": losses, "loss_weights": weights, "metrics": metrics}


def callbacks(config: Config, run_dir: Path | str, *, has_val: bool = True) -> list[keras.callbacks.Callback]:
    """The callbacks to train `build_model` at once, without stages: run folder, schedule, best checkpoint, early stop,
    TensorBoard, metrics, resume.

    Rates and epochs are those of the last stage. The best checkpoint goes by the accuracy in validation; without a
    validation part (`has_val` False) it is the last epoch's.
    """
    return [
        RunFolder(functools.partial(start_run, config, run_dir)),
        *stage_callbacks(config, run_dir, _LAST, "val_accuracy" if has_val else None),
    ]


def stage_callbacks(
    config: Config, run_dir: Path | str, stage: str, monitor: str | None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a stage, without the one that makes its folder.

    Args:
        config: The configuration.
        run_dir: The stage's own folder.
        stage: One of `STAGES`.
        monitor: Of what to keep the highest; None: the last epoch.
    """
    place = STAGES.index(stage)
    return training_callbacks.standard(
        run_dir,
        monitor=monitor,
        mode="max",
        patience=config.patience,
        schedule=schedule_callback(config.schedule, config.stage_rates[place], config.stage_epochs[place]),
        averaged=config.ema_momentum > 0,
        stage=stage,
    )


def start_run(config: Config, run_dir: Path | str) -> None:
    """Makes the run folder, or opens the one that is there.

    Raises:
        UsageError: The folder belongs to another run, or the data have other words.
    """
    words = dataset.words(config)
    runs.start(run_dir, SYSTEM, with_classes(config, words), {"words": list(words)})


def train(
    config: Config, run_dir: Path | str, *, devices: str | None = None, verbose: str | int = "auto"
) -> list[dict]:
    """Trains the chain into a run folder, or goes on with the stage that it was in.

    Args:
        config: What to train on and how; `stages` are those to train now.
        run_dir: Gets a run folder for each stage, and at the end `best.keras`, the whole model.
        devices: As in `tfav.strategy`.
        verbose: As in `model.fit`; `"auto"` is a bar on a terminal and a line per epoch elsewhere.

    Returns:
        One row per epoch of all stages, with the number of its `stage`, from 1.

    Raises:
        UsageError: The folder belongs to another run, a stage lacks its predecessor, or the data have other words.
        DataError: The data cannot be used as they stand.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    data = dataset.open_data(config)
    config = with_classes(config, data.labels)
    metadata = {"words": list(data.labels)}
    runs.check(run_dir, SYSTEM, config, metadata)
    stages.check_order(run_dir, config)
    if any(name.split("_")[0] == FUSION for name in stages.chosen_stages(config)) and config.fusion_split == "val":
        dataset.part_of_fusion(data.split)  # refused before the streams are trained, not after
    datasets: dict[str, Datasets] = {}
    for name in stages.chosen_stages(config):
        if stages.is_trained(run_dir, name, config):
            continue
        part = name.split("_")[0]
        if part not in datasets:  # one at a time, as each keeps its windows in memory
            chosen, streams, learn_from = config, (part,), "train"
            if part == FUSION:
                chosen = dataclasses.replace(config, snr_range=(config.fusion_snr_low, config.snr_range[1]))
                streams, learn_from = dataset.STREAMS, config.fusion_split
            options = {"streams": streams, "said": config.said_weight > 0, "learn_from": learn_from}
            datasets = {part: dataset.build_datasets(chosen, **options, opened=data)}
        runs.start(run_dir, SYSTEM, config, metadata)  # only now: what cannot be used leaves no folder behind
        say(f"stage {name}: {STAGES.index(name) + 1} of {len(STAGES)}")
        _train_stage(config, name, Path(run_dir), datasets[part], metadata, devices, verbose)
        join_metrics(run_dir)
        gc.collect()  # the stage's graphs, before the next one's are built
    with locked_folder(run_dir):
        path = stages.join(run_dir, config)
    if path is None:
        say(f"{run_dir}: no fusion yet; evaluate a stage's own folder in it, or train the stages that are left.")
    return join_metrics(run_dir)


def _train_stage(config: Config, name: str, run_dir: Path, datasets, metadata: dict, devices, verbose) -> None:
    folder = run_dir / name
    keras.utils.set_random_seed(config.seed + STAGES.index(name))
    with training.strategy(devices):
        model = stages.build_stage(config, name)
        for line in stages.begin(model, name, run_dir, config):
            say(f"  from {line}")
        outputs = sorted(model.output)
        model.compile(**compile_args(config, name, outputs))
    monitor = "val_accuracy" if len(outputs) == 1 else f"val_{_judged(name)}_accuracy"
    # Of the chain's settings a stage depends on all but those that say which stages to train and how long.
    runs.start(folder, SYSTEM, dataclasses.replace(config, stages=(name,)), {**metadata, "stage": name})
    training.fit(
        model,
        stages.stage_data(datasets.train, model),
        stages.stage_data(datasets.val, model),
        epochs=config.stage_epochs[STAGES.index(name)],
        callbacks=stage_callbacks(config, folder, name, monitor if datasets.val is not None else None),
        run_dir=folder,
        verbose=verbose,
    )


def _judged(stage: str) -> str:
    """The output of a stage's model that it is about."""
    part = stage.split("_")[0]
    return BOTH if part == FUSION else part


def with_classes(config: Config, words: Sequence[str]) -> Config:
    """The configuration with the number of words counted, where that is 0.

    Raises:
        UsageError: There are more or fewer than it says.
    """
    if config.num_classes not in (0, len(words)):
        raise UsageError(
            f"num_classes is {config.num_classes}, and the data have {len(words)} words. Set num_classes to 0 to count "
            "them."
        )
    return dataclasses.replace(config, num_classes=len(words))


def join_metrics(run_dir: Path | str) -> list[dict]:
    """Writes the epochs of all stages, in the chain's order, into the chain's own `metrics.jsonl`."""
    rows = []
    for name in STAGES:
        for row in read_jsonl(Path(run_dir) / name / "metrics.jsonl"):
            # Of a stage with several outputs one is what it is about.
            row = {key.replace(f"{_judged(name)}_accuracy", "accuracy"): value for key, value in row.items()}
            rows.append({**row, "stage": STAGES.index(name) + 1, "epoch": len(rows) + 1, "stage_epoch": row["epoch"]})
    if rows:
        with partial_file(Path(run_dir) / "metrics.jsonl") as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return rows
