"""Optimizers, as the settings name them."""

from collections.abc import Sequence
from typing import Literal

import keras

from tfav.training.muon import Muon

_MUON_ADAM_RATIO = 0.5  # AdamW's learning rate where Muon has the matrices, as a share of Muon's


def make_optimizer(
    learning_rate: float,
    *,
    name: Literal["adamw", "muon"] = "adamw",
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
    ema_momentum: float = 0.0,
    muon_exclude: Sequence[str] = (),
    muon_step_dtype: Literal["float32", "bfloat16"] = "float32",
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
        muon_step_dtype: In what `muon` makes matrices orthogonal.

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
        options["step_dtype"] = muon_step_dtype
        return Muon(learning_rate, weight_decay=weight_decay, **options)
    if weight_decay:
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **options)
    return keras.optimizers.Adam(learning_rate, **options)
