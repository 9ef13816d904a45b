"""The moving average of the weights that an optimizer keeps, in the model's place for a while."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Puts the moving average that the optimizer keeps (`use_ema`) in the model's place, and takes it out again.

    Without such an average nothing happens; nor in the first `3 / (1 - momentum)` steps, as long as more than a
    twentieth of the average is what the weights were before training.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed_float16 wraps it to scale the loss
    averages = getattr(optimizer, "_model_variables_moving_average", ()) if getattr(optimizer, "use_ema", 0) else ()
    # By way of NumPy: a variable that is mirrored over several devices is no number to Python.
    if not averages or int(keras.ops.convert_to_numpy(optimizer.iterations)) < 3 / (1 - optimizer.ema_momentum):
        yield
        return
    variables = optimizer._trainable_variables
    kept = [keras.ops.convert_to_numpy(variable) for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
