"""What is known of the data: the tree, the split, and how a clip becomes tensors.

    data_dir/CLASS/VIDEO.avi              or, extracted before with tfav prepare,
    data_dir/CLASS/VIDEO/VIDEO_frame_00.jpg

or a table names videos, or stretches of them, and their labels (`tfav/data/label_tables.py`).
UCF101 and its three-class subset, UT-Interaction and any data set of one's own come in this form. Labels are the class
folders in natural order, stored with the model.
"""

import functools
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tfav.data import pipeline
from tfav.data.augment import chain, color_jitter, mixup, random_flip, random_shift
from tfav.data.classification import check_class_count, count_classes, make_split
from tfav.data.folders import Example, failed_examples
from tfav.data.label_tables import (
    is_table,
    list_examples,
    videos_root,
    with_class_counts,
    write_table,
)
from tfav.data.pipeline import Datasets
from tfav.errors import DataError
from tfav.io.cache import keyed_path
from tfav.io.frame_extraction import clip_folder, extract_frames
from tfav.io.frame_folders import inspect_frames
from tfav.io.parallel import PrepareReport
from tfav.io.sampling import indices_evenly
from tfav.systems.cnn_lstm import feature_cache
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.feature_pca import fit_pca
from tfav.systems.cnn_lstm.model import head_size

# Clips of decoded pixels are kept in memory up to this many bytes, else decoded anew each epoch.
_MEMORY_CACHE_BYTES = 2 * 1024**3


class Data:
    """The data set of a configuration, opened once: tree, labels, split, and what is fitted to the training part.

    Attributes:
        config: What it was opened by.
        tree: All examples.
        labels: Class names; the index is the class number.
        split: The examples of each part.
    """

    def __init__(self, config: Config):
        self.config = config
        self.tree = list_examples(config.data_dir, multi_label=config.multi_label)
        self.split = make_split(self.tree.examples, config)
        self.labels = check_class_count(self.tree.labels, config)

    @functools.cached_property
    def pca(self) -> keras.Model | None:
        """The projection fitted to the training part's features; `None` where the configuration has none."""
        if not (self.config.cache_features and self.config.pca_components):
            return None
        return fit_pca(self.config, _feature_files(self.split.train, self.config))

    def dataset(self, part: str) -> tf.data.Dataset | None:
        """The batches of `train`, `val` or `test`, in the form `build_datasets` describes; `None` for an empty part."""
        examples = getattr(self.split, part)
        if not examples:
            return None
        return build_dataset(self.config, examples, self.labels, training=part == "train", pca=self.pca)

    def describe(self) -> dict:
        """How many examples of each class each part has: `{part: {label: count}}`."""
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
    """Training, validation and test data of `config.data_dir`.

    Args:
        config: Names the data and what becomes of them.
        opened: What `open_data(config)` gave, where that was called before.

    Returns:
        Three `tf.data.Dataset`s of `(inputs, target)`. `inputs` holds `mask` `[B, T]` float32, 1 where a frame is real,
        and either `clip` `[B, T, S, S, 3]` uint8 or, with `backbone_mode=cached`, `features` `[B, T, D]` float32;
        `target` is `[B, num_classes]` float32, one-hot or with `multi_label` 1 for each label. Training is shuffled and
        augmented, and with `balance=weights` has a third part, each example's weight `[B]`; the others are in order.

    Raises:
        UsageError: The folder is not there, or has another number of classes than `num_classes`.
        DataError: The data set cannot be used as it stands.
    """
    opened = opened or open_data(config)
    return Datasets(*map(opened.dataset, Datasets._fields))


def prepare(source: Path | str, out: Path | str, **options) -> PrepareReport:
    """Turns videos into folders of frames; options as in `tfav.io.frame_extraction.extract_frames`.

    Of a table those it names; the same table of their frames is then `out/labels.csv`.
    """
    if not is_table(source):
        return with_class_counts(extract_frames(source, out, **options), out)
    out = Path(out)
    examples = list_examples(source, multi_label=True).examples
    root = videos_root(source, examples)
    clips = [(example.path, example.span) for example in examples]
    report = extract_frames(root, out, clips=clips, **options)
    made = [e._replace(path=out / clip_folder(e.path.relative_to(root), e.span), span=None) for e in examples]
    made = [example for example in made if example.path.is_dir()]
    write_table(out / "labels.csv", made)
    return with_class_counts(report, out, made)


def build_dataset(
    config: Config,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    training: bool = False,
    pca: keras.Model | None = None,
) -> tf.data.Dataset:
    """One data set of the given examples, in the form of `build_datasets`; `pca` as in `Data`, or it is fitted."""
    if pca is None and config.cache_features and config.pca_components:
        pca = open_data(config).pca
    columns = {"label": _targets_of(examples, labels, config)}
    if config.cache_features:
        files = _feature_files(examples, config)
        columns["path"] = np.array([os.fsencode(path) for path in files])
        load, clip_bytes = _load_features(config, len(labels), pca), 8 * config.num_frames * head_size(config)
    else:
        files, orientations = _frame_files(config, examples)
        columns["paths"] = pipeline.frame_column(files, config.num_frames)
        orientations = pipeline.orientation_column(orientations, config.num_frames)
        if orientations is not None:
            columns["orientations"] = orientations
        load = _load_pixels(config, len(labels), in_python=pipeline.need_python(files))
        clip_bytes = config.num_frames * config.image_size**2 * 3
    if training and config.balance == "sampling":
        order = _balanced_order(examples)
        columns = {name: column[order] for name, column in columns.items()}
    cache = "memory" if clip_bytes * len(columns["label"]) <= _MEMORY_CACHE_BYTES else None
    if not training:
        dataset = pipeline.for_evaluation(columns, load, batch_size=config.batch_size, cache=cache)
        return dataset.map(feature_cache.first_orientation) if config.cache_features else dataset
    augment = feature_cache.augment(config) if config.cache_features else _augment_pixels(config)
    dataset = pipeline.for_training(
        columns,
        load,
        batch_size=config.batch_size,
        augment=augment,
        augment_batch=mixup(config.mixup) if config.mixup else None,
        passes=config.passes_per_epoch,
        cache=cache,
        seed=config.seed,
    )
    return _weighted(dataset, examples, labels, config) if config.balance == "weights" else dataset


def _targets_of(examples: Sequence[Example], labels: Sequence[str], config: Config) -> np.ndarray:
    """Class numbers `[N]` int32; where a clip may have several labels `[N, num_classes]` float32, 1 for each."""
    if not config.multi_label:
        return np.array([labels.index(example.label) for example in examples], np.int32)
    return np.array([[label in example.labels for label in labels] for example in examples], np.float32)


def _balanced_order(examples: Sequence[Example]) -> np.ndarray:
    """Row numbers in which each class stands as often as the largest; an example counts by its rarest label."""
    counts = Counter(label for example in examples for label in example.labels)
    by_class = defaultdict(list)
    for row, example in enumerate(examples):
        by_class[min(example.labels, key=counts.get, default="")].append(row)
    most = max(map(len, by_class.values()))
    return np.concatenate([np.resize(rows, most) for rows in by_class.values()])


def _weighted(dataset: tf.data.Dataset, examples, labels: Sequence[str], config: Config) -> tf.data.Dataset:
    """Adds the weight of each example: the inverse of how frequent its class is (the rarest of several), on average 1.

    Weights stand beside targets and not in them: a target whose sum is not 1 has another gradient.
    """
    counts = Counter(label for example in examples for label in example.labels)
    weights = [sum(counts.values()) / (len(counts) * max(counts[label], 1)) for label in labels]

    def weigh(inputs, target):
        shares = tf.cast(tf.nest.flatten(target)[0], tf.float32)
        if config.multi_label:
            return inputs, target, tf.maximum(tf.reduce_max(shares * weights, axis=1), min(weights))
        return inputs, target, tf.linalg.matvec(shares, weights)

    return pipeline.served(dataset.map(weigh, num_parallel_calls=tf.data.AUTOTUNE))


def _frame_files(config: Config, examples: Sequence[Example]) -> tuple[list[list[Path]], list[list[int]]]:
    """The `num_frames` evenly spaced frame files of each example, and their orientations; videos are extracted."""
    if examples[0].path.is_file():
        examples = _extracted(config, examples)
    chosen, orientations, uneven = [], [], []
    for example in examples:
        paths, headers = frames = inspect_frames(example.path)
        indices = indices_evenly(len(paths), config.num_frames)
        chosen.append([paths[index] for index in indices])
        orientations.append([headers[index].orientation for index in indices])
        if frames.describe_sizes():
            uneven.append(f"{example.path} has {frames.describe_sizes()}")
    if uneven:
        warnings.warn(
            f"{len(uneven)} of {len(examples)} frame folders hold pictures of several sizes, each of which is resized "
            f"by itself; first: {uneven[0]}.",
            stacklevel=3,
        )
    return chosen, orientations


def _extracted(config: Config, examples: Sequence[Example]) -> list[Example]:
    listed = is_table(config.data_dir)
    data_dir = videos_root(config.data_dir, examples) if listed else examples[0].path.parent.parent
    out_dir = keyed_path(config.cache_path(), "frames", data_dir, config.num_frames, config.image_size)
    # At the model's own size: a quarter of the pixels to decode in each of the epochs to come.
    size = (config.image_size, config.image_size)
    clips = [(example.path, example.span) for example in examples] if listed else None
    report = extract_frames(data_dir, out_dir, num_frames=config.num_frames, size=size, clips=clips)
    if failed := report.failed if listed else failed_examples(data_dir, report.failed):
        report.failed = failed
        raise DataError(f"{data_dir}: {report.summary()} Mend or remove these files, then run it again.")
    folders = [out_dir / clip_folder(example.path.relative_to(data_dir), example.span) for example in examples]
    return [example._replace(path=folder) for example, folder in zip(examples, folders, strict=True)]


def _feature_files(examples: Sequence[Example], config: Config) -> list[Path]:
    spans = [example.span for example in examples]
    return feature_cache.compute([example.path for example in examples], config, spans)


def _load_pixels(config: Config, num_classes: int, *, in_python: bool):
    decode = pipeline.decode_frames(config.image_size, config.image_size, in_python=in_python)

    def load(example):
        clip, mask = decode(example["paths"], example.get("orientations"))
        return {"clip": clip, "mask": tf.cast(mask, tf.float32)}, _target(config, example["label"], num_classes)

    return load


def _augment_pixels(config: Config):
    operations = []
    if config.flip:
        operations.append(random_flip())
    if config.shift_px:
        operations.append(random_shift(config.shift_px))
    if config.color_jitter:
        strength = config.color_jitter
        operations.append(color_jitter(strength, strength, strength))
    if not operations:
        return None
    apply = chain(*operations)
    return lambda inputs, target, seed: ({**inputs, "clip": apply(inputs["clip"], seed)}, target)


def _load_features(config: Config, num_classes: int, pca: keras.Model | None):
    read = feature_cache.reader(config, pca)

    def load(example):
        return read(example["path"]), _target(config, example["label"], num_classes)

    return load


def _target(config: Config, label: tf.Tensor, num_classes: int):
    one_hot = label if config.multi_label else tf.one_hot(label, num_classes)
    outputs = config.outputs()
    return one_hot if len(outputs) == 1 else dict.fromkeys(outputs, one_hot)
