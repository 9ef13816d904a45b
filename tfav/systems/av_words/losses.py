"""The loss and the score of words that are said at every step of a window."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class WordLoss(keras.losses.Loss):
    """Cross-entropy of the mean of the steps' logits, which is what counts, and of each step's own.

    Args:
        step_weight: Weight of the second.
    """

    def __init__(self, step_weight: float = 0.0, name: str = "word_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.step_weight = step_weight

    def call(self, y_true, y_pred):
        """Words `[B]` and logits `[B, T, K]`, or `[B, K]` of one step, to losses `[B]`."""
        truth, logits = ops.reshape(ops.cast(y_true, "int32"), (-1,)), _steps(y_pred)
        loss = ops.sparse_categorical_crossentropy(truth, ops.mean(logits, axis=1), from_logits=True)
        if self.step_weight:
            repeated = ops.broadcast_to(truth[:, None], ops.shape(logits)[:2])
            of_steps = ops.sparse_categorical_crossentropy(repeated, logits, from_logits=True)
            loss = loss + self.step_weight * ops.mean(of_steps, axis=1)
        return loss

    def get_config(self):
        """The weight."""
        return {**super().get_config(), "step_weight": self.step_weight}


@keras.saving.register_keras_serializable(package="tfav")
class WordAccuracy(keras.metrics.MeanMetricWrapper):
    """Share of the windows whose mean logits are largest at the word; arguments as `WordLoss` takes them."""

    def __init__(self, name: str = "accuracy", dtype=None):
        super().__init__(_is_right, name=name, dtype=dtype)

    def get_config(self):
        """Name and type; the function is fixed."""
        return {"name": self.name, "dtype": self.dtype}


def _is_right(y_true, y_pred):
    truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
    best = ops.cast(ops.argmax(ops.mean(_steps(y_pred), axis=1), axis=-1), "int32")
    return ops.cast(ops.equal(best, truth), "float32")


def _steps(logits):
    logits = ops.cast(logits, "float32")
    return logits if len(logits.shape) == 3 else logits[:, None]
