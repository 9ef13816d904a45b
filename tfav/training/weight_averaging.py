"""The moving average of the weights that an optimizer keeps, in the model's place for a while."""

import contextlib
from collections.abc import Iterator

import keras

from tfav import keras_private


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the moving average that the optimizer keeps (`use_ema`) in the model's place, and takes it out again.

    Without such an average nothing happens; nor in the first `3 / (1 - momentum)` steps, as long as more than a
    twentieth of the average is what the weights were before training.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed_float16 wraps it to scale the loss
    pairs = keras_private.moving_averages(optimizer) if getattr(optimizer, "use_ema", False) else []
    # By way of NumPy: a variable that is mirrored over several devices is no number to Python.
    if not pairs or int(keras.ops.convert_to_numpy(optimizer.iterations)) < 3 / (1 - optimizer.ema_momentum):
        yield
        return
    kept = [keras.ops.convert_to_numpy(variable) for variable, _ in pairs]
    for variable, average in pairs:
        variable.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, kept, strict=True):
            variable.assign(value)
