"""What callbacks go by: NaN is never better, and without validation they go by training and say so."""

import keras
import numpy as np
import pytest

from tfav.training import callbacks as training_callbacks
from tfav.training.best_checkpoint import BestCheckpoint
from tfav.training.early_stopping import EarlyStopping, ReduceLROnPlateau

NAN = float("nan")


def model_of(weight=0.0, metrics=("accuracy",)):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def saved_epochs(tmp_path, values, mode, monitor="val_x", names=None):
    """The epochs, counted from 0, after which `best.keras` was written."""
    model = model_of()
    callback = BestCheckpoint(tmp_path / "best.keras", monitor, mode)
    callback.set_model(model)
    written, before = [], None
    for epoch, value in enumerate(values):
        model.layers[0].bias.assign([epoch, 0.0])  # so that each state is another one
        logs = {"loss": 1.0} if value is None else {(names or {}).get(epoch, monitor): value, "loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        bias = None
        if callback.path.exists():
            bias = float(np.array(keras.models.load_model(callback.path).layers[0].bias)[0])
        written += [epoch] if bias != before else []
        before = bias
    return written


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("max", [0.5, NAN, 0.4, 0.3, 0.6], [0, 4]),
        ("min", [0.5, NAN, 0.6, NAN, 0.4], [0, 4]),
        ("max", [NAN, NAN, 0.1, NAN, 0.2], [0, 2, 4]),  # the first one: better than no model at all
        ("min", [float("inf"), 3.0, 4.0], [0, 1]),
        ("max", [0.5, 0.5], [0]),
    ],
)
def test_nan_is_never_better(mode, values, expected, tmp_path, capsys):
    assert saved_epochs(tmp_path, values, mode) == expected
    said = capsys.readouterr().out
    assert said.count("is NaN in epoch") == sum(np.isnan(values)) - int(np.isnan(values[0]))


def test_a_best_of_nan_from_an_older_state_is_forgotten(tmp_path):
    callback = BestCheckpoint(tmp_path / "best.keras", "val_x", "min")
    callback.set_model(model_of())
    callback.best = NAN
    callback.on_epoch_end(0, {"val_x": 1.0})
    assert callback.best == 1.0 and callback.path.exists()


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_early_stop_waits_on_nan_and_goes_on_from_it(mode):
    callback = EarlyStopping("val_x", mode=mode, patience=2)
    model = model_of()
    model.stop_training = False
    callback.set_model(model)
    callback.on_train_begin()
    sign = 1 if mode == "max" else -1
    for epoch, value in enumerate([NAN, sign * 1.0, sign * 2.0, NAN]):
        callback.on_epoch_end(epoch, {"val_x": value})
        assert not model.stop_training, epoch
    callback.on_epoch_end(4, {"val_x": NAN})
    assert model.stop_training and callback.best == sign * 2.0


def test_the_rate_falls_on_nan_and_not_on_what_gets_better():
    model = model_of()
    callback = ReduceLROnPlateau("val_loss", patience=2)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate([NAN, 3.0, 2.0, NAN]):
        logs = {"val_loss": value}
        callback.on_epoch_end(epoch, logs)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
        assert logs["val_loss"] is value and "learning_rate" in logs
    callback.on_epoch_end(4, {"val_loss": NAN})
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


DATA = {"x": np.arange(8.0)[:, None], "y": np.array([0, 1] * 4)}


def test_fit_without_validation_keeps_the_best_of_training_and_says_so(tmp_path, capsys):
    callbacks = training_callbacks.standard(tmp_path, monitor="val_accuracy", patience=3)
    model_of().fit(**DATA, epochs=2, verbose=0, callbacks=callbacks)
    said = capsys.readouterr().out
    assert (tmp_path / "best.keras").exists()
    for what in ("the best model goes by accuracy of the training part", "the early stop goes by accuracy of"):
        assert said.count(what) == 1
    assert "validation_data" in said and "KeyError" not in said


def test_a_model_compiled_without_the_metric_keeps_the_last_epoch(tmp_path, capsys):
    callbacks = training_callbacks.standard(tmp_path, monitor="val_accuracy", patience=1)
    model_of(metrics=()).fit(**DATA, epochs=3, verbose=0, callbacks=callbacks)
    assert (tmp_path / "best.keras").exists() and "the last epoch counts" in capsys.readouterr().out
    assert len(training_callbacks.read_jsonl(tmp_path / "metrics.jsonl")) == 3, "nothing stopped it"


def test_epochs_between_validations_are_passed_over(tmp_path, capsys):
    """With `validation_freq=2` the first epoch has no validation, and the third has none again."""
    values = [0.99, 0.5, None, 0.4, None, 0.6]
    assert saved_epochs(tmp_path, values, "max", monitor="val_x", names={0: "x"}) == [0, 1, 5]
    assert capsys.readouterr().out.count("warning") == 1


def test_a_later_fit_without_validation_says_that_the_best_model_is_of_before(tmp_path, capsys):
    callbacks = training_callbacks.standard(tmp_path, monitor="val_accuracy")
    model, val = model_of(), (DATA["x"], DATA["y"])
    model.fit(**DATA, validation_data=val, epochs=1, verbose=0, callbacks=callbacks)
    model.fit(**DATA, validation_data=val, epochs=3, validation_freq=2, verbose=0, callbacks=callbacks)
    assert "warning" not in capsys.readouterr().out
    model.fit(**DATA, epochs=4, verbose=0, callbacks=callbacks)
    assert capsys.readouterr().out.count("best.keras is still the best model of before") == 1
