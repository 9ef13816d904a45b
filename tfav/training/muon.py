"""The optimizer Muon for networks with convolutions and recurrent layers; Keras' own is for plain matrices alone.

It stands on Keras' `Optimizer`, not on Keras' `Muon`, whose arguments and defaults differ between 3.10 and 3.15.
"""

import re
from collections.abc import Sequence
from typing import Literal

import keras
from keras import ops

from tfav import keras_private

# Of these cells the kernels of all gates stand side by side in one variable: a matrix each.
_GATES = {"gru_cell": 3, "lstm_cell": 4}
# The quintic of Jordan et al.: steepest at zero, so that five steps bring all singular values near to one.
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


@keras.saving.register_keras_serializable(package="tfav")
class Muon(keras.optimizers.Optimizer):
    """Momentum whose every matrix is replaced by the nearest one with orthogonal columns or rows before it is applied.

    All directions of a matrix are learnt at one speed then, and not the few that gradients agree on first. A
    convolution's kernel is the matrix from all that it sees to its channels, and each gate of a recurrent layer has one
    of its own. What is no matrix (biases, scales) is left to AdamW, and so are embeddings and what `exclude_layers`
    names: the first layer and the last ones, by the authors' advice.

    Args:
        learning_rate: Of the matrices. The mean square of an update's entries is `0.2 * learning_rate` squared whatever
            the shape, near to what Adam's are.
        weight_decay: Of all variables.
        exclude_layers: Regular expressions, searched for in the paths of variables.
        exclude_embeddings: Leave variables with "embedding" in their path to AdamW.
        adam_lr_ratio: AdamW's learning rate as a share of `learning_rate`.
        adam_beta_1: Decay of AdamW's mean of gradients.
        adam_beta_2: Decay of AdamW's mean of squared gradients.
        epsilon: Added to AdamW's divisor.
        momentum: Decay of the matrices' sum of gradients.
        nesterov: Look one step of momentum ahead.
        num_steps: Steps of Newton and Schulz towards the orthogonal matrix.
        step_dtype: Of these steps: `float32`, or `bfloat16`, which is enough for them and much faster where the machine
            multiplies matrices so.
        **kwargs: As of every Keras optimizer, such as `use_ema` and `clipnorm`.

    Example:
        >>> model.compile(tfav.training.Muon(1e-3, exclude_layers=["^conv1/", "^characters/"]), loss)

    Reference:
        Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks"; Liu et al., 2025, "Muon is
        scalable for LLM training", section 2.2, for the size of the updates.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] = (),
        exclude_embeddings: bool = True,
        adam_lr_ratio: float = 1.0,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        epsilon: float = 1e-7,
        momentum: float = 0.95,
        nesterov: bool = True,
        num_steps: int = 5,
        step_dtype: Literal["float32", "bfloat16"] = "float32",
        **kwargs,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.exclude_layers = list(exclude_layers)
        self.exclude_embeddings = exclude_embeddings
        self.adam_lr_ratio = adam_lr_ratio
        self.adam_beta_1, self.adam_beta_2, self.epsilon = adam_beta_1, adam_beta_2, epsilon
        self.momentum, self.nesterov, self.num_steps = momentum, nesterov, num_steps
        self.step_dtype = step_dtype

    def build(self, variables):
        """Makes the momenta; only here are variables known by their paths."""
        if self.built:
            return
        super().build(variables)
        self._num_gates = [_count_gates(variable) for variable in variables]
        self._momentums, self._velocities = [], []
        for variable in variables:
            self._momentums.append(self.add_variable_from_reference(variable, name="momentum"))
            velocity = (
                None if self._is_matrix(variable) else self.add_variable_from_reference(variable, name="velocity")
            )
            self._velocities.append(velocity)

    def _is_matrix(self, variable) -> bool:
        # The bias of Keras' GRU has two rows, one for each of its two additions.
        if len(variable.shape) < 2 or variable.path.endswith("bias"):
            return False
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return False
        return not any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def update_step(self, gradient, variable, learning_rate):
        """Applies one gradient to its variable."""
        index = keras_private.variable_index(self, variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if velocity is None:
            self._update_matrix(gradient, variable, rate, momentum, self._num_gates[index])
        else:
            self._update_by_adam(gradient, variable, rate * self.adam_lr_ratio, momentum, velocity)

    def _update_matrix(self, gradient, variable, rate, momentum, gates: int) -> None:
        self.assign_add(momentum, ops.subtract(gradient, momentum * (1 - self.momentum)))
        step = ops.add(gradient, self.momentum * momentum) if self.nesterov else momentum
        # [gates, everything that goes in, what comes out of one]
        matrices = ops.transpose(ops.reshape(step, (-1, gates, variable.shape[-1] // gates)), (1, 0, 2))
        update = ops.cast(_orthogonal(matrices, self.num_steps, self.step_dtype), variable.dtype)
        size = max(update.shape[1:]) ** 0.5 * 0.2
        self.assign_sub(variable, rate * size * ops.reshape(ops.transpose(update, (1, 0, 2)), variable.shape))

    def _update_by_adam(self, gradient, variable, rate, mean, velocity) -> None:
        step = ops.cast(self.iterations + 1, variable.dtype)
        correction_1 = 1 - ops.power(ops.cast(self.adam_beta_1, variable.dtype), step)
        correction_2 = 1 - ops.power(ops.cast(self.adam_beta_2, variable.dtype), step)
        self.assign_add(mean, (gradient - mean) * (1 - self.adam_beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.adam_beta_2))
        rate = rate * ops.sqrt(correction_2) / correction_1
        self.assign_sub(variable, mean * rate / (ops.sqrt(velocity) + self.epsilon))

    def get_config(self):
        """The arguments."""
        own = ("exclude_layers", "exclude_embeddings", "adam_lr_ratio", "adam_beta_1", "adam_beta_2", "epsilon")
        own += ("momentum", "nesterov", "num_steps", "step_dtype")
        return super().get_config() | {name: getattr(self, name) for name in own}


def _orthogonal(matrices, num_steps: int, dtype: str):
    """The nearest matrices with orthogonal columns or rows, `[N, rows, columns]`, by Newton and Schulz."""
    a, b, c = _NEWTON_SCHULZ
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = ops.transpose(matrices, (0, 2, 1)) if is_tall else matrices
    x = ops.cast(x / (ops.norm(x, axis=(-2, -1), keepdims=True) + 1e-7), dtype)  # singular values of at most one
    for _ in range(num_steps):
        square = x @ ops.transpose(x, (0, 2, 1))
        x = a * x + (b * square + c * square @ square) @ x
    return ops.transpose(x, (0, 2, 1)) if is_tall else x


def _count_gates(variable) -> int:
    return next((number for cell, number in _GATES.items() if f"/{cell}/" in f"/{variable.path}"), 1)
