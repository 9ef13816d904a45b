"""Muon: which variables are matrices to it, what it makes of their gradients, and that it trains and is stored."""

import keras
import numpy as np
import pytest
from keras import layers

from tfav.training import Muon

RATE = 0.1


def step(shape, path, gradient=None, **options):
    """What one update takes off a variable, and its gradient."""
    variable = keras.Variable(np.zeros(shape, "float32"), name=path.rpartition("/")[2])
    variable._path = path
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32") if gradient is None else gradient
    optimizer = Muon(RATE, weight_decay=None, **options)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    return -keras.ops.convert_to_numpy(variable), gradient


def nearest_orthogonal(matrix):
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return left @ right


@pytest.mark.parametrize("step_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(20, 6), (6, 20), (5, 4, 6), (3, 3, 8, 16)])
def test_update_of_a_matrix_is_nearly_orthogonal(shape, step_dtype):
    update, gradient = step(shape, "dense/kernel", step_dtype=step_dtype)
    matrix = update.reshape(-1, shape[-1]) / (RATE * 0.2 * max(np.prod(shape[:-1]), shape[-1]) ** 0.5)
    values = np.linalg.svd(matrix)[1]
    assert values.min() > 0.6 and values.max() < 1.25  # five steps of Newton and Schulz come so near
    wanted = nearest_orthogonal(gradient.reshape(-1, shape[-1]))
    assert (matrix * wanted).sum() / np.linalg.norm(matrix) / np.linalg.norm(wanted) > 0.97
    exact, _ = step(shape, "dense/kernel")
    assert np.array_equal(update, exact) == (step_dtype == "float32")
    assert np.sqrt(np.mean(update**2)) == pytest.approx(RATE * 0.2, rel=0.12 if step_dtype == "float32" else 0.15)


@pytest.mark.parametrize(("cell", "gates"), [("gru_cell", 3), ("lstm_cell", 4)])
def test_gates_are_matrices_of_their_own(cell, gates):
    gradient = np.random.default_rng(1).normal(size=(10, 5 * gates)).astype("float32")
    gradient[:, :5] *= 1000  # beside it nothing else would move
    joint, _ = step(gradient.shape, f"rnn/{cell}/kernel", gradient)
    for gate in range(gates):
        columns = slice(5 * gate, 5 * gate + 5)
        alone, _ = step((10, 5), "dense/kernel", gradient[:, columns])
        np.testing.assert_allclose(joint[:, columns], alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ((6,), "norm/gamma"),
        ((2, 9), "rnn/gru_cell/bias"),
        ((4, 5), "words/kernel"),
        ((7, 3), "embedding/embeddings"),
    ],
)
def test_all_else_is_adamws(shape, path):
    update, gradient = step(shape, path, adam_lr_ratio=0.5, exclude_layers=["^words/"])
    np.testing.assert_allclose(update, RATE * 0.5 * np.sign(gradient), rtol=1e-3)  # Adam's first step
    assert path != "words/kernel" or not np.allclose(step(shape, path)[0], update)  # a matrix unless excluded


def test_it_trains_a_model_that_is_stored_with_it(tmp_path):
    inputs = keras.Input((12, 8))
    x = layers.GRU(16)(layers.Conv1D(16, 3, name="conv1")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(x))
    options = {"adam_lr_ratio": 0.5, "use_ema": True, "ema_momentum": 0.9}
    optimizer = Muon(0.01, exclude_layers=["^conv1/", "^last/"], **options)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    clips = np.random.default_rng(0).normal(size=(128, 12, 8)).astype("float32")
    targets = (clips[:, :6].mean(axis=(1, 2)) > clips[:, 6:].mean(axis=(1, 2))).astype(int)
    losses = model.fit(clips, targets, epochs=12, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, Muon) and again.optimizer.get_config() == model.optimizer.get_config()
    histories = [m.fit(clips, targets, epochs=1, batch_size=128, verbose=0).history["loss"] for m in (model, again)]
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    for one, other in zip(model.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def steps(shape, path, gradients, **options):
    """The variable after several updates, from 1."""
    variable = keras.Variable(np.ones(shape, "float32"), name=path.rpartition("/")[2])
    variable._path = path
    optimizer = Muon(RATE, **options)
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("decay", [None, 0.1])
def test_momentum_and_decay_of_a_matrix_over_several_updates(nesterov, decay):
    """In NumPy, with the quintic iteration of the paper; gradients of which the older ones still count."""
    gradients = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    found = steps((6, 3), "dense/kernel", gradients, weight_decay=decay, nesterov=nesterov, momentum=0.8)
    value, momentum = np.ones((6, 3)), np.zeros((6, 3))
    for gradient in gradients:
        value *= 1 - RATE * (decay or 0)
        momentum = 0.8 * momentum + gradient
        step = gradient + 0.8 * momentum if nesterov else momentum
        x = step.T / np.linalg.norm(step)
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        value = value - RATE * 0.2 * 6**0.5 * x.T
    np.testing.assert_allclose(found, value, atol=2e-4)
    other = steps((6, 3), "dense/kernel", gradients, weight_decay=decay, nesterov=nesterov, momentum=0.5)
    assert np.abs(other - found).max() > 1e-2


def test_the_rest_moves_as_with_keras_adamw():
    """The peer: Keras' own AdamW, at the share of the rate."""
    gradients = np.random.default_rng(1).normal(size=(5, 7)).astype("float32")
    found = steps((7,), "norm/gamma", gradients, weight_decay=0.05, adam_lr_ratio=0.5)
    variable = keras.Variable(np.ones(7, "float32"), name="gamma")
    peer = keras.optimizers.Adam(0.5 * RATE)
    peer.build([variable])
    for gradient in gradients:
        variable.assign(variable * (1 - RATE * 0.05))  # the decay goes by the whole rate
        peer.apply([keras.ops.convert_to_tensor(gradient)])
    np.testing.assert_allclose(found, variable, atol=1e-5)
    betas = steps((7,), "norm/gamma", gradients, weight_decay=None, adam_beta_1=0.5, adam_beta_2=0.9, epsilon=0.1)
    variable.assign(np.ones(7))
    peer = keras.optimizers.Adam(RATE, beta_1=0.5, beta_2=0.9, epsilon=0.1)
    peer.build([variable])
    for gradient in gradients:
        peer.apply([keras.ops.convert_to_tensor(gradient)])
    np.testing.assert_allclose(betas, variable, atol=1e-5)


def test_embeddings_are_matrices_where_they_are_not_left_out():
    gradient = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")
    kept, _ = step((7, 3), "embedding/embeddings", gradient)
    made, _ = step((7, 3), "embedding/embeddings", gradient, exclude_embeddings=False)
    matrix, _ = step((7, 3), "dense/kernel", gradient)
    np.testing.assert_allclose(made, matrix, atol=1e-6)
    assert np.abs(kept - made).max() > 0.01
