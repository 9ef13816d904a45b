"""A model whose parts learn on their own from the same target."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tfav")
class SharedTarget(keras.Model):
    """A functional model of several outputs that are all classes of one target, for which `class_weight` works.

    Keras knows class weights for models of one output only. Here they become the weight of each example: that of its
    class, or of a mixed target the mean of its classes' by their shares.
    """

    def fit(self, x=None, y=None, *args, class_weight: Mapping[int, float] | None = None, **options):
        """As `keras.Model.fit`.

        Args:
            x: As there.
            y: As there; a dict with the same one-hot target `[B, num_classes]` for each output.
            *args: As there.
            class_weight: From a class's number to its weight; 1 where it is not named.
            **options: As there.
        """
        if not class_weight:
            return super().fit(x, y, *args, **options)
        if isinstance(x, tf.data.Dataset):
            x = x.map(lambda inputs, target, weight=1.0: (inputs, target, weight * weigh(target, class_weight)))
        else:
            given = options.pop("sample_weight", None)
            weight = np.asarray(weigh(y, class_weight))
            options["sample_weight"] = weight if given is None else weight * np.asarray(given)
        return super().fit(x, y, *args, **options)


def weigh(target: Mapping, class_weight: Mapping[int, float]) -> tf.Tensor:
    """The weight of each example of a dict of one-hot, perhaps mixed, targets, `[B]` float32."""
    one_hot = tf.cast(next(iter(target.values())), tf.float32)
    weights = [float(class_weight.get(number, 1.0)) for number in range(one_hot.shape[-1])]
    return tf.linalg.matvec(one_hot, weights)
