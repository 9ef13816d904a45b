"""A thin `fit` over Keras' own: it resumes, refuses to start twice, and gives the whole history."""

import sys
from pathlib import Path

import keras
import tensorflow as tf

from tfav.io.lock import locked_folder
from tfav.training import run
from tfav.training.callbacks import read_jsonl


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    val: tf.data.Dataset | None,
    *,
    epochs: int,
    callbacks: list,
    run_dir: Path | str,
    verbose: str | int = "auto",
) -> list[dict]:
    """Trains a compiled model into a run folder, from where it stands; the same call goes on after a kill.

    It is `model.fit(train, validation_data=val, epochs=epochs, callbacks=callbacks)` and three things around it: a lock
    on the folder, a mark when training has ended, and the history of all sessions.

    Args:
        model: Built and compiled.
        train: Batches of one epoch.
        val: Batches to validate on after each epoch, or `None`.
        epochs: Number of epochs in total, those of earlier sessions included.
        callbacks: As from a system's `callbacks(config, run_dir)`.
        run_dir: The run folder.
        verbose: As in Keras; `"auto"` is a bar on a terminal and a line per epoch elsewhere.

    Returns:
        One row per epoch, as in `metrics.jsonl`.
    """
    if verbose == "auto":
        verbose = 1 if sys.stdout.isatty() else 2
    with locked_folder(run_dir):
        if not run.is_finished(run_dir, epochs):
            # The data set shuffles itself.
            model.fit(train, validation_data=val, epochs=epochs, callbacks=callbacks, verbose=verbose, shuffle=False)
            run.mark_finished(run_dir, epochs)
    return read_jsonl(Path(run_dir) / "metrics.jsonl")
