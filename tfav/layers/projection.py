"""A linear projection that is fitted to data once, and then stays."""

import keras
import numpy as np
from keras import ops

_MAX_ROWS = 1200  # to compute the components from; the cost grows with its cube, what they say hardly at all


@keras.saving.register_keras_serializable(package="tfav")
class PrincipalComponents(keras.layers.Layer):
    """Standardises features and projects each of several groups of them to its first principal components.

    A few dozen videos cannot teach a layer of a million weights which of some thousand features vary together; the
    features themselves tell. The result has a mean of 0 and a mean square of 1 over what it was fitted to, group by
    group. The weights are not trainable; before `adapt` they are a random projection.

    Args:
        units: Components per group.
        groups: Number of equal parts the features are divided into, each with components of its own.
        whiten: How far the components are brought to one size: 0 leaves the first ones large, 1 makes all equal.
    """

    def __init__(self, units: int, groups: int = 1, whiten: float = 0.0, **kwargs):
        kwargs.setdefault("trainable", False)
        super().__init__(**kwargs)
        self.units = units
        self.groups = groups
        self.whiten = whiten

    def build(self, input_shape):
        """Makes the weights: `kernel` `[groups, D / groups, units]` and `bias` `[groups, units]`."""
        size, rest = divmod(input_shape[-1], self.groups)
        if rest:
            raise ValueError(f"{input_shape[-1]} features do not divide into {self.groups} groups.")
        initializer = keras.initializers.RandomNormal(stddev=size**-0.5, seed=0)
        self.kernel = self.add_weight(
            name="kernel", shape=(self.groups, size, self.units), initializer=initializer, trainable=False
        )
        self.bias = self.add_weight(name="bias", shape=(self.groups, self.units), initializer="zeros", trainable=False)

    def adapt(self, rows: np.ndarray) -> None:
        """Fits the projection.

        Args:
            rows: `[N, D]` float, the training features.

        Raises:
            ValueError: Fewer rows than components.
        """
        rows = np.asarray(rows, np.float32)
        if len(rows) < self.units:
            raise ValueError(f"{self.units} components need as many rows. Received: {len(rows)} rows")
        rows = rows[:: -(-len(rows) // _MAX_ROWS)]
        kernels, biases = zip(
            *(_fit(part, self.units, self.whiten) for part in np.split(rows, self.groups, axis=1)), strict=True
        )
        self.kernel.assign(np.stack(kernels))
        self.bias.assign(np.stack(biases))

    def call(self, features):
        """`[..., D]` to `[..., groups * units]`."""
        shape = ops.shape(features)
        parts = ops.reshape(features, (-1, self.groups, self.kernel.shape[1]))
        kernel, bias = ops.cast(self.kernel, self.compute_dtype), ops.cast(self.bias, self.compute_dtype)
        projected = ops.einsum("ngd,gdu->ngu", parts, kernel) + bias
        return ops.reshape(projected, (*shape[:-1], self.groups * self.units))

    def compute_output_shape(self, input_shape):
        """`(..., D) -> (..., groups * units)`."""
        return (*input_shape[:-1], self.groups * self.units)

    def get_config(self):
        """Sizes; the fit is in the weights."""
        return {**super().get_config(), "units": self.units, "groups": self.groups, "whiten": self.whiten}


def _fit(rows: np.ndarray, units: int, whiten: float) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = rows.mean(0), rows.std(0)
    # A feature that hardly ever fires would be blown up to the size of the others: a tenth of the usual scale is added.
    scale = deviation + 0.1 * deviation.mean() + 1e-6
    standard = (rows - mean) / scale
    # There are fewer rows than features, so the small Gram matrix is decomposed instead of the covariance.
    values, vectors = np.linalg.eigh(standard @ standard.T)
    values, vectors = values[::-1][:units], vectors[:, ::-1][:, :units]
    kernel = standard.T @ (vectors / np.sqrt(np.maximum(values, 1e-6)))
    kernel /= (standard @ kernel).std(0) ** whiten + 1e-6
    kernel /= np.sqrt(np.mean((standard @ kernel) ** 2)) + 1e-6
    kernel /= scale[:, None]
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)
