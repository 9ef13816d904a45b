"""A trained model as a layer that is only asked."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class Frozen(keras.layers.Layer):
    """A model that only answers, as in inference whatever goes on around it, and through which no gradient flows.

    Calling it with `training=False` would not do: a functional model hands its own `training` down to all its parts.

    Args:
        model: A built model of one input; its weights are no longer trained.
        choose: Which of its outputs to give, where it has several by name.
    """

    def __init__(self, model: keras.Model, choose: str = "", **kwargs):
        super().__init__(autocast=False, **kwargs)  # the model casts for itself
        model.trainable = False
        self.model = model
        self.choose = choose
        self.built = True

    def call(self, inputs):
        """As the model."""
        outputs = self.model(inputs, training=False)
        return ops.stop_gradient(outputs[self.choose] if self.choose else outputs)

    def get_config(self):
        """The model along with what is chosen of it."""
        stored = {"model": keras.saving.serialize_keras_object(self.model), "choose": self.choose}
        return {**super().get_config(), **stored}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the model."""
        return cls(model=keras.saving.deserialize_keras_object(config.pop("model")), **config)
