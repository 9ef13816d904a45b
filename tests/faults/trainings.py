"""A small training in fixed order, so that a run that was disturbed must end where an undisturbed one does."""

import sys
import time

import keras
import numpy as np
import tensorflow as tf

from tfav.training import callbacks
from tfav.training.fit import fit

EPOCHS = 40


class Slow(keras.callbacks.Callback):
    """Makes an epoch last long enough to be hit."""

    def on_train_batch_end(self, batch, logs=None):
        time.sleep(0.03)


def train(run_dir, *, epochs=EPOCHS, units=8, slow=True):
    """Trains, or goes on, and gives the history."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 4)).astype("float32"), rng.normal(size=(64, 1)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, "relu"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    schedule = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1)
    extra = [Slow()] if slow else []
    used = callbacks.standard(run_dir, monitor="val_loss", mode="min", patience=50, schedule=schedule, extra=extra)
    return fit(model, data, data, epochs=epochs, callbacks=used, run_dir=run_dir, verbose=0)


if __name__ == "__main__":
    import signal

    from tfav.cli.parsing import run

    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    options = {"epochs": 3, "units": 2000, "slow": False} if sys.argv[2:] == ["large"] else {}
    sys.exit(run(lambda: train(sys.argv[1], **options) and 0))
