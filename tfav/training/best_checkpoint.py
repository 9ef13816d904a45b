"""The best model of a run, saved whenever a metric reaches a new best."""

import math
from pathlib import Path

import keras

from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.training.early_stopping import watched_value
from tfav.training.weight_averaging import averaged_weights


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
