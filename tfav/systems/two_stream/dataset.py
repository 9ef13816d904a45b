"""Data sets for `model.fit`: samples of one stream, or the features of both for the recurrent fusion.

How the data lies on disk and how samples are drawn is in `samples`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import pipeline
from tfav.data.class_folders import Example
from tfav.data.classification import check_class_count, make_split
from tfav.systems.two_stream import sampling, stream_features
from tfav.systems.two_stream.config import Config


class Datasets(NamedTuple):
    """Batches of `(sample or features, one-hot [B, num_classes])`; `None` where a part is empty."""

    train: tf.data.Dataset
    val: tf.data.Dataset | None
    test: tf.data.Dataset | None


def build_datasets(config: Config) -> Datasets:
    """Training, validation and test data of `config.data_dir` for the stream (or fusion) that `config` describes.

    Returns:
        Three `tf.data.Dataset`s of `(input, target)`: input `[B, S, S, 3]` or `[B, S, S, 2 L]` float32, 0-1 (for the
        fusion `[B, samples_per_video, D]` features), target one-hot `[B, num_classes]` float32. Training is shuffled
        and augmented; in the others row `i` of the samples comes in order, `samples_per_video` of each video.

    Raises:
        UsageError: The folder is not there, or has another number of classes than `num_classes`.
        DataError: The data set cannot be used as it stands, videos of fewer than L + 1 frames included.
    """
    found = sampling.find_examples(config)
    labels = check_class_count(found.labels, config)
    split = make_split(found.examples, config)
    opened = None  # of a fusion the streams say what they need
    if config.stream != "fusion":
        opened = sampling.open_pictures(config, [example for part in split for example in part]).check(config.data_dir)
    return Datasets(
        build_dataset(config, split.train, labels, training=True, opened=opened),
        build_dataset(config, split.val, labels, opened=opened) if split.val else None,
        build_dataset(config, split.test, labels, opened=opened) if split.test else None,
    )


def build_dataset(
    config: Config,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    training: bool = False,
    opened: sampling.Opened | None = None,
) -> tf.data.Dataset:
    """One data set of the given examples, in the form `build_datasets` describes.

    `opened` is what `samples.open_pictures` gave for them, where it was asked before.
    """
    if config.stream == "fusion":
        return _fusion_dataset(config, examples, labels, training)
    columns = sampling.columns_of(config, examples, labels, training=training, opened=opened)
    if not training:
        return pipeline.for_evaluation(columns, sampling.reader(config, len(labels)), batch_size=config.batch_size)
    # What is random comes first here, since which picture is read is itself a draw; so nothing can be cached.
    return pipeline.for_training(
        columns,
        lambda row: (row, row["label"]),
        batch_size=config.batch_size,
        augment=sampling.random_reader(config, len(labels)),
        seed=config.seed,
    )


def _fusion_dataset(config, examples, labels, training) -> tf.data.Dataset:
    stored = stream_features.compute_both(config, examples)
    columns = {
        "features": np.concatenate([stored["spatial"].features, stored["motion"].features], axis=-1),
        "label": np.array([labels.index(example.label) for example in examples], np.int32),
    }

    def load(row):
        return row["features"], tf.one_hot(row["label"], len(labels))

    if training:
        return pipeline.for_training(columns, load, batch_size=config.batch_size, seed=config.seed)
    return pipeline.for_evaluation(columns, load, batch_size=config.batch_size)
