"""What the processes of test_multi_worker.py run: small trainings, each by a name, whose histories are printed."""

import json
import sys
from pathlib import Path

import numpy as np

from tfav import training

DEVICES = "cpu:2" if sys.argv[2] in ("mirrored", "goes_on") else "cpu"
training.prepare_devices(DEVICES)  # before anything else: the servers of several machines come up with TensorFlow

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfav.data import pipeline  # noqa: E402
from tfav.training import callbacks  # noqa: E402
from tfav.training.learning_rate import schedule_callback  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 4)).astype("float32"), np.eye(3, dtype="float32")[RNG.integers(0, 3, 50)]


def load(row):
    """A row as input and target."""
    return row["x"], row["y"]


def add_noise(x, y, seed):
    """An augmentation whose draw matters."""
    return x + 0.3 * tf.random.stateless_normal(tf.shape(x), seed), y


def small_model(optimizer="adam"):
    """A model in which every example counts alike, so that a batch may be divided."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    model.compile(optimizer, keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model


class Sees(keras.callbacks.Callback):
    """Lets callbacks predict, as those of the systems do."""

    def on_epoch_end(self, epoch, logs=None):
        # Keras' own gives each of several devices the whole batch.
        assert self.model.predict_on_batch(X[:2]).shape[1] == 3


def train(run_dir, name, *, epochs=3, accumulate=1, precision="float32", shuffled=True, extra=()):
    """Trains into its own folder, and gives the history without the seconds."""
    run_dir = training.own_folder(Path(run_dir, name))
    columns, val = {"x": X[:40], "y": Y[:40]}, {"x": X[40:49], "y": Y[40:49]}
    keras.utils.set_random_seed(3)
    if shuffled:
        train_set = pipeline.for_training(columns, load, batch_size=8, augment=add_noise, seed=5)
    else:
        train_set = pipeline.for_evaluation(columns, load, batch_size=8)
    val_set = pipeline.for_evaluation(val, load, batch_size=4)  # three batches, the last one of one
    with training.strategy(DEVICES), training.mixed_precision(precision):
        # No clipnorm: Keras cuts each device's gradients before it adds them up, which is not what one device does.
        optimizer = keras.optimizers.AdamW(0.02, weight_decay=0.01, use_ema=True, ema_momentum=0.8)
        model = small_model(optimizer)
    used = callbacks.standard(
        run_dir,
        monitor="val_accuracy",
        patience=50,
        schedule=schedule_callback("cosine", 0.02, 20),
        extra=[callbacks.ValidateAveraged(), Sees(), *extra],
    )
    rows = training.fit(
        model, train_set, val_set, epochs=epochs, callbacks=used, run_dir=run_dir, verbose=0, accumulate=accumulate
    )
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def try_keras_fit():
    """What Keras' own fit does on several machines: its error's name, or nothing."""
    with training.strategy("cpu"):
        model = small_model()
    data = pipeline.for_evaluation({"x": X[:40], "y": Y[:40]}, load, batch_size=8)
    try:
        model.fit(data, validation_data=data, epochs=1, verbose=0)
    except Exception as error:
        return type(error).__name__
    return ""


class Dawdle(keras.callbacks.Callback):
    """Gives the test time to kill."""

    def on_train_batch_end(self, batch, logs=None):
        import time

        time.sleep(0.1)


class Stop(keras.callbacks.Callback):
    """Ends a training in the middle of its third epoch, as a kill would."""

    def __init__(self):
        super().__init__()
        self.left = 13  # batches; an epoch has five

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left < 0:
            raise InterruptedError


def go_on(run_dir, name):
    """The histories of a training on two devices, undisturbed, and stopped and gone on."""
    how = {"epochs": 4, "accumulate": 2 if name == "accumulated" else 1}
    whole = train(run_dir, f"{name}-whole", **how)
    try:
        train(run_dir, f"{name}-stopped", **how, extra=[Stop()])
    except InterruptedError:
        return [whole, train(run_dir, f"{name}-stopped", **how)]
    return []


def main():
    """Runs the trainings of a test."""
    run_dir, what = sys.argv[1:3]
    if what == "long":
        print(json.dumps(train(run_dir, "long", epochs=8, extra=[Dawdle()])), flush=True)
        return
    if what == "goes_on":
        print(json.dumps({name: go_on(run_dir, name) for name in ("fit", "accumulated")}), flush=True)
        return
    if what == "mirrored":
        print(json.dumps(train(run_dir, "mirrored", accumulate=2, epochs=2, shuffled=False)), flush=True)
        return
    if what == "deterministic":
        training.be_deterministic()
        print(json.dumps(train(run_dir, "deterministic", precision="mixed_bfloat16")), flush=True)
        return
    told = {
        "plain": train(run_dir, "plain"),
        "accumulated": train(run_dir, "accumulated", accumulate=2, epochs=2, shuffled=False),
        "bfloat16": train(run_dir, "bfloat16", precision="mixed_bfloat16", epochs=2, shuffled=False),
    }
    print(json.dumps(told), flush=True)
    if what == "fit":
        print(json.dumps(try_keras_fit()), flush=True)


if __name__ == "__main__":
    main()
