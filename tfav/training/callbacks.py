"""Keras callbacks that survive a killed process: each writes whole files only, and can be told where it stood."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import keras

from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.training.best_checkpoint import BestCheckpoint
from tfav.training.early_stopping import EarlyStopping
from tfav.training.random_state import EpochDraws
from tfav.training.resume import BackupAndRestore
from tfav.training.weight_averaging import averaged_weights


class RunFolder(keras.callbacks.Callback):
    """Creates the run folder when you call `model.fit` yourself.

    Must stand first in the list: TensorBoard's callback writes as soon as it is given the model, and a folder that is
    not empty is refused.

    Args:
        start: Makes the folder, or checks that the one which is there is of the same run; may be called again.
    """

    def __init__(self, start: Callable[[], object]):
        super().__init__()
        self._start = start

    def set_model(self, model):
        """Makes or checks it."""
        super().set_model(model)
        self._start()


class ValidateAveraged(keras.callbacks.Callback):
    """Lets validation see the averaged weights; training goes on with its own."""

    def __init__(self):
        super().__init__()
        self._swapped = None

    def on_test_begin(self, logs=None):
        """Swaps in."""
        self._swapped = contextlib.ExitStack()
        self._swapped.enter_context(averaged_weights(self.model))

    def on_test_end(self, logs=None):
        """Swaps out."""
        self._swapped.close()


class MetricsLog(keras.callbacks.Callback):
    """Keeps one JSON line per epoch in a file: number, seconds, and all that Keras logs.

    The file is rewritten whole, so no line is ever half there. An epoch that is trained again after a killed run takes
    the place of its first line.

    Args:
        path: The `.jsonl` file.
    """

    def __init__(self, path: Path | str):
        super().__init__()
        self.path = Path(path)
        self._started = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Writes the epoch's line."""
        row = {"epoch": epoch + 1, "seconds": round(time.monotonic() - self._started, 3)}
        row |= {name: float(value) for name, value in (logs or {}).items()}
        if "learning_rate" not in row:
            row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        _put_row(self.path, row)


class ExamplePredictions(keras.callbacks.Callback):
    """Writes what the model says of a few fixed examples after each epoch, and prints one line of it.

    Args:
        path: The `.jsonl` file; one line per epoch.
        describe: Maps the model to a list of JSON-ready rows, each with a `"text"` fit to be printed.
    """

    def __init__(self, path: Path | str, describe: Callable[[keras.Model], list[dict]]):
        super().__init__()
        self.path = Path(path)
        self.describe = describe

    def on_epoch_end(self, epoch, logs=None):
        """Describes, prints and writes."""
        with averaged_weights(self.model):
            rows = self.describe(self.model)
        say("  examples: " + "; ".join(row["text"] for row in rows))
        _put_row(self.path, {"epoch": epoch + 1, "examples": rows})


def standard(
    run_dir: Path | str,
    *,
    monitor: str | None,
    mode: str = "max",
    patience: int = 0,
    schedule: keras.callbacks.Callback | None = None,
    averaged: bool = False,
    extra=(),
    start: Callable[[], object] | None = None,
    stage: str = "",
) -> list[keras.callbacks.Callback]:
    """The callbacks of a training run, in the order they depend on one another.

    Args:
        run_dir: The run folder.
        monitor: Metric that decides what is best; `None` keeps the last state and never stops early.
        mode: `"max"` or `"min"`.
        patience: Epochs without a new best before training stops; 0 never stops.
        schedule: A learning-rate callback, as from `tfav.training.learning_rate.schedule_callback`.
        averaged: Validate the moving average of the weights that the optimizer keeps.
        extra: More callbacks, run before the state is saved.
        start: Makes the run folder, see `RunFolder`; None: it is there.
        stage: Where a run trains several times on the same data, which of these trainings this is.
    """
    run_dir = Path(run_dir)
    kept = [BestCheckpoint(run_dir / "best.keras", monitor, mode)]
    if monitor and patience:
        kept.append(EarlyStopping(monitor, mode=mode, patience=patience, verbose=1))
    if schedule is not None:
        kept.append(schedule)
    return [
        *([RunFolder(start)] if start is not None else []),
        EpochDraws(stage),
        *kept,
        keras.callbacks.TensorBoard(run_dir / "tensorboard", write_graph=False),
        *([ValidateAveraged()] if averaged else []),
        *extra,
        # Last but one and last: a kill between the two leaves a line that the repeated epoch replaces, never a gap.
        MetricsLog(run_dir / "metrics.jsonl"),
        BackupAndRestore(run_dir / "backup", kept),
    ]


def read_jsonl(path: Path | str) -> list[dict]:
    """All rows of a JSON-lines file; none where it does not exist."""
    path = Path(path)
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _put_row(path: Path, row: dict) -> None:
    """Writes a file anew with an epoch's row at its end; rows of this epoch and later ones give way."""
    rows = [old for old in read_jsonl(path) if old["epoch"] < row["epoch"]] + [row]
    with partial_file(path) as partial:
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
