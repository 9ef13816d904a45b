"""What the models are trained and tested on.

Made: Moving MNIST, on the fly. Training draws from MNIST's training digits but the last twelfth, validation from that
twelfth, the test set from the test digits with seed 0. The parts share neither digits nor motion.

From disk: a `.npy` of sequences, frames first (`mnist_test_seq.npy`, what `tfav prepare next_frame` writes) or
sequences first; or a folder of videos or frames, which is cut to such a file. Its last parts are for validation and
test. Or an array of any numbers, `.npy`, `.npz`, zarr or NetCDF, of which windows are cut and scaled
(`tfav.data.arrays`).

The course notebook trains on 900 and validates on 100 sequences of `mnist_test_seq.npy`, which is the benchmark's test
set. Give it as `data_dir` to do the same, and do not call its figures the benchmark's.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.data import epoch_order, moving_mnist
from tfav.data.arrays import ArrayWindows, Scaling, fill_gaps
from tfav.data.mnist import Digits, load_digits
from tfav.data.pipeline import Datasets, served
from tfav.errors import DataError, UsageError
from tfav.io.array_files import ArrayFile, open_array
from tfav.io.npy_sequences import open_sequences, write_sequences
from tfav.io.parallel import PrepareReport
from tfav.io.workers import Workers
from tfav.ranges import check_number
from tfav.systems.next_frame import frame_sequences
from tfav.systems.next_frame.config import Config

TEST_SEED = 0
_CLIMATE = 500  # sequences that make up a mean frame
_VAL_SHARE = 12  # one twelfth of the training digits: 5000 of MNIST's


class Data:
    """The data of a configuration, opened once: the digits of Moving MNIST, or sequences on disk.

    Attributes:
        config: What it was opened by.
        digits: What Moving MNIST is made of; None where the data are on disk.
    """

    def __init__(self, config: Config, digits: Digits | None = None):
        self.config = config
        self.digits = (digits or load_digits(config.mnist)) if config.is_made else None

    @functools.cached_property
    def arrays(self) -> ArrayWindows | None:
        """The windows of an array of any numbers; None where the data are pictures."""
        return open_windows(self.config, open_file(self.config)) if self.config.is_array else None

    @functools.cached_property
    def sequences(self) -> tuple[np.ndarray, Path]:
        """All sequences on disk and their file, as from `read_sequences`; read when they are first asked for."""
        return read_sequences(self.config, self.config.data_dir)

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        """Up to which sequence each video goes."""
        sequences, path = self.sequences
        return np.cumsum(frame_sequences.group_sizes(path, len(sequences)))

    @property
    def metadata(self) -> dict:
        """What a run stores of its data beside the configuration."""
        metadata: dict = {"digits": self.digits.source if self.digits else ""}
        if self.arrays is not None:
            file = self.arrays.file
            metadata["array"] = {"frame": list(file.shape[2:]), "names": list(file.names), "axes": file.axes}
            metadata["array"]["scaling"] = dataclasses.asdict(self.arrays.scaling)
        return metadata

    def numbers(self, part: str) -> np.ndarray:
        """The numbers of the sequences on disk in a part; videos stay whole, and in order.

        Args:
            part: `train`, `val`, `test`, or `all`.

        Raises:
            UsageError: There is no such part.
            DataError: The data are too few for it, or cannot be used as they stand.
        """
        config = self.config
        shares = {"train": 1, "val": config.val_fraction, "test": config.test_fraction, "all": 1}
        if part not in shares:
            raise UsageError(f"part must be one of {', '.join(shares)}. Received: part={part}")
        if not shares[part]:
            raise UsageError(f"there is no {part} part: {part}_fraction is 0. Give --data-dir other data, or part=all.")
        sequences, _ = self.sequences
        if part == "all":
            return np.arange(len(sequences))
        ends = self._ends
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
        return numbers

    def dataset(self, part: str) -> tf.data.Dataset | None:
        """The batches of `train`, `val` or `test`, in the form `build_datasets` describes; `None` for an empty part."""
        if not self.describe()[part]:
            return None
        if self.digits is not None:
            return _made(self.config, self.digits, part).map(_to_pairs(self.config))
        if self.arrays is not None:
            return _from_array(self.config, self.arrays, part)
        return _from_disk(self.config, self.sequences[0], self.numbers(part), shuffle=part == "train")

    def describe(self) -> dict[str, int]:
        """How many sequences each part has."""
        config = self.config
        if self.digits is not None:
            return {"train": config.train_sequences, "val": config.val_sequences, "test": config.test_sequences}
        shares = {"train": 1, "val": config.val_fraction, "test": config.test_fraction}
        numbers = self.numbers if self.arrays is None else self.arrays.windows
        return {part: len(numbers(part)) if share else 0 for part, share in shares.items()}

    def climatology(self) -> np.ndarray:
        """The mean frame of what is trained on, `[H, W, C]`: pictures 0-1, of 500 sequences; arrays in their units."""
        config = self.config
        if self.arrays is not None:
            return self.arrays.climatology
        if self.digits is not None:
            some = dataclasses.replace(
                config, train_sequences=min(_CLIMATE, config.train_sequences), new_each_epoch=False
            )
            return np.mean(
                [batch.mean((0, 1)) for batch in _made(some, self.digits, "train").as_numpy_iterator()], axis=0
            )
        numbers = self.numbers("train")
        some = numbers[np.linspace(0, len(numbers) - 1, min(_CLIMATE, len(numbers))).astype(int)]
        return np.mean([self.sequences[0][number].mean(0) for number in some], axis=0) / 255


def open_data(config: Config, *, digits: Digits | None = None) -> Data:
    """Opens the data of a configuration once, for all that asks about them.

    Args:
        config: What to read or make.
        digits: To draw from; None: `load_digits(config.mnist)`.

    Example:
        >>> data = open_data(config)
        >>> model.fit(data.dataset("train"), validation_data=data.dataset("val"))

    Raises:
        UsageError: There are no such digits. Data on disk are opened when they are first asked for.
    """
    return Data(config, digits)


def build_datasets(config: Config, *, opened: Data | None = None) -> Datasets:
    """Training, validation and test data.

    Args:
        config: What to read or make.
        opened: What `open_data(config)` gave, where that was called before.

    Returns:
        Three `tf.data.Dataset`s of `(frames, target)` float32, 0-1, or of an array as `scale` has it, where cells that
        are missing are NaN in `target`, and what was last seen there in `frames`. `target` `[B, T - 1, H, W, C]` is
        what follows each frame but the last. `frames` is `[B, T - 1, H, W, C]` for the `notebook` model, and for the
        `forecaster`, which may be shown true frames in training, the whole sequence `[B, T, H, W, C]`. For
        `simvp` they are the frames seen and those to forecast.

    Raises:
        UsageError: A file or folder is not there.
        DataError: The data cannot be used as they stand.
    """
    opened = opened or open_data(config)
    return Datasets(*map(opened.dataset, Datasets._fields))


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


def read_sequences(
    config: Config, data_dir: Path | str, *, failed: dict[str, str] | None = None
) -> tuple[np.ndarray, Path]:
    """Sequences on disk, for a configuration.

    Args:
        config: Says the size and number of frames that are needed.
        data_dir: A `.npy` of sequences, or a folder of videos or frames.
        failed: As in `frame_sequences.cached_sequences`.

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


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    sequences: int | None = None,
    num_frames: int | None = None,
    size: int | None = None,
    channels: int = 1,
    num_digits: int = 2,
    seed: int = 0,
    part: str = "train",
    **workers,
) -> PrepareReport:
    """Writes sequences to disk once, in the benchmark's layout.

    Args:
        source: A folder of videos or frames, which is cut to sequences; or Keras' `mnist.npz`, to make Moving MNIST of.
        out: The `.npy` file.
        sequences: How many to make of `mnist.npz`; 10,000 where not given.
        num_frames: Frames of each; 20 where not given.
        size: Height and width of frames cut from videos, in pixels; 64 where not given.
        channels: Of frames cut from videos: 1 grey, 3 colour.
        num_digits: On the canvas of Moving MNIST.
        seed: Of Moving MNIST.
        part: `train` or `test`: which digits Moving MNIST is made of.
        **workers: Fields of `tfav.io.workers.Workers`: who cuts videos. Moving MNIST is made by one process.

    Raises:
        UsageError: Options that do not apply.
    """
    Workers(**workers).check()
    if Path(out).suffix != ".npy":
        raise UsageError(f"{out}: sequences are written as one .npy file; give --out such a name.")
    for name, value in {"sequences": sequences, "num_frames": num_frames, "size": size}.items():
        check_number(name, value, whole=True, ge=1)
    num_frames = num_frames or moving_mnist.NUM_FRAMES
    if Path(source).is_dir():
        if sequences is not None:
            raise UsageError("--sequences is for Moving MNIST; a folder of videos gives as many as it holds.")
        size = size or 64
        return frame_sequences.cut_folder(source, out, num_frames=num_frames, size=size, channels=channels, **workers)
    started, count = time.monotonic(), sequences or 10_000
    digits = load_digits(source)
    made = moving_mnist.sequences(
        getattr(digits, part),
        count=count,
        seed=moving_mnist.seed_of(part, seed),
        batch_size=50,
        num_frames=num_frames,
        num_digits=num_digits,
        dtype="uint8",
    )
    write_sequences(out, made.as_numpy_iterator(), count)
    report = PrepareReport(done=[str(out)], settings={"sequences": count, "num_frames": num_frames, "seed": seed})
    report.seconds = time.monotonic() - started
    return report


def _made(config: Config, digits: Digits, part: str) -> tf.data.Dataset:
    """Whole sequences of a part of Moving MNIST."""
    if part == "test":
        return made_test_set(config, digits)
    held_back = len(digits.train) // _VAL_SHARE
    training = part == "train"
    return moving_mnist.sequences(
        digits.train[:-held_back] if training else digits.train[-held_back:],
        count=config.train_sequences if training else config.val_sequences,
        seed=moving_mnist.seed_of(part, config.seed),
        new_each_epoch=training and config.new_each_epoch,
        batch_size=config.batch_size,
        num_frames=config.num_frames,
        num_digits=config.num_digits,
    )


def open_file(config: Config, data_dir: Path | str | np.ndarray | None = None) -> ArrayFile:
    """The array that a configuration names, or another one of its axes; see `tfav.io.array_files.open_array`."""
    source = config.data_dir if data_dir is None else data_dir
    mask = config.mask if data_dir is None or not config.mask.endswith(".npy") else ""  # it belongs to the run's data
    return open_array(source, config.axes, variables=config.variables, mask=mask)


def open_windows(config: Config, file: ArrayFile, scaling: Scaling | None = None) -> ArrayWindows:
    """The windows of an array that a configuration trains on; `scaling` of a run in place of one that is fitted."""
    return ArrayWindows(
        file,
        input_frames=config.input_frames,
        output_frames=config.output_frames,
        stride=config.stride,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        method=config.scale,
        scaling=scaling,
    )


def frame_shape(config: Config) -> tuple[int, int, int]:
    """Height, width and channels of the model's frames; those of an array are looked up in its file."""
    if config.is_array:
        return open_file(config).shape[2:]
    return (config.image_size, config.image_size, config.channels)


def scaling_of(metadata: dict) -> Scaling | None:
    """The scaling that a run keeps; None for a run on pictures."""
    return Scaling(**metadata["array"]["scaling"]) if "array" in metadata else None


def _to_pairs(config: Config) -> Callable:
    """From whole sequences, and where a target differs from what is seen also that, to what a model is trained on."""
    seen = {"notebook": slice(None, -1), "forecaster": slice(None), "simvp": slice(config.input_frames)}[config.model]
    wanted = slice(config.input_frames if config.model == "simvp" else 1, None)
    return lambda frames, truth=None: (frames[:, seen], (frames if truth is None else truth)[:, wanted])


def _in_batches(config: Config, count: int, load: Callable, *, shuffle: bool) -> tf.data.Dataset:
    """Batches of the numbers below `count`, each given to `load`."""
    dataset = tf.data.Dataset.range(count)
    if shuffle:
        ordered = dataset
        dataset = epoch_order.each_pass(config.seed, lambda key: epoch_order.shuffle(ordered, count, key))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return served(dataset.batch(config.batch_size).map(load, num_parallel_calls=tf.data.AUTOTUNE))


def _from_array(config: Config, arrays: ArrayWindows, part: str) -> tf.data.Dataset:
    windows = arrays.windows(part)
    _ = arrays.scaling  # fitted here, not in TensorFlow's threads

    def read(batch):
        frames = arrays.read(windows[batch])
        return fill_gaps(frames), frames

    def load(batch):
        both = tf.numpy_function(read, [batch], [tf.float32, tf.float32])
        shape = [None, config.num_frames, *arrays.file.shape[2:]]
        return _to_pairs(config)(*(tf.ensure_shape(frames, shape) for frames in both))

    return _in_batches(config, len(windows), load, shuffle=part == "train")


def _from_disk(config: Config, sequences: np.ndarray, numbers: np.ndarray, *, shuffle: bool) -> tf.data.Dataset:
    def read(batch):
        return np.ascontiguousarray(sequences[numbers[batch], : config.num_frames])

    def load(batch):
        # The file may be larger than the memory, and TensorFlow has no reader that starts in the middle of one.
        frames = tf.numpy_function(read, [batch], tf.uint8)
        frames = tf.ensure_shape(frames, [None, config.num_frames, *sequences.shape[2:]])
        return _to_pairs(config)(tf.cast(frames, tf.float32) / 255)

    return _in_batches(config, len(numbers), load, shuffle=shuffle)


def _spell(size) -> str:
    return " x ".join(map(str, size))
