"""Keras callbacks that survive a killed process: each writes whole files only, and can be told where it stood."""

import contextlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import keras

from tfav import keras_private
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_file, partial_folder, require_space
from tfav.io.console import say
from tfav.training.averaging import averaged_weights
from tfav.training.early_stopping import BestCheckpoint, EarlyStopping
from tfav.training.random_state import EpochDraws, layer_draws, set_layer_draws

_BYTES_PER_DATASET = 4096  # what HDF5 needs beside the values: names, groups, their trees
# What Keras' own callbacks remember from epoch to epoch and forget when the process dies.
_REMEMBERED = ("best", "watched", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


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
        rows = [old for old in read_jsonl(self.path) if old["epoch"] <= epoch] + [row]
        with partial_file(self.path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


class BackupAndRestore(keras.callbacks.Callback):
    """As Keras' callback of this name, and safe against a kill in the middle of saving.

    Keras writes weights and epoch number one after the other into the same two files, and forgets what the other
    callbacks knew. Here each state is a folder of its own, renamed in when it is whole; the one before is kept and
    used, with a warning, if the newest cannot be read. Must stand last in the list: it restores what the callbacks
    before it reset.

    Args:
        backup_dir: Folder for the states.
        callbacks: Those whose memory (best value, patience) is kept along.
    """

    def __init__(self, backup_dir: Path | str, callbacks=()):
        super().__init__()
        self.backup_dir = str(backup_dir)
        self._kept = list(callbacks)
        self._was_used = False

    def on_train_begin(self, logs=None):
        """Puts model, optimizer, epoch and the other callbacks back to where they stood.

        Raises:
            UsageError: `fit` was called with these callbacks before, and asks for no epoch beyond.
        """
        again, self._was_used = self._was_used, True
        # Keras keeps it from an earlier `fit`, whatever the next one asks for.
        keras_private.set_initial_epoch(self.model, None)
        for folder in reversed(self._states()):
            try:
                self._restore(folder)
                break
            except Exception as error:  # a state that cannot be read is reported below, whatever is wrong with it
                say(f"warning: {folder} cannot be read ({_one_line(error)}); trying the one before it.")
        else:
            if self._states():
                raise TfavError(f"{self.backup_dir}: no resume state can be read. Start again with another --run-dir.")
            return
        done, asked = keras_private.initial_epoch(self.model), (self.params or {}).get("epochs") or math.inf
        if done >= asked:
            told = f"{Path(self.backup_dir).parent}: trained to epoch {done} already, and fit asks for epochs={asked}"
            remedy = "Give a larger epochs to train on, or make callbacks for another run folder."
            if again:
                raise UsageError(f"{told}. {remedy}")
            say(f"{told}: nothing is left to train. {remedy}")

    def on_train_end(self, logs=None):
        """Leaves the model as one that `fit` begins with at its first epoch."""
        keras_private.set_initial_epoch(self.model, None)

    def _restore(self, folder: Path) -> None:
        state = json.loads((folder / "state.json").read_bytes())
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.model.load_weights(folder / "state.weights.h5")
        if "draws" in state:  # older states lack them
            set_layer_draws(self.model, state["draws"])
        keras_private.set_initial_epoch(self.model, state["epoch"])  # where Keras' own callback leaves it for `fit`
        self.remember(state["callbacks"])

    def memory(self) -> dict[str, dict]:
        """What the other callbacks know from earlier epochs, by their class; JSON-ready."""
        return {
            type(callback).__name__: {
                name: _plain(getattr(callback, name)) for name in _REMEMBERED if hasattr(callback, name)
            }
            for callback in self._kept
        }

    def remember(self, memory: dict[str, dict]) -> None:
        """Gives the other callbacks back what `memory` gave."""
        for callback in self._kept:
            for name, value in memory.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)

    def on_epoch_end(self, epoch, logs=None):
        """Writes the state."""
        folder = Path(self.backup_dir) / f"epoch-{epoch + 1:06d}"
        state = {"epoch": epoch + 1, "callbacks": self.memory(), "draws": layer_draws(self.model)}
        with partial_folder(folder) as partial:
            require_space(partial, _stored_bytes(self.model))
            self.model.save_weights(partial / "state.weights.h5")
            (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for outdated in self._states()[:-2]:
            shutil.rmtree(outdated, ignore_errors=True)

    def _states(self) -> list[Path]:
        folder = Path(self.backup_dir)
        return sorted(p for p in folder.glob("epoch-*") if re.fullmatch(r"epoch-\d+", p.name))


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
        lines = [old for old in read_jsonl(self.path) if old["epoch"] <= epoch] + [
            {"epoch": epoch + 1, "examples": rows}
        ]
        with partial_file(self.path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


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
        schedule: A learning-rate callback, as from `tfav.training.optimizers.schedule_callback`.
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


def _stored_bytes(model: keras.Model) -> int:
    """What the state of a model takes in HDF5, at most."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    values = sum(math.prod(variable.shape) * (8 if "64" in str(variable.dtype) else 4) for variable in variables)
    return values + _BYTES_PER_DATASET * (len(variables) + 8)


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
