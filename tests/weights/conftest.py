"""The reference: tf_keras writes files, and says what they give."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tf_keras():
    """Keras 2, where it is installed."""
    return pytest.importorskip("tf_keras")


@pytest.fixture
def small(tmp_path):
    """A sound Keras 1 file of one Dense layer, to be spoilt."""
    from tests.weights.keras_h5.test_keras1 import dense, named, rand, write_keras1

    return write_keras1(
        tmp_path / "small.h5",
        "Sequential",
        [dense("dense_1", 4, batch_input_shape=[None, 3])],
        {"dense_1": named("dense_1", W=rand(3, 4), b=rand(4))},
    )


@pytest.fixture
def write_h5(tmp_path):
    """A function that fills a tf_keras model with random weights and saves it; returns the path."""

    def write(model, name="model.h5", seed=0):
        return fill_and_save(model, tmp_path / name, seed)

    return write


def fill_and_save(model, path, seed=0):
    """Fills a tf_keras model with random weights and writes it as whole-model HDF5; returns the path."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype.is_floating:
            variable.assign(0.05 + 0.4 * random.random(variable.shape))
            if "moving_variance" not in variable.name and "variance" not in variable.name:
                variable.assign(random.normal(0, 0.4, variable.shape))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # Normalization keeps a copy of its statistics
    model.save(path, save_format="h5")
    return path
