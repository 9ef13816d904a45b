"""Early stopping and the rate that falls on a plateau: callbacks that go by a metric.

Where `model.fit` was given no `validation_data` they go by the same metric of training, and say so; a metric that is
NaN is never better.
"""

import math

import keras

from tfav.io.console import say


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
