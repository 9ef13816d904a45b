"""Keras' `ConvLSTM2D` with the same weights and numbers, its training step several times as quick on a CPU."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfav")
class ConvLSTM2D(keras.layers.ConvLSTM2D):
    """Takes the input's convolution over all frames at once, and one recurrent convolution a step for all four gates.

    Keras' layer takes eight convolutions a step, one per gate for input and state, in a while loop. Whatever this layer
    does not know (dropout, strides, masks, states given, a number of frames that is not fixed) it leaves to Keras.
    """

    def call(self, sequences, initial_state=None, mask=None, training=False):
        """`[B, T, H, W, C]` to `[B, T, H, W, filters]`, or the last frame's; as Keras."""
        cell = self.cell
        is_known = (
            sequences.shape[1] is not None
            and initial_state is None
            and mask is None
            and not (self.stateful or self.return_state or self.go_backwards)
            and not (cell.dropout or cell.recurrent_dropout)
            and cell.padding == "same"
            and cell.data_format == "channels_last"
            and set(cell.strides + cell.dilation_rate) == {1}
        )
        if not is_known:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        length, place = sequences.shape[1], sequences.shape[2:4]
        entered = ops.conv(ops.reshape(sequences, (-1, *sequences.shape[2:])), cell.kernel, padding="same")
        if cell.use_bias:
            entered = entered + cell.bias
        entered = ops.reshape(entered, (-1, length, *place, 4 * cell.filters))
        output = memory = None
        outputs = []
        for number in range(length):
            gates = entered[:, number]
            if number:  # before the first frame the state is zero
                gates = gates + ops.conv(output, cell.recurrent_kernel, padding="same")
            enter, forget, value, leave = ops.split(gates, 4, axis=-1)  # Keras' order
            new = cell.recurrent_activation(enter) * cell.activation(value)
            memory = cell.recurrent_activation(forget) * memory + new if number else new
            output = cell.recurrent_activation(leave) * cell.activation(memory)
            outputs.append(output)
        return ops.stack(outputs, axis=1) if self.return_sequences else output
