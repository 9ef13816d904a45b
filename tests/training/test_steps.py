"""What training does to the weights, against a model of one number worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav import systems
from tfav.training import callbacks, multi_worker
from tfav.training.callbacks import BestCheckpoint, ExamplePredictions, ValidateAveraged, averaged_weights, read_jsonl
from tfav.training.fit import fit
from tfav.training.gradient_accumulation import accumulating
from tfav.training.learning_rate import epoch_rate, schedule_callback

RATE = 0.1


def one_number(value=0.0, **optimizer):
    """A model `y = w x` whose loss for `x = 1` and target `t` is `(w - t) ** 2`: the gradient is `2 (w - t)`."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[-1].set_weights([np.array([[value]], np.float32)])
    model.compile(keras.optimizers.SGD(RATE, **optimizer), "mse")
    return model


def weight(model):
    return float(model.get_weights()[0][0, 0])


def batches(*targets):
    """A batch of one for each target."""
    y = np.array(targets, np.float32)[:, None]
    return tf.data.Dataset.from_tensor_slices((np.ones_like(y), y)).batch(1)


@pytest.mark.parametrize("how", ["keras", "several"])
@pytest.mark.parametrize(
    ("accumulate", "expected"),
    [
        # w: 0 -> 0 + .1 * 2 * (1 - 0) = .2 -> .2 + .2 * (3 - .2) = .76 -> .76 + .2 * (5 - .76) = 1.608 -> ...
        (1, [0.2, 0.76, 1.608, 2.6864]),
        # The mean of two gradients: 2 * (0 - 2) = -4, so 0.4; then 2 * (.4 - 6) = -11.2, so 1.52.
        (2, [0.0, 0.4, 0.4, 1.52]),
        (4, [0.0, 0.0, 0.0, 0.8]),
    ],
)
def test_a_step_is_the_mean_of_the_accumulated_gradients(tmp_path, how, accumulate, expected):
    model, seen = one_number(), []
    note = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(weight(model)))
    data = batches(1.0, 3.0, 5.0, 7.0)
    if how == "keras":
        rows = fit(model, data, None, epochs=1, callbacks=[note], run_dir=tmp_path, verbose=0, accumulate=accumulate)
        assert rows == []  # no MetricsLog among the callbacks
    else:
        multi_worker.fit(model, data, None, epochs=1, callbacks=[note], verbose=0, accumulate=accumulate)
    assert seen == pytest.approx(expected, abs=1e-5)


def test_accumulating_holds_inside_its_block_alone(tmp_path):
    with accumulating(2):
        inside = one_number()
        fit(inside, batches(1.0, 3.0), None, epochs=1, callbacks=[], run_dir=tmp_path / "in", verbose=0)
    after = one_number()
    fit(after, batches(1.0, 3.0), None, epochs=1, callbacks=[], run_dir=tmp_path / "after", verbose=0)
    assert (weight(inside), weight(after)) == pytest.approx((0.4, 0.76))


def test_losses_and_validation_of_the_loop_for_several_machines():
    rows = []
    log = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: rows.append(dict(logs)))
    model = one_number()
    multi_worker.fit(model, batches(1.0, 3.0), batches(1.0, 0.0, 2.0), epochs=2, callbacks=[log], verbose=0)
    # Losses before each step: 1 and (.2 - 3)^2 = 7.84; validation with w = .76: .0576, .5776, 1.5376.
    assert rows[0]["loss"] == pytest.approx((1 + 7.84) / 2)
    assert rows[0]["val_loss"] == pytest.approx((0.0576 + 0.5776 + 1.5376) / 3, rel=1e-5)
    assert len(rows) == 2 and rows[1]["loss"] < rows[0]["loss"]


# Schedule, best checkpoint, early stop ------------------------------------------------------------------------------


def test_cosine_begins_at_its_start_and_would_be_zero_after_the_last_epoch():
    assert [epoch_rate("cosine", 0.4, epoch, 4) for epoch in range(5)] == pytest.approx(
        [0.4, 0.2 * (1 + 0.5**0.5), 0.2, 0.2 * (1 - 0.5**0.5), 0.0]
    )
    model = one_number()
    history = model.fit(batches(1.0), epochs=4, verbose=0, callbacks=[schedule_callback("cosine", 0.4, 4)]).history
    assert history["learning_rate"] == pytest.approx([0.4, 0.341421, 0.2, 0.058579], abs=1e-5)


class Scored(keras.callbacks.Callback):
    """Says a score for each epoch, whose weight is the epoch's number."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.array([[epoch]], np.float32)])
        logs[self.name] = self.values[epoch]


@pytest.mark.parametrize(
    ("mode", "values", "best", "epochs"),
    [
        ("max", [0.2, 0.5, 0.4, 0.3, 0.9], 1, 4),  # two epochs without a new best, and the fifth is never trained
        ("min", [0.9, 0.5, 0.6, 0.7, 0.1], 1, 4),
        ("max", [0.5, 0.5, 0.4], 0, 3),  # the first of equals
        ("min", [0.5, 0.4, 0.3], 2, 3),
    ],
)
def test_the_best_epoch_is_kept_and_training_stops_after_patience(tmp_path, mode, values, best, epochs):
    model = one_number()
    used = callbacks.standard(tmp_path, monitor="val_score", mode=mode, patience=2)
    rows = fit(
        model,
        batches(1.0),
        None,
        epochs=len(values),
        callbacks=[Scored("val_score", values), *used],
        run_dir=tmp_path,
        verbose=0,
    )
    assert [row["epoch"] for row in rows] == list(range(1, epochs + 1))
    assert [row["val_score"] for row in rows] == values[:epochs]
    assert weight(keras.saving.load_model(tmp_path / "best.keras")) == best


def test_without_a_metric_the_last_epoch_is_kept_and_nothing_stops(tmp_path):
    model = one_number()
    used = [Scored("val_score", [0.9, 0.1, 0.1, 0.1]), *callbacks.standard(tmp_path, monitor=None, patience=1)]
    rows = fit(model, batches(1.0), None, epochs=4, callbacks=used, run_dir=tmp_path, verbose=0)
    assert len(rows) == 4 and weight(keras.saving.load_model(tmp_path / "best.keras")) == 3


def test_patience_of_0_never_stops(tmp_path):
    used = callbacks.standard(tmp_path, monitor="val_score", patience=0)
    used = [Scored("val_score", [0.9, 0.1, 0.1, 0.1]), *used]
    rows = fit(one_number(), batches(1.0), None, epochs=4, callbacks=used, run_dir=tmp_path, verbose=0)
    assert len(rows) == 4


@pytest.mark.parametrize("system", systems.SYSTEMS)
def test_of_errors_the_lowest_is_best_and_of_accuracies_the_highest(system, tmp_path):
    module = systems.load(system)
    used = module.callbacks(module.Config.preset("demo", patience=3), tmp_path)
    watching = [c for c in used if getattr(c, "monitor", None) is not None and hasattr(c, "mode")]
    assert any(isinstance(callback, BestCheckpoint) for callback in watching)
    for callback in watching:
        if isinstance(callback, keras.callbacks.ReduceLROnPlateau):
            continue  # below
        assert callback.mode == ("max" if callback.monitor.endswith("accuracy") else "min"), callback.monitor
    names = {callback.monitor for callback in used if hasattr(callback, "monitor")}
    assert all(name.startswith("val_") for name in names)


# Averaged weights ---------------------------------------------------------------------------------------------------


@pytest.fixture
def averaging():
    """Trained for 40 steps towards 10 with an average of momentum 0.9: w is nearly there, its average lags behind."""
    model = one_number(use_ema=True, ema_momentum=0.9)
    model.fit(batches(*[10.0] * 40), verbose=0)
    own, average = 0.0, None
    for _ in range(40):
        own += RATE * 2 * (10 - own)
        average = own if average is None else 0.9 * average + 0.1 * own
    model.layers[-1].set_weights([np.array([[own]], np.float32)])  # where fit ends, Keras leaves the average in it
    return model, own, average


def test_the_average_is_in_the_model_inside_the_block_and_gone_after_it(averaging):
    model, own, average = averaging
    assert own - average > 0.05
    assert weight(model) == pytest.approx(own, abs=1e-4)
    with averaged_weights(model):
        assert weight(model) == pytest.approx(average, abs=1e-3)
    assert weight(model) == pytest.approx(own, abs=1e-4)
    with pytest.raises(RuntimeError), averaged_weights(model):
        raise RuntimeError
    assert weight(model) == pytest.approx(own, abs=1e-4)


def test_no_average_is_taken_while_it_is_mostly_what_was_before_training():
    model = one_number(use_ema=True, ema_momentum=0.9)
    model.fit(batches(*[10.0] * 29), verbose=0)  # 3 / (1 - 0.9) is 30
    own = weight(model)
    with averaged_weights(model):
        assert weight(model) == own
    plain = one_number(5.0)
    plain.fit(batches(*[5.0] * 40), verbose=0)
    with averaged_weights(plain):
        assert weight(plain) == 5


def test_validation_best_checkpoint_and_examples_see_the_average_and_training_does_not(tmp_path, averaging):
    model, own, average = averaging
    seen = []
    describe = ExamplePredictions(tmp_path / "e.jsonl", lambda m: [{"text": "w", "weight": weight(m)}])
    best = BestCheckpoint(tmp_path / "best.keras", None)
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((weight(model), logs)))
    model.optimizer.learning_rate = 0.0  # its own weight stays as it is, and the average moves towards it
    model.fit(
        batches(10.0),
        validation_data=batches(10.0),
        epochs=1,
        verbose=0,
        callbacks=[ValidateAveraged(), best, describe, note],
    )
    average = 0.9 * average + 0.1 * own
    ((after, logs),) = seen
    assert after == pytest.approx(own, abs=1e-4)
    assert logs["loss"] == pytest.approx((own - 10) ** 2, abs=1e-5)
    assert logs["val_loss"] == pytest.approx((average - 10) ** 2, rel=1e-2)
    assert weight(keras.saving.load_model(tmp_path / "best.keras")) == pytest.approx(average, abs=1e-3)
    assert read_jsonl(tmp_path / "e.jsonl")[0]["examples"][0]["weight"] == pytest.approx(average, abs=1e-3)
