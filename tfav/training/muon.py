"""The optimizer Muon for networks with convolutions and recurrent layers; Keras' own is for plain matrices alone."""

import re
from collections.abc import Sequence

import keras
from keras import ops

# Of these cells the kernels of all gates stand side by side in one variable: a matrix each.
_GATES = {"gru_cell": 3, "lstm_cell": 4}


@keras.saving.register_keras_serializable(package="tfav")
class Muon(keras.optimizers.Muon):
    """Momentum whose every matrix is replaced by the nearest one with orthogonal columns or rows before it is applied.

    All directions of a matrix are learnt at one speed then, and not the few that gradients agree on first. A
    convolution's kernel is the matrix from all that it sees to its channels, and each gate of a recurrent layer has one
    of its own. What is no matrix (biases, scales) is left to AdamW, and so is what `exclude_layers` names: the first
    layer and the last ones, by the authors' advice.

    Args:
        learning_rate: Of the matrices. The mean square of an update's entries is `0.2 * learning_rate` squared whatever
            the shape, near to what Adam's are.
        weight_decay: Of all variables.
        exclude_layers: Regular expressions, searched for in the paths of variables.
        **kwargs: As of `keras.optimizers.Muon`, such as `adam_lr_ratio`, AdamW's learning rate as a share.

    Reference:
        Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks"; Liu et al., 2025, "Muon is
        scalable for LLM training", section 2.2, for the size of the updates.
    """

    def __init__(
        self, learning_rate=1e-3, weight_decay: float = 0.004, exclude_layers: Sequence[str] = (), **kwargs
    ) -> None:
        kwargs.setdefault("adam_weight_decay", weight_decay)
        super().__init__(learning_rate, weight_decay=weight_decay, exclude_layers=list(exclude_layers), **kwargs)

    def build(self, var_list):
        """Makes the momenta; only here are variables known by their paths."""
        self._num_gates = [_count_gates(variable) for variable in var_list]
        super().build(var_list)

    def _should_use_adamw(self, variable) -> bool:
        # The bias of Keras' GRU has two rows, one for each of its two additions.
        is_matrix = len(variable.shape) > 1 and not variable.path.endswith("bias")
        if not is_matrix or (self.exclude_embeddings and "embedding" in variable.path.lower()):
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def _muon_update_step(self, gradient, variable, lr, m):
        self.assign_add(m, ops.subtract(gradient, m * (1 - self.momentum)))
        momentum = ops.add(gradient, self.momentum * m) if self.nesterov else m
        gates = self._num_gates[self._get_variable_index(variable)]
        # [gates, everything that goes in, what comes out of one]
        matrices = ops.transpose(ops.reshape(momentum, (-1, gates, variable.shape[-1] // gates)), (1, 0, 2))
        update = self.zeropower_via_newtonschulz5(matrices, self.ns_steps)
        size = max(update.shape[1:]) ** 0.5 * self.rms_rate if self.rms_rate is not None else 1.0
        update = ops.reshape(ops.transpose(update, (1, 0, 2)), variable.shape)
        self.assign_sub(variable, lr * size * update)


def _count_gates(variable) -> int:
    return next((number for cell, number in _GATES.items() if f"/{cell}/" in f"/{variable.path}"), 1)
