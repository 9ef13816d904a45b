"""Dtype policies by name: float32, bfloat16 and float16 with float32 variables."""

import contextlib
from collections.abc import Iterator

import keras

from tfav import keras_settings
from tfav.errors import UsageError

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@contextlib.contextmanager
def mixed_precision(precision: str) -> Iterator[None]:
    """Builds the layers made inside with a dtype policy, and puts the former one back.

    Args:
        precision: One of `PRECISIONS`. Variables stay float32 in all of them. bfloat16 needs no loss scaling and is
            what recent CPUs and GPUs are fast at; with float16 Keras scales the loss itself.

    Raises:
        UsageError: An unknown name.
    """
    keras_settings.settle()
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}. Valid: {', '.join(PRECISIONS)}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
