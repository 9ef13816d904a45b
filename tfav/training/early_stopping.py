"""Callbacks that go by a metric: the best checkpoint, the early stop, the rate that falls on a plateau.

Where `model.fit` was given no `validation_data` they go by the same metric of training, and say so; a metric that is
NaN is never better.
"""

import math
from pathlib import Path

import keras

from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.training.averaging import averaged_weights


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the model whenever a metric reaches a new best; without such a metric, after every epoch.

    Where the optimizer keeps an average of the weights, that is what is saved.

    Args:
        path: The `.keras` file.
        monitor: Metric to watch, such as `"val_accuracy"`; `None` keeps the last state.
        mode: `"max"` or `"min"`.
    """

    def __init__(self, path: Path | str, monitor: str | None, mode: str = "max"):
        super().__init__()
        self.path = Path(path)
        self.monitor = monitor
        self.mode = mode
        self.best = None
        self.watched = None
        self._epochs = self._epochs_without = 0  # of this fit; without a metric that an earlier one had

    def on_train_begin(self, logs=None):
        """Begins to count."""
        self._epochs = self._epochs_without = 0

    def on_train_end(self, logs=None):
        """Says that the best model is still that of an earlier `fit`, which had validation data."""
        if self.watched and self._epochs_without and self._epochs_without == self._epochs:
            say(
                f"warning: {self.monitor} was not measured, since model.fit was given no validation_data; {self.path} "
                "is still the best model of before."
            )

    def on_epoch_end(self, epoch, logs=None):
        """Compares and saves."""
        self._epochs += 1
        if self.monitor is not None and not self._is_best(epoch, logs):
            return
        with partial_file(self.path) as partial, averaged_weights(self.model):
            self.model.save(partial)

    def _is_best(self, epoch: int, logs) -> bool:
        value = watched_value(self, logs, "the best model")
        if value is None:
            self._epochs_without += 1
            return self.watched == ""  # nothing to go by: the last one
        if self.best is not None and math.isnan(self.best):
            self.best = None
        if math.isnan(value):
            is_first = self.best is None and not self.path.exists()  # better than no model at all
            if not is_first:
                say(f"warning: {self.watched} is NaN in epoch {epoch + 1}; the model of before is kept.")
            return is_first
        if self.best is not None and (value <= self.best if self.mode == "max" else value >= self.best):
            return False
        self.best = value
        return True


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' callback of this name; see above for what it goes by."""

    watched = None

    def get_monitor_value(self, logs):
        """The metric's value; NaN counts as the worst there is."""
        before = self.watched
        value = watched_value(self, logs, "the early stop")
        if before and self.watched != before:
            self.wait = 0
        return _worst(self) if value is not None and math.isnan(value) else value


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):
    """Keras' callback of this name; see above for what it goes by."""

    watched = None

    def on_epoch_end(self, epoch, logs=None):
        """Compares, and lowers the rate."""
        before = self.watched
        value = watched_value(self, logs, "the learning rate")
        if before and self.watched != before:
            self.on_train_begin()  # begins to count anew
        if value is None:
            return
        if math.isnan(value):
            value = _worst(self)
        seen = {**(logs or {}), self.monitor: value}
        super().on_epoch_end(epoch, seen)
        if logs is not None:
            logs |= {name: number for name, number in seen.items() if name.startswith("learning_rate")}


def watched_value(callback, logs, what: str) -> float | None:
    """The value that a callback goes by: that of `callback.monitor`, or of the same metric in training.

    Which one it is stands in `callback.watched` then, empty where the model gives neither; when it changes,
    `callback.best` is forgotten, since the two cannot be compared.

    Args:
        callback: Has `monitor`, `watched` and `best`.
        logs: Of the epoch.
        what: What goes by it, for the line that says so.

    Returns:
        The value; None in epochs without it, as `validation_freq` makes them.
    """
    logs, name = logs or {}, callback.monitor
    if name not in logs:
        if callback.watched == name:
            return None
        in_training = name.removeprefix("val_")
        if in_training in logs:
            instead, name = f"{what} goes by {in_training} of the training part", in_training
        else:
            instead, name = f"{what} cannot go by it, nor by {in_training}: the last epoch counts", ""
        if callback.watched != name:
            say(
                f"warning: there is no {callback.monitor}, since model.fit was given no validation_data or the model "
                f"was compiled without it; {instead}."
            )
    if callback.watched not in (None, name):
        callback.best = None
    callback.watched = name
    return float(logs[name]) if name else None


def _worst(callback) -> float:
    """What nothing is worse than, for Keras' own comparison: `less` or `greater`, lower where it has not chosen yet."""
    is_lower_better = callback.monitor_op is None or bool(callback.monitor_op(0.0, 1.0))
    return math.inf if is_lower_better else -math.inf
