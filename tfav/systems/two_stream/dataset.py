"""Data sets for `model.fit`: samples of one stream, or the features of both for the recurrent fusion.

How the data lies on disk and how samples are drawn is in `sampling`.
"""

import copy
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.data import pipeline
from tfav.data.classification import check_class_count, count_classes, make_split
from tfav.data.folders import Example
from tfav.data.label_tables import is_table, list_examples, videos_root, with_class_counts, write_table
from tfav.data.pipeline import Datasets
from tfav.data.splits import Split
from tfav.io.flow_extraction import FRAMES_DIR, extract_flow, name_clips
from tfav.io.parallel import PrepareReport
from tfav.systems.two_stream import sampling, stream
from tfav.systems.two_stream.config import Config


class Data:
    """The data set of a configuration, opened once: videos, labels, split, and their pictures.

    Attributes:
        config: What it was opened by.
        labels: Class names; the index is the class number.
        split: The videos of each part.
    """

    def __init__(self, config: Config):
        found = sampling.find_examples(config)
        self.config = config
        self.labels = check_class_count(found.labels, config)
        self.split = make_split(found.examples, config)

    def divided(self, config: Config, split: Split) -> "Data":
        """The same data set, divided otherwise, for a stream of these settings."""
        other = copy.copy(self)
        other.__dict__.pop("pictures", None)
        other.config, other.split = config, split
        return other

    @functools.cached_property
    def pictures(self) -> sampling.Opened | None:
        """The pictures of all videos, extracted where needed; None for a fusion, whose streams say what they need.

        Raises:
            DataError: Videos that cannot be used, counted.
        """
        if self.config.stream == "fusion":
            return None
        examples = [example for part in self.split for example in part]
        return sampling.open_pictures(self.config, examples).check(self.config.data_dir)

    def dataset(self, part: str) -> tf.data.Dataset | None:
        """The batches of `train`, `val` or `test`, in the form `build_datasets` describes; `None` for an empty part."""
        examples = getattr(self.split, part)
        if not examples:
            return None
        return build_dataset(self.config, examples, self.labels, training=part == "train", opened=self.pictures)

    def describe(self) -> dict:
        """How many videos of each class each part has: `{part: {label: count}}`."""
        return count_classes(self.split, self.labels)


def open_data(config: Config) -> Data:
    """Opens `config.data_dir` once, for all that asks about it.

    Example:
        >>> data = open_data(config)
        >>> model.fit(data.dataset("train"), validation_data=data.dataset("val"))

    Raises:
        UsageError: The folder is not there, or has another number of classes than `num_classes`.
        DataError: The data set cannot be used as it stands.
    """
    return Data(config)


def build_datasets(config: Config, *, opened: Data | None = None) -> Datasets:
    """Training, validation and test data of `config.data_dir` for the stream (or fusion) that `config` describes.

    Args:
        config: Names the data and what becomes of them.
        opened: What `open_data(config)` gave, where that was called before.

    Returns:
        Three `tf.data.Dataset`s of `(input, target)`: input `[B, S, S, 3]` or `[B, S, S, 2 L]` float32, 0-1 (for the
        fusion `[B, samples_per_video, D]` features), target one-hot `[B, num_classes]` float32. Training is shuffled
        and augmented; in the others row `i` of the samples comes in order, `samples_per_video` of each video.

    Raises:
        UsageError: The folder is not there, or has another number of classes than `num_classes`.
        DataError: The data set cannot be used as it stands, videos of fewer than L + 1 frames included.
    """
    opened = opened or open_data(config)
    return Datasets(*map(opened.dataset, Datasets._fields))


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    flow_method: str = "tvl1",
    **options,
) -> PrepareReport:
    """Extracts frames and flow of all videos; options as in `tfav.io.flow_extraction.extract_flow`.

    Of a table those it names, or their stretches; the same table of the pictures is then `out/labels.csv`.
    """
    if not is_table(source):
        return with_class_counts(extract_flow(source, out, method=flow_method, **options), out)
    out, examples = Path(out), list_examples(source).examples
    clips = [(example.path, example.span) for example in examples]
    root = videos_root(source, examples)
    report = extract_flow(root, out, method=flow_method, clips=clips, **options)
    names = name_clips(root, clips)
    made = [e._replace(path=out / FRAMES_DIR / names[e.path, e.span], span=None) for e in examples]
    made = [example for example in made if example.path.is_dir()]
    write_table(out / "labels.csv", made)
    return with_class_counts(report, out, made)


def build_dataset(
    config: Config,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    training: bool = False,
    opened: sampling.Opened | None = None,
) -> tf.data.Dataset:
    """One data set of the given examples, in the form `build_datasets` describes.

    `opened` is what `sampling.open_pictures` gave for them, where it was asked before.
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
    stored = stream.compute_both(config, examples)
    columns = {
        "features": np.concatenate([stored["spatial"].features, stored["motion"].features], axis=-1),
        "label": np.array([labels.index(example.label) for example in examples], np.int32),
    }

    def load(row):
        return row["features"], tf.one_hot(row["label"], len(labels))

    if training:
        return pipeline.for_training(columns, load, batch_size=config.batch_size, seed=config.seed)
    return pipeline.for_evaluation(columns, load, batch_size=config.batch_size)
