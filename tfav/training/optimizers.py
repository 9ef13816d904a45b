"""Optimizers and learning-rate schedules, as the settings name them."""

import math
from collections.abc import Sequence
from typing import Literal

import keras

from tfav.training.early_stopping import ReduceLROnPlateau
from tfav.training.muon import Muon

_MUON_ADAM_RATIO = 0.5  # AdamW's learning rate where Muon has the matrices, as a share of Muon's
_HALF_LIFE = 5  # epochs, of the schedule `halving`
_NOTEBOOK_EPOCHS = 30  # of the schedule `notebook` before the rate falls


def make_optimizer(
    learning_rate: float,
    *,
    name: Literal["adamw", "muon"] = "adamw",
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    ema_momentum: float = 0.0,
    muon_exclude: Sequence[str] = (),
) -> keras.optimizers.Optimizer:
    """An optimizer, not yet built.

    Args:
        learning_rate: Learning rate at the start.
        name: `adamw`, which is Adam where `weight_decay` is 0; or `muon`, which updates the matrices and leaves the
            rest to AdamW at half the rate.
        weight_decay: As a share of the learning rate.
        clip_norm: Largest norm of all gradients together; 0 does not clip.
        ema_momentum: Momentum of the moving average of the weights that the optimizer keeps; 0: it keeps none.
        muon_exclude: Patterns of variable paths that `muon` leaves to AdamW.

    Example:
        >>> from tfav.training.optimizers import make_optimizer
        >>> make_optimizer(1e-3, weight_decay=0.01, clip_norm=5.0).name
        'adamw'
    """
    options: dict = {"global_clipnorm": clip_norm or None}
    if ema_momentum:
        options |= {"use_ema": True, "ema_momentum": ema_momentum}
    if name == "muon":
        options |= {"adam_lr_ratio": _MUON_ADAM_RATIO, "exclude_layers": tuple(muon_exclude)}
        return Muon(learning_rate, weight_decay=weight_decay, **options)
    if weight_decay:
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **options)
    return keras.optimizers.Adam(learning_rate, **options)


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
