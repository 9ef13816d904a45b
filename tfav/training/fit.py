"""A thin `fit` over Keras' own: it resumes, refuses to start twice, and gives the whole history."""

import re
import sys
from pathlib import Path

import keras
import tensorflow as tf

from tfav.data import tf_data_service
from tfav.data.cluster import cluster_info
from tfav.data.pipeline import bad_picture
from tfav.errors import DataError
from tfav.io.atomic_write import DiskFullError, is_disk_full, remove_partials
from tfav.io.lock import locked_folder
from tfav.training import multi_worker, run_folder
from tfav.training.callbacks import read_jsonl
from tfav.training.gradient_accumulation import accumulated_batches

# What reading shards says of those that are not what their index says.
_DAMAGE = "the index does not fit the shards|another version of shards|was expected to contain"


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    val: tf.data.Dataset | None,
    *,
    epochs: int,
    callbacks: list,
    run_dir: Path | str,
    verbose: str | int = "auto",
    accumulate: int | None = None,
) -> list[dict]:
    """Trains a compiled model into a run folder, from where it stands; the same call goes on after a kill.

    It is `model.fit(train, validation_data=val, epochs=epochs, callbacks=callbacks)` and three things around it: a lock
    on the folder, a mark when training has ended, and the history of all sessions. On several machines, which Keras'
    own `fit` cannot do, `multi_worker.fit` takes its place.

    Args:
        model: Built and compiled.
        train: Batches of one epoch.
        val: Batches to validate on after each epoch, or `None`.
        epochs: Number of epochs in total, those of earlier sessions included.
        callbacks: As from a system's `callbacks(config, run_dir)`.
        run_dir: The run folder.
        verbose: As in Keras; `"auto"` is a bar on a terminal and a line per epoch elsewhere.
        accumulate: Batches whose gradients make one step of the optimizer, their mean: a larger batch in the memory of
            a smaller one. None: what `accumulating` says, else 1.

    Returns:
        One row per epoch, as in `metrics.jsonl`.

    Raises:
        UsageError: The folder is in use, `accumulate` is below 1, or the data do not go through the data service that
            was asked for.
        DataError: A shard is damaged.
        MediaError: A picture is cut short, or cannot be decoded.
        DiskFullError: No space was left; the same call goes on when there is some.
    """
    accumulate = accumulated_batches(accumulate)
    tf_data_service.check_used()
    if verbose == "auto":
        verbose = 0 if cluster_info().index else 1 if sys.stdout.isatty() else 2
    how = {"epochs": epochs, "callbacks": callbacks, "verbose": verbose}
    with locked_folder(run_dir):
        for folder in (run_dir, Path(run_dir) / "backup"):
            remove_partials(folder, recursive=False)  # what a killed run left
        if not multi_worker.broadcast_from_chief(model, run_folder.is_finished(run_dir, epochs)):
            try:
                if multi_worker.is_needed(model, accumulate):
                    multi_worker.fit(model, train, val, accumulate=accumulate, **how)
                else:
                    if accumulate > 1:
                        # Read when the optimizer is built, which is not yet.
                        optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
                        optimizer.gradient_accumulation_steps = accumulate
                    model.fit(train, validation_data=val, shuffle=False, **how)  # the data set shuffles itself
            except Exception as error:
                if isinstance(error, tf.errors.DataLossError) or re.search(_DAMAGE, str(error)):
                    reason = " ".join(str(error).split())[:200]
                    raise DataError(f"a shard is damaged ({reason}). Find it with tfav shards verify DIR.") from error
                if (picture := bad_picture(error)) is not None:
                    raise picture from error
                if is_disk_full(error) and not isinstance(error, DiskFullError):  # TensorBoard's logs have no room
                    raise DiskFullError(run_dir) from error
                raise
            run_folder.mark_finished(run_dir, epochs)
    return read_jsonl(Path(run_dir) / "metrics.jsonl")
