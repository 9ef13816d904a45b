"""No variable is made before the file is known to hold that many values.

A layer is built with every initializer replaced by a `Reserved` one, which asks the `Budget` (the values the file
stores) before it allocates. It fills with zeros, since the stored values come next; afterwards `restore`
puts the original initializers back, so the model's configuration is as it was saved.
"""

import contextlib
import contextvars
import math

import keras

from tfav.keras_private import flatten_layers
from tfav.weights.errors import WeightsError

_current = contextvars.ContextVar("tfav_weights_budget", default=None)
_GRACE = 2**16  # values: some layers hold a few that their old counterparts did not


class Budget:
    """How many values the layers of a file may hold together.

    Args:
        path: The file, for the error.
        values: Number of values it stores.
    """

    def __init__(self, path, values: int):
        self.path, self.values = path, values
        self.left = values + _GRACE
        self.error = None  # kept, since Keras may wrap what is raised inside a build

    def spend(self, layer_name, shape) -> None:
        """Takes `shape`'s values out of the budget, or raises `WeightsError`."""
        self.left -= math.prod(shape)
        if self.left < 0:
            self.error = WeightsError(
                self.path,
                f"layer {layer_name!r} asks for a weight of shape {tuple(shape)}, but the file stores {self.values} "
                "values in all",
                "The architecture and the weights do not belong together, or the file is damaged.",
            )
            raise self.error

    @contextlib.contextmanager
    def active(self):
        """While active, variables are charged to this budget."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


@keras.saving.register_keras_serializable(package="tfav")
class Reserved(keras.initializers.Initializer):
    """Stands in for `original` while a layer is built: checks the budget, then gives zeros."""

    def __init__(self, original=None, layer_name=None):
        self.original = keras.initializers.get(original)
        self.layer_name = layer_name

    def __call__(self, shape, dtype=None):
        """Zeros of `shape`, if the budget allows."""
        budget = _current.get()
        if budget is not None:
            budget.spend(self.layer_name, shape)
        return keras.ops.zeros(shape, dtype=dtype or keras.config.floatx())

    def get_config(self):
        """The original initializer, serialised, and the layer it is for."""
        return {"original": keras.initializers.serialize(self.original), "layer_name": self.layer_name}


def restore(layer: keras.layers.Layer) -> None:
    """Puts the original initializers back into a built layer and every layer inside it."""
    for inner in flatten_layers(layer):
        for name, value in list(vars(inner).items()):
            if isinstance(value, Reserved):
                setattr(inner, name, value.original)
