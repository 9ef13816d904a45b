"""A run killed with SIGKILL goes on with the same command: same epoch count, no gap, no repeat, same memory."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tfav.errors import TfavError, UsageError
from tfav.training import callbacks
from tfav.training.callbacks import BestCheckpoint, MetricsLog, read_jsonl
from tfav.training.fit import fit
from tfav.training.resume import BackupAndRestore

SCRIPT = """
import sys, time
import keras, numpy as np, tensorflow as tf
from tfav.training import callbacks
from tfav.training.fit import fit

class Slow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.05)

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
schedule = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1)
used = callbacks.standard(sys.argv[1], monitor="val_loss", mode="min", patience=50, schedule=schedule, extra=[Slow()])
fit(model, data, data, epochs=8, callbacks=used, run_dir=sys.argv[1], verbose=0)
"""


def run_script(run_dir):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(run_dir)], env=environment, start_new_session=True)


def wait_for_epoch(run_dir, epoch, process):
    deadline = time.monotonic() + 120
    while len(read_jsonl(run_dir / "metrics.jsonl")) < epoch:
        assert process.poll() is None, "the training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_in_mid_epoch_goes_on(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run_script(undisturbed).wait() == 0
    for epoch in (2, 5):
        process = run_script(killed)
        wait_for_epoch(killed, epoch, process)
        time.sleep(0.2)  # half an epoch further
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run_script(killed).wait() == 0
    expected, got = (read_jsonl(run / "metrics.jsonl") for run in (undisturbed, killed))
    assert [row["epoch"] for row in got] == list(range(1, 9))
    # The data is in fixed order, so the resumed run must meet the undisturbed one, learning rate and all.
    for key in ("loss", "val_loss", "learning_rate"):
        np.testing.assert_allclose([row[key] for row in got], [row[key] for row in expected], rtol=1e-5)
    weights = [keras.saving.load_model(run / "best.keras").get_weights() for run in (undisturbed, killed)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert not list(killed.rglob(".partial-*"))


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def test_a_finished_run_is_left_alone(tmp_path, model):
    x = np.zeros((4, 2), "float32")
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(2)
    for _ in range(2):
        used = callbacks.standard(tmp_path, monitor=None)
        history = fit(model, data, None, epochs=2, callbacks=used, run_dir=tmp_path, verbose=0)
        assert [row["epoch"] for row in history] == [1, 2]
    model.optimizer.learning_rate = 0.5  # were it trained again, its weights would move
    before = model.get_weights()[0].copy()
    fit(model, data, None, epochs=2, callbacks=callbacks.standard(tmp_path, monitor=None), run_dir=tmp_path, verbose=0)
    assert np.array_equal(before, model.get_weights()[0])
    more = callbacks.standard(tmp_path, monitor=None)
    history = fit(model, data, None, epochs=3, callbacks=more, run_dir=tmp_path, verbose=0)
    assert [row["epoch"] for row in history] == [1, 2, 3]


def save_states(folder, model, count):
    backup = BackupAndRestore(folder)
    backup.set_model(model)
    for epoch in range(count):
        model.set_weights([np.full_like(w, epoch + 1) for w in model.get_weights()])
        backup.on_epoch_end(epoch)
    return backup


def test_two_states_are_kept_and_a_damaged_one_is_passed_over(tmp_path, model, capsys):
    backup = save_states(tmp_path, model, 3)
    assert [p.name for p in backup._states()] == ["epoch-000002", "epoch-000003"]
    newest = backup._states()[-1] / "state.weights.h5"
    newest.write_bytes(newest.read_bytes()[:200])
    backup.on_train_begin()
    assert model._initial_epoch == 2
    assert (model.get_weights()[0] == 2).all()
    assert "epoch-000003 cannot be read" in capsys.readouterr().out


def test_no_readable_state_is_an_error_and_not_a_fresh_start(tmp_path, model):
    backup = save_states(tmp_path, model, 2)
    for folder in backup._states():
        (folder / "state.json").write_text("{")
    with pytest.raises(TfavError, match="no resume state"):
        backup.on_train_begin()


def test_best_checkpoint_keeps_the_best(tmp_path, model):
    checkpoint = BestCheckpoint(tmp_path / "best.keras", "val_accuracy")
    checkpoint.set_model(model)
    for value in (0.5, 0.7, 0.6):
        model.set_weights([np.full_like(w, value) for w in model.get_weights()])
        checkpoint.on_epoch_end(0, {"val_accuracy": value})
    assert keras.saving.load_model(tmp_path / "best.keras").get_weights()[0][0, 0] == np.float32(0.7)


def test_metrics_log_replaces_a_repeated_epoch(tmp_path, model):
    log = MetricsLog(tmp_path / "m.jsonl")
    log.set_model(model)
    for epoch, loss in ((0, 3.0), (1, 2.0), (1, 1.5), (2, 1.0)):
        log.on_epoch_begin(epoch)
        log.on_epoch_end(epoch, {"loss": loss})
    rows = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(row["epoch"], row["loss"]) for row in rows] == [(1, 3.0), (2, 1.5), (3, 1.0)]


def plain_fit(model, used, epochs):
    x = np.ones((4, 2), "float32")
    return model.fit(x, x[:, :1], epochs=epochs, callbacks=used, verbose=0).epoch


def test_a_second_fit_with_the_same_callbacks_trains_on_or_says_why_not(tmp_path, model):
    used = callbacks.standard(tmp_path / "run", monitor="val_loss", mode="min", patience=5)
    assert plain_fit(model, used, 2) == [0, 1]
    before = model.get_weights()[0].copy()
    with pytest.raises(UsageError, match=r"run: trained to epoch 2 already, and fit asks for epochs=2\. Give a larger"):
        plain_fit(model, used, 2)
    assert plain_fit(model, used, 4) == [2, 3]
    assert not np.array_equal(before, model.get_weights()[0])
    assert [row["epoch"] for row in read_jsonl(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]


def test_the_same_script_again_says_that_nothing_is_left(tmp_path, model, capsys):
    for _ in range(2):
        epochs = plain_fit(model, callbacks.standard(tmp_path, monitor=None), 2)
    assert epochs == []
    assert "trained to epoch 2 already, and fit asks for epochs=2: nothing is left" in capsys.readouterr().out


def test_another_fit_begins_at_its_first_epoch(tmp_path, model):
    """Keras keeps the epoch that a callback went on from, and the next `fit` trained nothing."""
    plain_fit(model, callbacks.standard(tmp_path / "one", monitor=None), 2)
    assert plain_fit(model, callbacks.standard(tmp_path / "one", monitor=None), 3) == [2]
    assert plain_fit(model, [], 2) == [0, 1]
    assert plain_fit(model, callbacks.standard(tmp_path / "two", monitor=None), 2) == [0, 1]
