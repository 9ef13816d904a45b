"""Training: thin functions over Keras' own, each usable alone."""

import functools
from collections.abc import Sequence
from pathlib import Path

import keras

from tfav import training
from tfav.data import shards
from tfav.io.console import say
from tfav.speech.grid import FPS
from tfav.systems.lipnet import dataset, decoding
from tfav.systems.lipnet.config import SYSTEM, Config
from tfav.systems.lipnet.convert_weights import load_init
from tfav.systems.lipnet.losses import CharacterErrorRate, CTCLoss, SoundLoss, WordLoss
from tfav.systems.lipnet.model import build_model
from tfav.training import callbacks as training_callbacks
from tfav.training import run_folder as runs
from tfav.training.learning_rate import schedule_callback
from tfav.training.optimizers import make_optimizer

# What Muon's authors leave to AdamW.
_FIRST_AND_LAST = ("^conv1/", "^words/", "^sound/", "^labels_dense/")
_CTC_SHARE = 0.04  # weight of CTC's loss beside the word loss
_NUM_EXAMPLES = 3  # clips whose sentence is shown after each epoch


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: the optimizer, CTC and the losses of the other heads, the character error rate."""
    optimizer = make_optimizer(
        config.learning_rate,
        name=config.optimizer,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        ema_momentum=config.ema_momentum,
        muon_exclude=_FIRST_AND_LAST,
    )
    config = dataset.resolved(config)
    blank = config.symbols().blank
    losses, weights = {"labels": CTCLoss(blank)}, {"labels": _CTC_SHARE if config.word_loss_weight else 1.0}
    if config.word_loss_weight:
        losses["words"], weights["words"] = WordLoss(), config.word_loss_weight
    if config.mel_loss_weight:
        losses["sound"], weights["sound"] = SoundLoss(), config.mel_loss_weight
    return {
        "optimizer": optimizer,
        "loss": losses,
        "loss_weights": weights,
        "metrics": {"labels": [CharacterErrorRate(blank)]},
        # XLA, which Keras would take, runs convolutions on CPUs slower than TensorFlow does.
        "jit_compile": False,
    }


def callbacks(
    config: Config, run_dir: Path | str, extra: Sequence = (), *, opened: dataset.Data | None = None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedule, best checkpoint, early stop, TensorBoard, metrics, resume.

    The best checkpoint goes by the character error rate in validation; without a validation part it is the last
    epoch's. With `config.ema_momentum` it holds the averaged weights.

    Args:
        config: What is trained.
        run_dir: The run folder, made when training begins.
        extra: Further callbacks.
        opened: What `open_data(config)` gave, where that was called before. Without `data_dir`, for data sets of your
            own, a validation part is taken for granted.
    """
    if opened is None and config.data_dir:
        opened = dataset.open_data(config)
    has_val = opened is None or bool(opened.split.val)
    return training_callbacks.standard(
        run_dir,
        monitor=_monitor(opened.config if opened else config) if has_val else None,
        mode="min",
        patience=config.patience,
        schedule=schedule_callback(config.schedule, config.learning_rate, config.epochs),
        averaged=config.ema_momentum > 0,
        start=functools.partial(start_run, config, run_dir, opened=opened),
        extra=extra,
    )


def start_run(config: Config, run_dir: Path | str, *, opened: dataset.Data | None = None) -> None:
    """Makes the run folder, or opens the one that is there; the learnt symbols and words are stored in it.

    Raises:
        UsageError: The folder belongs to another run.
    """
    if opened is None and config.data_dir:
        opened = dataset.open_data(config)
    runs.start(run_dir, SYSTEM, config, _metadata(opened.config, opened.fps) if opened else _metadata(config))


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
        One row per epoch: losses, character error rates, seconds.

    Raises:
        UsageError: The folder belongs to another run, or there is nothing to begin with at `init`.
        DataError: The data cannot be used as they stand.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    data = dataset.open_data(config)
    runs.check(run_dir, SYSTEM, config, _metadata(data.config, data.fps))
    keras.utils.set_random_seed(config.seed)
    datasets = dataset.build_datasets(config, opened=data)
    with training.strategy(devices):
        model = build_model(data.config)
        for line in load_init(model, data.config):
            say(line)
        model.compile(**compile_args(data.config))
    start_run(config, run_dir, opened=data)  # only now: what cannot be used leaves no folder behind
    return training.fit(
        model,
        datasets.train,
        datasets.val,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir, [example_predictions(data, run_dir)], opened=data),
        run_dir=run_dir,
        verbose=verbose,
    )


def example_predictions(data: dataset.Data, run_dir: Path | str) -> keras.callbacks.Callback:
    """A callback that prints what is said and what is read in a few clips, after each epoch."""
    config, split = data.config, data.split
    names = (split.val or split.test or split.train)[:_NUM_EXAMPLES]
    entries = shards.in_stored_order(data.index, names)
    clips = next(iter(dataset.build_dataset(config, data.index, names).unbatch().batch(len(names))))[0]
    counts = clips["frame_count"].numpy()

    def describe(model: keras.Model) -> list[dict]:
        logits = model.predict_on_batch(clips)["labels"]
        rows = []
        for entry, row, count in zip(entries, logits, counts, strict=True):
            read = decoding.greedy(row[:count], config.symbols())
            text = f"{entry.text!r} read as {read!r}"
            rows.append({"path": entry.id, "reference": entry.text, "prediction": read, "text": text})
        return rows

    return training_callbacks.ExamplePredictions(Path(run_dir) / "examples.jsonl", describe)


def _metadata(config: Config, fps: float = FPS) -> dict:
    symbols = config.symbols()
    listed = symbols.symbols if isinstance(symbols.symbols, str) else list(symbols.symbols)
    words = list(config.known_words()) if config.word_loss_weight else []
    return {"symbols": listed, "blank": symbols.blank, "words": words, "fps": fps}


def _monitor(config: Config) -> str:
    return "val_labels_cer" if config.word_loss_weight or config.mel_loss_weight else "val_cer"
