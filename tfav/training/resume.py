"""Going on after a kill: the state of a training, saved after each epoch and read back."""

import json
import math
import re
import shutil
from pathlib import Path

import keras

from tfav import keras_private
from tfav.errors import TfavError, UsageError
from tfav.io.atomic_write import partial_folder, require_space
from tfav.io.console import say
from tfav.training.random_state import layer_draws, set_layer_draws

_BYTES_PER_DATASET = 4096  # what HDF5 needs beside the values: names, groups, their trees


# What Keras' own callbacks remember from epoch to epoch and forget when the process dies.
_REMEMBERED = ("best", "watched", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


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


def _stored_bytes(model: keras.Model) -> int:
    """What the state of a model takes in HDF5, at most."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    values = sum(math.prod(variable.shape) * (8 if "64" in str(variable.dtype) else 4) for variable in variables)
    return values + _BYTES_PER_DATASET * (len(variables) + 8)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _plain(value):
    return value.item() if hasattr(value, "item") else value
