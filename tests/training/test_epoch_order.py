"""A run that goes on meets the undisturbed one, where data are shuffled and augmented and layers draw: each system."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.golden import comparison
from tests.golden.recordings import machine, rows_of
from tests.training.continued import EPOCHS, SMALL, run_folder
from tfav.data import pipeline
from tfav.training import callbacks
from tfav.training.random_state import EpochDraws, layer_draws, set_layer_draws

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of the runs, and what the data sets gave: all epochs in one process, those left in another."""
    folder = tmp_path_factory.mktemp("trained")
    given = {}
    for kind in ("whole", "continued"):
        command = [sys.executable, "-m", "tests.training.continued", str(folder), kind, *SMALL]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        given[kind] = json.loads(done.stdout.splitlines()[-1])
    return folder, given


def arrays_in(path):
    """All values in a Keras file, without the classes of its system."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("system", SMALL)
def test_a_run_that_goes_on_equals_an_undisturbed_one(trained, system):
    folder, given = trained
    whole, continued = (run_folder(folder / kind, system) for kind in ("whole", "continued"))
    assert [row["epoch"] for row in rows_of(whole)] == list(range(1, EPOCHS + 1))
    assert rows_of(continued) == rows_of(whole)
    states = [sorted((run / "backup").glob("epoch-*"))[-1] / "state.json" for run in (whole, continued)]
    assert states[0].read_text() == states[1].read_text()
    models = [arrays_in(run / "best.keras") for run in (whole, continued)]
    assert models[0].keys() == models[1].keys()
    for name, values in models[0].items():
        np.testing.assert_array_equal(values, models[1][name], name)
    # The data alone: as in the undisturbed run, and not the first epoch's again.
    assert given["continued"][system]["1"] == given["whole"][system]["1"]
    assert given["whole"][system]["1"] != given["whole"][system]["0"]


@pytest.mark.parametrize("system", SMALL)
def test_histories_are_as_recorded(trained, system):
    recorded, found = comparison.read("small_histories"), rows_of(run_folder(trained[0] / "whole", system))
    exact = recorded["machine"] == machine()
    assert not comparison.differences(found, recorded["entries"][system], exact=exact)


def small_data():
    """Shuffled and augmented."""
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(size=(20, 4)).astype("float32"), "y": rng.normal(size=(20, 1)).astype("float32")}

    def add_noise(x, y, seed):
        return x + tf.random.stateless_normal(tf.shape(x), seed), y

    return pipeline.for_training(columns, lambda row: (row["x"], row["y"]), batch_size=4, augment=add_noise)


def small_model(seed):
    """With layers that draw, on the first level and below, each by a seed that Keras chooses."""
    keras.utils.set_random_seed(seed)
    hidden = keras.Sequential([keras.Input((8,)), keras.layers.Dropout(0.5), keras.layers.Dense(8, "relu")])
    layers = [keras.Input((4,)), keras.layers.Dense(8), keras.layers.GaussianNoise(0.3), hidden, keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


class Stop(keras.callbacks.Callback):
    """What a kill is, after an epoch or in the middle of one."""

    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise InterruptedError


@pytest.mark.parametrize("batches", [10, 13])  # of 5 an epoch
def test_keras_own_fit_goes_on(tmp_path, batches):
    def fit(run_dir, model, *extra, peek=False):
        train = small_data()
        if peek:
            next(iter(train))
        model.fit(train, epochs=4, verbose=0, callbacks=[*callbacks.standard(run_dir, monitor=None), *extra])
        return model

    whole = fit(tmp_path / "whole", small_model(1))
    with pytest.raises(InterruptedError):
        fit(tmp_path / "stopped", small_model(1), Stop(batches))
    continued = fit(tmp_path / "stopped", small_model(2), peek=True)  # another session: other seeds before it knows
    assert [row["epoch"] for row in rows_of(tmp_path / "stopped")] == [1, 2, 3, 4]
    for one, other in zip(rows_of(tmp_path / "whole"), rows_of(tmp_path / "stopped"), strict=True):
        assert one == pytest.approx(other, rel=1e-5)
    for one, other in zip(whole.get_weights(), continued.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_where_layers_stand_can_be_told_and_put_back():
    model, x = small_model(1), np.ones((3, 4), "float32")
    model(x, training=True)
    draws = layer_draws(model)
    assert len(draws) == 2 and draws[0] != draws[1]
    expected = [model(x, training=True).numpy() for _ in range(2)]
    assert not np.array_equal(*expected)
    another = small_model(2)
    another.set_weights(model.get_weights())
    assert not np.array_equal(another(x, training=True), expected[0])
    set_layer_draws(another, json.loads(json.dumps(draws)))
    np.testing.assert_array_equal([another(x, training=True).numpy() for _ in range(2)], expected)


def test_stages_of_one_run_draw_differently():
    train, seen = small_data(), {}
    for stage in ("audio_conv", "audio_gru", ""):
        callback = EpochDraws(stage)
        for epoch in range(2):
            callback.on_epoch_begin(epoch)
            seen[stage, epoch] = b"".join(x.numpy().tobytes() for x, _ in train)
    assert len(set(seen.values())) == 6
