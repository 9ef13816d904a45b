"""What the models are trained and tested on.

Made: Moving MNIST, on the fly. Training draws from MNIST's training digits but the last twelfth, validation from that
twelfth, the test set from the test digits with seed 0. The parts share neither digits nor motion.

From disk: a `.npy` of sequences, frames first (`mnist_test_seq.npy`, what `tfav prepare next_frame` writes) or
sequences first; or a folder of videos or frames, which is cut to such a file. Its last parts are for validation and
test.

The course notebook trains on 900 and validates on 100 sequences of `mnist_test_seq.npy`, which is the benchmark's test
set. Give it as `data_dir` to do the same, and do not call its figures the benchmark's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import epoch_order, moving_mnist
from tfav.data.mnist import Digits, load_digits
from tfav.data.pipeline import served
from tfav.errors import DataError, UsageError
from tfav.io.npy_sequences import open_sequences
from tfav.systems.next_frame import frame_sequences
from tfav.systems.next_frame.config import Config

TEST_SEED = 0
_VAL_SHARE = 12  # one twelfth of the training digits: 5000 of MNIST's


class Datasets(NamedTuple):
    """Batches of `(frames, target)`; `None` where a part is empty."""

    train: tf.data.Dataset
    val: tf.data.Dataset | None
    test: tf.data.Dataset | None


def build_datasets(config: Config, *, digits: Digits | None = None) -> Datasets:
    """Training, validation and test data.

    Args:
        config: What to read or make.
        digits: To draw from; None: `load_digits(config.mnist)`.

    Returns:
        Three `tf.data.Dataset`s of `(frames, target)` float32, 0-1. `target` `[B, T - 1, H, W, C]` is what follows each
        frame but the last. `frames` is `[B, T - 1, H, W, C]` for the `notebook` model, and for the `forecaster`, which
        may be shown true frames in training, the whole sequence `[B, T, H, W, C]`.

    Raises:
        UsageError: A file or folder is not there.
        DataError: The data cannot be used as they stand.
    """
    pairs = _to_pairs(config)
    if not config.is_made:
        return Datasets(
            *(
                _from_disk(config, *part_of(config, name), shuffle=name == "train") if share else None
                for name, share in (("train", 1), ("val", config.val_fraction), ("test", config.test_fraction))
            )
        )
    digits = digits or load_digits(config.mnist)
    held_back = len(digits.train) // _VAL_SHARE
    options = {"batch_size": config.batch_size, "num_frames": config.num_frames, "num_digits": config.num_digits}
    train = moving_mnist.sequences(
        digits.train[:-held_back],
        count=config.train_sequences,
        seed=moving_mnist.seed_of("train", config.seed),
        new_each_epoch=config.new_each_epoch,
        **options,
    )
    val = None
    if config.val_sequences:
        val = moving_mnist.sequences(
            digits.train[-held_back:],
            count=config.val_sequences,
            seed=moving_mnist.seed_of("val", config.seed),
            **options,
        ).map(pairs)
    return Datasets(train.map(pairs), val, made_test_set(config, digits).map(pairs))


def made_test_set(config: Config, digits: Digits) -> tf.data.Dataset:
    """Whole sequences `[B, T, 64, 64, 1]` float32, 0-1, from test digits and seed 0."""
    return moving_mnist.sequences(
        digits.test,
        count=config.test_sequences,
        seed=moving_mnist.seed_of("test", TEST_SEED),
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        num_digits=config.num_digits,
    )


def open_data(config: Config, data_dir: Path | str, *, failed: dict[str, str] | None = None) -> tuple[np.ndarray, Path]:
    """Sequences on disk, for a configuration.

    Args:
        config: Says the size and number of frames that are needed.
        data_dir: A `.npy` of sequences, or a folder of videos or frames.
        failed: As in `clips.cached_sequences`.

    Returns:
        `[N, T, H, W, C]` uint8, memory-mapped, `T` at least `config.num_frames`; and the file.

    Raises:
        UsageError: It is not there.
        DataError: It cannot be used as it stands, or has frames of another size or sequences too short.
    """
    path = Path(data_dir)
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder. Check the spelling.")
    if path.is_dir():
        shape = {"num_frames": config.num_frames, "size": config.image_size, "channels": config.channels}
        path = frame_sequences.cached_sequences(path, config.cache_path(), failed=failed, **shape)
    sequences = open_sequences(path, config.first_axis)
    needed = (config.image_size, config.image_size, config.channels)
    if sequences.shape[2:] != needed:
        raise DataError(
            f"{path}: frames are {_spell(sequences.shape[2:])}, and the model takes {_spell(needed)}. "
            "Set --image-size and --channels, or prepare the data again."
        )
    if sequences.shape[1] < config.num_frames:
        raise DataError(
            f"{path}: sequences have {sequences.shape[1]} frames, and {config.num_frames} are needed. "
            "Set --input-frames and --output-frames lower."
        )
    return sequences, path


def part_of(config: Config, part: str) -> tuple[np.ndarray, np.ndarray]:
    """A part of the data in `config.data_dir`; videos stay whole, and in order.

    Args:
        config: Says where the data are, and how large the parts.
        part: `train`, `val`, `test`, or `all`.

    Returns:
        All sequences, as from `open_data`, and the numbers of those in the part.

    Raises:
        UsageError: There is no such part.
        DataError: The data are too few for it, or cannot be used as they stand.
    """
    shares = {"train": 1, "val": config.val_fraction, "test": config.test_fraction, "all": 1}
    if part not in shares:
        raise UsageError(f"part must be one of {', '.join(shares)}. Received: part={part}")
    if not shares[part]:
        raise UsageError(f"there is no {part} part: {part}_fraction is 0. Give --data-dir other data, or part=all.")
    sequences, path = open_data(config, config.data_dir)
    if part == "all":
        return sequences, np.arange(len(sequences))
    ends = np.cumsum(frame_sequences.group_sizes(path, len(sequences)))
    borders = [0]
    for share in (1 - config.val_fraction - config.test_fraction, 1 - config.test_fraction, 1):
        nearest = int(np.abs(ends - share * len(sequences)).argmin())
        borders.append(max(borders[-1], int(ends[nearest])))
    number = ("train", "val", "test").index(part)
    numbers = np.arange(borders[number], borders[number + 1])
    if not len(numbers):
        raise DataError(
            f"{config.data_dir}: {len(ends)} videos or sequences are too few for a {part} part. "
            "Add some, or set --val-fraction and --test-fraction."
        )
    return sequences, numbers


def _to_pairs(config: Config) -> Callable:
    whole = config.model == "forecaster"
    return lambda frames: (frames if whole else frames[:, :-1], frames[:, 1:])


def _from_disk(config: Config, sequences: np.ndarray, numbers: Sequence[int], *, shuffle: bool) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(np.asarray(numbers, np.int64))
    if shuffle:
        ordered = dataset
        dataset = epoch_order.each_pass(config.seed, lambda key: epoch_order.shuffle(ordered, len(numbers), key))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(numbers)))

    def read(batch):
        return np.ascontiguousarray(sequences[batch, : config.num_frames])

    def load(batch):
        # The file may be larger than the memory, and TensorFlow has no reader that starts in the middle of one.
        frames = tf.numpy_function(read, [batch], tf.uint8)
        frames = tf.ensure_shape(frames, [None, config.num_frames, *sequences.shape[2:]])
        return _to_pairs(config)(tf.cast(frames, tf.float32) / 255)

    return served(dataset.batch(config.batch_size).map(load, num_parallel_calls=tf.data.AUTOTUNE))


def _spell(size) -> str:
    return " x ".join(map(str, size))
