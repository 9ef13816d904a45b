"""A bidirectional GRU whose two directions advance in one unrolled loop, for CPUs."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class BidirectionalGRU(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional(keras.layers.GRU(units, return_sequences=True))`, with its weights and its result.

    On a GPU it is just that, and runs in cuDNN. On a CPU Keras takes the steps of each direction in a while loop of its
    own, with the input's product inside; most of the time goes into starting small operations. Here all input products
    are one matrix product each, both directions take a step together, and the loop is unrolled, so that the number of
    frames must be known when the model is built.

    Args:
        units: Size of the state of each direction.
    """

    def __init__(self, units: int, **kwargs):
        layer = keras.layers.GRU(units, return_sequences=True, name="gru", dtype=kwargs.get("dtype"))
        super().__init__(layer, **kwargs)
        self.units = units

    def call(self, sequences, initial_state=None, mask=None, training=None):
        """`[B, T, D]`, and `mask` `[B, T]`, True where a step is real, to `[B, T, 2 * units]`.

        A step that is not real leaves the state as it was and gives zeros.
        """
        if initial_state is not None or sequences.shape[1] is None or tf.config.list_physical_devices("GPU"):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        cells = self.forward_layer.cell, self.backward_layer.cell
        both = (sequences, ops.flip(sequences, axis=1))
        # [T, 2, B, 3 * units]: each step's input, ready to be added.
        inputs = ops.stack([_project(x, cell) for x, cell in zip(both, cells, strict=True)], axis=0)
        inputs = ops.unstack(ops.transpose(inputs, (2, 0, 1, 3)), axis=0)
        kernel = _stack([cell.recurrent_kernel for cell in cells], self.compute_dtype)
        bias = _stack([cell.bias[1:] for cell in cells], self.compute_dtype)
        real = None
        if mask is not None:
            real = ops.stack([mask, ops.flip(mask, axis=1)], axis=0)
            real = ops.unstack(ops.transpose(real, (2, 0, 1))[..., None], axis=0)
        state = ops.zeros_like(inputs[0][..., : self.units])
        states = []
        for step, given in enumerate(inputs):
            recurrent = ops.matmul(state, kernel) + bias
            gates = ops.sigmoid(given[..., : 2 * self.units] + recurrent[..., : 2 * self.units])
            update, reset = ops.split(gates, 2, axis=-1)
            new = ops.tanh(given[..., 2 * self.units :] + reset * recurrent[..., 2 * self.units :])
            new = new + update * (state - new)
            state = new if real is None else ops.where(real[step], new, state)
            states.append(state)
        states = ops.stack(states, axis=0)  # [T, 2, B, units]
        merged = ops.concatenate([states[:, 0], ops.flip(states[:, 1], axis=0)], axis=-1)
        merged = ops.transpose(merged, (1, 0, 2))
        return merged if mask is None else ops.where(mask[..., None], merged, ops.zeros_like(merged))

    def compute_mask(self, *_args, **_kwargs):
        """None: a mask that went on from here would be applied by Keras to losses that know true lengths already."""
        return None

    def get_config(self):
        """Units and name; the inner layers follow from them."""
        return {**keras.layers.Layer.get_config(self), "units": self.units}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """As any layer; `Bidirectional` would look for inner layers."""
        return cls(**config)


def _stack(values, dtype):
    return ops.stack([ops.cast(value, dtype) for value in values])


def _project(sequences, cell):
    kernel, bias = ops.cast(cell.kernel, sequences.dtype), ops.cast(cell.bias[0], sequences.dtype)
    return ops.matmul(sequences, kernel) + bias
