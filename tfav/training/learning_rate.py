"""Learning-rate schedules, as the settings name them."""

import math

import keras

from tfav.training.early_stopping import ReduceLROnPlateau

_HALF_LIFE = 5  # epochs, of the schedule `halving`


_NOTEBOOK_EPOCHS = 30  # of the schedule `notebook` before the rate falls


def epoch_rate(schedule: str, start: float, epoch: int, epochs: int) -> float:
    """The learning rate of an epoch.

    Args:
        schedule: `constant`; `cosine`, along half a cosine to 0 at `epochs`; `halving`, every five epochs; `notebook`,
            after 30 epochs times exp(-0.1) in each.
        start: Rate of the first epoch.
        epoch: Counted from 0.
        epochs: Number of epochs.

    Example:
        >>> from tfav.training.optimizers import epoch_rate
        >>> epoch_rate("cosine", 1e-3, 10, 20)
        0.0005
    """
    if schedule == "cosine":
        return 0.5 * start * (1 + math.cos(math.pi * epoch / epochs))
    if schedule == "halving":
        return start * 0.5 ** (epoch // _HALF_LIFE)
    if schedule == "notebook":
        return start * math.exp(-0.1 * max(0, epoch + 1 - _NOTEBOOK_EPOCHS))
    return start


def schedule_callback(
    schedule: str, start: float, epochs: int, *, monitor: str = "loss", plateau_patience: int = 5
) -> keras.callbacks.Callback | None:
    """The callback of a schedule; None for `constant`.

    Args:
        schedule: As in `epoch_rate`; or `plateau`, a tenth after `plateau_patience` epochs without a lower `monitor`.
        start: Rate of the first epoch.
        epochs: Number of epochs.
        monitor: For `plateau`: name of a logged value.
        plateau_patience: For `plateau`.
    """
    if schedule == "plateau":
        return ReduceLROnPlateau(monitor, patience=plateau_patience, verbose=1)
    if schedule == "constant":
        return None
    return keras.callbacks.LearningRateScheduler(lambda epoch: epoch_rate(schedule, start, epoch, epochs))
