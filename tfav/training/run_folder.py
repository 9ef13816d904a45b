"""A run folder for who calls Keras' own `fit`."""

from collections.abc import Callable

import keras


class RunFolder(keras.callbacks.Callback):
    """Makes the run folder before training begins, so that evaluation, prediction and report find a run in it.

    Must stand first in the list: TensorBoard's callback writes as soon as it is given the model, and a folder that is
    not empty is refused.

    Args:
        start: Makes the folder, or checks that the one which is there is of the same run; may be called again.
    """

    def __init__(self, start: Callable[[], object]):
        super().__init__()
        self._start = start

    def set_model(self, model):
        """Makes or checks it."""
        super().set_model(model)
        self._start()
