"""Between backbone and head: features and how much they change, projected to a few hundred numbers per frame.

Fitted to the training part once, like the scaling of inputs, and frozen: the head then trains on small tensors, and a
few dozen videos need not teach it which of some thousand features vary together.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from tfav.systems.cnn_lstm import feature_cache
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.model import feature_size

_CHANGE_STEPS = 3  # of the model's frames: half a second in a clip of four
_WHITEN = 0.5
_MAX_VIDEOS = 256  # to fit to; more say nothing new
_MAX_ROWS = 1200  # to compute the components from; the cost grows with its cube, what they say hardly at all


def build_pca(config: Config) -> keras.Model:
    """`features` `[B, T, D]` and `mask` `[B, T]` to `[B, T, head_size]` float32; zeros where frames are padded."""
    x = values = layers.Input((config.num_frames, feature_size(config)), name="features")
    mask = layers.Input((config.num_frames,), name="mask")
    change = AbsoluteDifference(_CHANGE_STEPS, name="change")(x, mask)
    x = layers.Concatenate(name="with_change")([x, change])
    # Each view and each view's change has components of its own: their scales have nothing to do with one another.
    groups = 2 * len(config.views)
    x = PrincipalComponents(config.pca_components, groups=groups, whiten=_WHITEN, name="projection")(x)
    x = x * ops.expand_dims(mask, -1)
    return keras.Model({"features": values, "mask": mask}, x, name="pca")


def fit_pca(config: Config, files: Sequence[Path]) -> keras.Model:
    """A projection fitted to the features of the training part.

    Args:
        config: Names the number of components.
        files: Feature files of the training part.
    """
    pca = build_pca(config)
    before = keras.Model(pca.inputs, pca.get_layer("with_change").output)
    rows = []
    for file in files[:: -(-len(files) // _MAX_VIDEOS)]:
        both, mask = feature_cache.read_file(file, config)
        out = before.predict_on_batch({"features": both, "mask": mask})
        rows.append(out[mask > 0])
    pca.get_layer("projection").adapt(np.concatenate(rows))
    pca.trainable = False
    return pca


@keras.saving.register_keras_serializable(package="tfav")
class AbsoluteDifference(keras.layers.Layer):
    """How much each feature has changed since `steps` steps ago: `|x[t] - x[t - steps]|`.

    The first steps, which have nothing before them, repeat the first change there is.

    Args:
        steps: How far to look back.
    """

    def __init__(self, steps: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def call(self, features, mask_of_steps):
        """`[B, T, D]` and `[B, T]` to `[B, T, D]`; a change from or to a padded step counts as none."""
        change = ops.abs(features[:, self.steps :] - features[:, : -self.steps])
        real = ops.cast(mask_of_steps, change.dtype)
        change = change * (real[:, self.steps :] * real[:, : -self.steps])[:, :, None]
        return ops.concatenate([ops.repeat(change[:, :1], self.steps, axis=1), change], axis=1)

    def get_config(self):
        """How far to look back."""
        return {**super().get_config(), "steps": self.steps}


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
