"""Old files of both kinds, written by tf_keras, give in Keras 3 what they gave there."""

import numpy as np
import pytest

from tfav.errors import TfavError
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.convert_weights import load_init, load_old_weights
from tfav.systems.lipnet.model import build_model

SMALL = {"filters": (3, 4, 5), "rnn_units": 6, "crop_size": (16, 24), "num_frames": 7}


@pytest.fixture(scope="module")
def tf_keras():
    """Keras 2, where it is installed."""
    return pytest.importorskip("tf_keras")


def old_notebook(k, symbols=41):
    """The course notebook's own code, with smaller layers."""
    model = k.Sequential()
    model.add(k.layers.Conv3D(3, 3, input_shape=(7, 16, 24, 1), padding="same"))
    for filters in (4, 5, None):
        model.add(k.layers.Activation("relu"))
        model.add(k.layers.MaxPool3D((1, 2, 2)))
        if filters:
            model.add(k.layers.Conv3D(filters, 3, padding="same"))
    model.add(k.layers.TimeDistributed(k.layers.Flatten()))
    for _ in range(2):
        lstm = k.layers.LSTM(6, kernel_initializer="Orthogonal", return_sequences=True)
        model.add(k.layers.Bidirectional(lstm))
        model.add(k.layers.Dropout(0.5))
    model.add(k.layers.Dense(symbols, kernel_initializer="he_normal", activation="softmax"))
    return model


def old_paper(k):
    """An older port of LipNet: names of its own."""
    x = inputs = k.Input((7, 16, 24, 1), name="the_input")
    kernels, strides = ((3, 5, 5), (3, 5, 5), (3, 3, 3)), ((1, 2, 2), 1, 1)
    for number in range(3):
        options = {"padding": "same", "name": f"conv{number + 1}"}
        x = k.layers.Conv3D(3 + number, kernels[number], strides[number], **options)(x)
        x = k.layers.Activation("relu")(x)
        x = k.layers.MaxPool3D((1, 2, 2), name=f"max{number + 1}")(x)
        x = k.layers.SpatialDropout3D(0.5)(x)
    x = k.layers.TimeDistributed(k.layers.Flatten())(x)
    for _ in range(2):
        x = k.layers.Bidirectional(k.layers.GRU(6, return_sequences=True), merge_mode="concat")(x)
    return k.Model(inputs, k.layers.Dense(28, name="dense1")(x))


def filled(model, seed=0):
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(random.normal(0, 0.3, variable.shape))
    return model


def softmax(logits):
    exps = np.exp(logits - logits.max(-1, keepdims=True))
    return exps / exps.sum(-1, keepdims=True)


@pytest.mark.parametrize("kind", ["checkpoint", "old.h5", "old.weights.h5"])
def test_the_notebooks(tf_keras, tmp_path, kind):
    old = filled(old_notebook(tf_keras))
    path = tmp_path / kind
    old.save_weights(path, **({"save_format": "tf"} if kind == "checkpoint" else {}))
    config = Config.preset("notebook", **SMALL, init=str(path))
    model = build_model(config)
    said = load_init(model, config)
    assert len(load_old_weights(model, path).translated) == len(old.weights) == 20
    assert any("wrapping bytes" in line for line in said)
    x = np.random.default_rng(1).normal(size=(2, 7, 16, 24, 1)).astype(np.float32)
    logits = model({"frames": x, "frame_count": np.array([7, 7])})["labels"].numpy()
    np.testing.assert_allclose(softmax(logits), old(x), atol=1e-5)


@pytest.mark.parametrize("name", ["old.h5", "old.weights.h5"])
def test_an_older_port_of_lipnet(tf_keras, tmp_path, name):
    old = filled(old_paper(tf_keras))
    old.save_weights(tmp_path / name)
    config = Config.preset("paper", **SMALL)
    model = build_model(config)
    report = load_old_weights(model, tmp_path / name)
    assert len(report.translated) == len(old.weights)
    assert "conv1/kernel" in report.render() and "labels_dense" in report.render()
    x = np.random.default_rng(1).normal(size=(2, 7, 16, 24, 1)).astype(np.float32)
    logits = model({"frames": x, "frame_count": np.array([7, 7])})["labels"]
    np.testing.assert_allclose(logits, old(x), atol=1e-4)


@pytest.mark.parametrize("name", ["old.h5", "old.weights.h5"])
def test_weights_of_another_alphabet_and_model(tf_keras, tmp_path, name):
    path = tmp_path / name
    old_notebook(tf_keras, symbols=28).save_weights(path)
    with pytest.raises(TfavError, match=r"28"):
        load_old_weights(build_model(Config.preset("notebook", **SMALL)), path)
    with pytest.raises(TfavError, match="models notebook and paper"):
        load_old_weights(build_model(Config.preset("demo", **SMALL)), path)
