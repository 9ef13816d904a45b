"""A bidirectional GRU whose two directions advance together, for CPUs."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class BidirectionalGRU(keras.layers.Bidirectional):
    """`keras.layers.Bidirectional(keras.layers.GRU(units, return_sequences=True))`, with its weights and its result.

    On a GPU it is just that, and runs in cuDNN. On a CPU Keras takes the steps of each direction in a while loop of its
    own, with the input's product inside; most of the time goes into starting small operations. Here all input products
    are one matrix product each, and both directions take a step together.

    Args:
        units: Size of the state of each direction.
        unroll: Unroll the loop in training: faster steps, and a dozen seconds once to build them. Otherwise it is one
            loop.
    """

    def __init__(self, units: int, unroll: bool = False, **kwargs):
        layer = keras.layers.GRU(units, return_sequences=True, name="gru", dtype=kwargs.get("dtype"))
        super().__init__(layer, **kwargs)
        # Keras takes what stands at the same address for the same object as long as a file is being loaded, and would
        # give this layer's successor its inner layers. A function is kept, since a layer here would be saved along.
        self._keep = lambda: layer
        self.units = units
        self.unroll = unroll
        self.as_keras = False  # set where the model goes to a converter, which knows Keras' loops and not this one

    def call(self, sequences, initial_state=None, mask=None, training=None):
        """`[B, T, D]`, and `mask` `[B, T]`, True where a step is real, to `[B, T, 2 * units]`.

        A step that is not real leaves the state as it was and gives zeros.
        """
        is_own = not self.as_keras and initial_state is None and sequences.shape[1] is not None
        if not is_own or tf.config.list_physical_devices("GPU"):
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        cells = self.forward_layer.cell, self.backward_layer.cell
        both = (sequences, ops.flip(sequences, axis=1))
        # [T, 2, B, 3 * units]: each step's input, ready to be added.
        inputs = ops.stack([_project(x, cell) for x, cell in zip(both, cells, strict=True)], axis=0)
        inputs = ops.transpose(inputs, (2, 0, 1, 3))
        kernel = _stack([cell.recurrent_kernel for cell in cells], self.compute_dtype)
        bias = _stack([cell.bias[1:] for cell in cells], self.compute_dtype)
        # Turned around as numbers: oneDNN complains of truth values on processors without AVX-512.
        real = ops.ones_like(sequences[..., 0]) if mask is None else ops.cast(mask, self.compute_dtype)
        real = ops.transpose(ops.stack([real, ops.flip(real, axis=1)], axis=0), (2, 0, 1))[..., None]

        def step(state, given):
            given, real = given
            recurrent = ops.matmul(state, kernel) + bias
            # Split, not sliced: its gradient puts the parts together once, that of slices adds up padded ones.
            given_gates, given_new = ops.split(given, [2 * self.units], axis=-1)
            recurrent_gates, recurrent_new = ops.split(recurrent, [2 * self.units], axis=-1)
            update, reset = ops.split(ops.sigmoid(given_gates + recurrent_gates), 2, axis=-1)
            new = ops.tanh(given_new + reset * recurrent_new)
            new = new + update * (state - new)
            state = new if mask is None else ops.where(ops.greater(real, 0.5), new, state)
            return state, state

        state = ops.zeros_like(inputs[0][..., : self.units])
        if training and self.unroll:
            states = []
            for given in zip(ops.unstack(inputs, axis=0), ops.unstack(real, axis=0), strict=True):
                state, _ = step(state, given)
                states.append(state)
            states = ops.stack(states, axis=0)  # [T, 2, B, units]
        else:
            _, states = ops.scan(step, state, (inputs, real))
        merged = ops.concatenate([states[:, 0], ops.flip(states[:, 1], axis=0)], axis=-1)
        merged = ops.transpose(merged, (1, 0, 2))
        return merged if mask is None else ops.where(mask[..., None], merged, ops.zeros_like(merged))

    def compute_mask(self, *_args, **_kwargs):
        """None: a mask that went on from here would be applied by Keras to losses that know true lengths already."""
        return None

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        """`(B, T, D)` to `(B, T, 2 * units)`."""
        return (*sequences_shape[:2], 2 * self.units)

    def get_config(self):
        """Units, loop and name; the inner layers follow from them."""
        return {**keras.layers.Layer.get_config(self), "units": self.units, "unroll": self.unroll}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """As any layer; `Bidirectional` would look for inner layers."""
        return cls(**config)


def _stack(values, dtype):
    return ops.stack([ops.cast(value, dtype) for value in values])


def _project(sequences, cell):
    kernel, bias = ops.cast(cell.kernel, sequences.dtype), ops.cast(cell.bias[0], sequences.dtype)
    return ops.matmul(sequences, kernel) + bias
