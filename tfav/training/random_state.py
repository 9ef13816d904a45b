"""What training draws at random, so that a run that goes on draws what an undisturbed one would have drawn."""

from collections.abc import Sequence

import keras

from tfav.data import epoch_order

_STATE_NAME = "seed_generator_state"  # Keras' name for the variable in which dropout and noise count their draws


class EpochDraws(keras.callbacks.Callback):
    """Tells the training data which epoch begins: their order and augmentation follow from seed and epoch.

    Args:
        stage: Where a run trains several times on the same data, which of these trainings.
    """

    def __init__(self, stage: str = ""):
        super().__init__()
        self.stage = stage

    def on_epoch_begin(self, epoch, logs=None):
        """Tells them; Keras opens the data set after it."""
        epoch_order.begin(epoch, self.stage)


def layer_draws(model: keras.Model) -> list[list[int]]:
    """Where the layers that draw at random (dropout, noise) stand; Keras stores it with no weights. JSON-ready."""
    return [keras.ops.convert_to_numpy(state).tolist() for state in _states(model)]


def set_layer_draws(model: keras.Model, draws: Sequence[Sequence[int]]) -> None:
    """Puts the layers where `layer_draws` found them."""
    for state, value in zip(_states(model), draws, strict=True):
        state.assign(keras.ops.convert_to_tensor(value, state.dtype))


def _states(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.variables if variable.path.rsplit("/", 1)[-1] == _STATE_NAME]
