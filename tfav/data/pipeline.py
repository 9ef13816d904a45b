"""The one `tf.data` chain of all systems, as two functions: `for_training` and `for_evaluation`.

Both take columns (arrays whose first axis counts examples, or a data set of such rows, as `shards.read_rows` gives) and
a `load` function made of TensorFlow ops, so that the whole chain runs in the graph: in parallel, with no Python in the
way, and fit for a tf.data service.
"""

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import cluster, epoch_order, tf_data_service
from tfav.errors import DataError, MediaError, UsageError
from tfav.io import images

Columns = dict[str, np.ndarray] | tf.data.Dataset
Load = Callable[[dict[str, tf.Tensor]], tuple]

# Of pictures that TensorFlow decodes; others go by way of Python.
_BAD_PICTURE = "a picture is cut short or neither JPEG nor PNG"
_DECODED_IN_GRAPH = {".jpeg", ".jpg", ".png"}
# Rows of a data set are shuffled among so many: they may hold whole encoded clips.
_SHUFFLED_RECORDS = 512
_MOST_BUCKETS = 8


class Datasets(NamedTuple):
    """What a system's `build_datasets` gives: the batches of each part, `None` where a part is empty."""

    train: tf.data.Dataset
    val: tf.data.Dataset | None
    test: tf.data.Dataset | None


class Buckets(NamedTuple):
    """How batches of similar length are made: `length` of what `load` gave, and `lengths` of all examples.

    There are up to eight buckets that hold equally many examples, four batches or more each.
    """

    length: Callable[[tuple], tf.Tensor]
    lengths: Sequence[int]

    def batch(self, rows: tf.data.Dataset, batch_size: int, passes: int, drop_remainder: bool) -> tf.data.Dataset:
        """Batches of `(loaded, seed)`, as many as are known beforehand."""
        count = max(1, min(_MOST_BUCKETS, len(self.lengths) // (4 * batch_size)))
        quantiles = np.quantile(self.lengths, np.arange(1, count) / count, method="higher")
        borders = sorted({int(border) + 1 for border in quantiles if border < max(self.lengths)})
        sizes = np.bincount(np.searchsorted(borders, self.lengths, side="right")) * passes
        num_batches = sum(size // batch_size if drop_remainder else -(-size // batch_size) for size in sizes.tolist())
        return rows.bucket_by_sequence_length(
            lambda loaded, seed: self.length(loaded),
            borders,
            [batch_size] * (len(borders) + 1),
            no_padding=True,
            drop_remainder=drop_remainder,
        ).apply(tf.data.experimental.assert_cardinality(num_batches))


def for_training(
    columns: Columns,
    load: Load,
    *,
    batch_size: int,
    augment: Callable | None = None,
    cache: str | Path | None = None,
    augment_batch: Callable | None = None,
    passes: int = 1,
    seed: int = 0,
    drop_remainder: bool = False,
    buckets: Buckets | None = None,
) -> tf.data.Dataset:
    """Shuffled, cached, augmented, batched, prefetched; reshuffled every epoch.

    Order and augmentation follow from the seed and the epoch alone (`epoch_order`): a run that goes on is given what an
    undisturbed one would have been given. That is for one pass in each epoch; with `repeat` and `steps_per_epoch` all
    passes differ, but a run that goes on begins a new one.

    Args:
        columns: Name -> `[N, ...]` array; one example is one row of every column. Or a data set of rows that knows how
            many it has.
        load: Maps an example to `(inputs, target)`. The expensive and repeatable part: decoding, resizing.
        batch_size: Examples per step, over all replicas together.
        augment: Maps `(inputs, target, seed)` to `(inputs, target)`. The random part; `seed` `[2]` int64 is another one
            for every example and epoch.
        augment_batch: The same for a whole batch, for what mixes examples.
        passes: Passes over the data in one epoch, each in an order of its own.
        cache: `"memory"`, the path of a file on disk, or `None`. What `load` gave is kept there.
        seed: Order and augmentation of an epoch repeat for a seed.
        drop_remainder: Leave out the last short batch.
        buckets: Put examples of similar length into a batch. Without effect where several machines train together, and
            in a tf.data service.

    Returns:
        A data set of `(inputs, target)` batches, one epoch long. Where several machines train together (`cluster`),
        this one's share of each batch. Inside `tf_data_service.through_service`, the work is done elsewhere, and
        `cache` and `seed` are without effect.

    Raises:
        UsageError: The batch cannot be shared by the machines, or a service cannot do the work.
        DataError: There are no examples.
    """
    dataset, count = _rows(columns)
    if tf_data_service.is_wanted():
        return _through_service(dataset, count, load, batch_size, augment, augment_batch, passes, drop_remainder)
    here = cluster.cluster_info()
    if batch_size % here.count:
        raise UsageError(
            f"{here.count} machines share each batch evenly. Received: batch_size={batch_size}; choose a multiple."
        )
    if cache is not None:
        # Keep what is expensive and never changes. The cache stands before the shuffle: it holds one fixed order.
        dataset = _cached(dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE), cache)
    # The buffer spans the whole set, or classes would come in runs. It holds references into the cache or, without
    # one, the rows themselves, which are small: loaded clips of a large set would not fit into memory.
    buffer = min(count, _SHUFFLED_RECORDS) if cache is None and isinstance(columns, tf.data.Dataset) else count

    def one_pass(key):
        order = tf.data.Dataset.range(passes).flat_map(
            lambda number: epoch_order.shuffle(dataset, buffer, tf.random.fold_in(key, number))
        )
        # Seeds come with the elements, so that they do not depend on which of the parallel calls is first.
        return tf.data.Dataset.zip(order, epoch_order.seeds(key, passes * count))

    rows = epoch_order.each_pass(seed, one_pass).apply(tf.data.experimental.assert_cardinality(passes * count))
    if here.count > 1:
        # All machines shuffle alike, and each takes its share of every batch; equally many, since none may wait for
        # another at the end. Loading comes after it, so nothing is decoded twice.
        rows = rows.take(passes * count // here.count * here.count).shard(here.count, here.index)
    if cache is None:
        rows = rows.map(lambda row, seed: (load(row), seed), num_parallel_calls=tf.data.AUTOTUNE)
    if augment is not None:
        rows = rows.map(lambda loaded, seed: (augment(*loaded, seed), seed), num_parallel_calls=tf.data.AUTOTUNE)
    if buckets is not None and here.count == 1:
        batches = buckets.batch(rows, batch_size, passes, drop_remainder)
    else:
        batches = rows.batch(
            batch_size // here.count, drop_remainder=drop_remainder, num_parallel_calls=tf.data.AUTOTUNE
        )

    def finish(batch, seeds):
        return batch if augment_batch is None else augment_batch(*batch, _seed_of_batch(seeds))

    dataset = batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE)
    return served(dataset, is_share=here.count > 1)


def _through_service(dataset, count, load, batch_size, augment, augment_batch, passes, drop_remainder):
    """The chain of `for_training` for a tf.data service: no cache, which would be another one on each worker."""

    def prepare(row):
        loaded = load(row)
        return loaded if augment is None else augment(*loaded, tf_data_service.draw_seed())

    with tf_data_service.without_seed():
        buffer = count if count > 0 else _SHUFFLED_RECORDS
        dataset = dataset.shuffle(buffer, reshuffle_each_iteration=True).repeat(passes)
        dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder, num_parallel_calls=tf.data.AUTOTUNE)
        if augment_batch is not None:
            dataset = dataset.map(
                lambda *batch: augment_batch(*batch, tf_data_service.draw_seed()), num_parallel_calls=tf.data.AUTOTUNE
            )
        return served(tf_data_service.distribute(dataset))


def for_evaluation(
    columns: Columns, load: Load, *, batch_size: int, cache: str | Path | None = None
) -> tf.data.Dataset:
    """Ordered and finite, with nothing random and nothing dropped: row `i` of the columns is prediction `i`.

    Args:
        columns: As in `for_training`.
        load: Maps an example to `(inputs, target)`.
        batch_size: Examples per step; the last batch may be smaller.
        cache: As in `for_training`.
    """
    dataset, _ = _rows(columns)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = _cached(dataset, cache)
    return served(dataset.batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE))


def served(dataset: tf.data.Dataset, *, is_share: bool = False) -> tf.data.Dataset:
    """The end of every chain: the options that all share, and the next batch made while one is used.

    Args:
        dataset: The batches.
        is_share: They are this machine's share already, of several that train together.
    """
    options = tf.data.Options()
    policies = tf.data.experimental.AutoShardPolicy
    # Without files to split by, sharding by data is what MirroredStrategy would fall back to, with a warning.
    options.experimental_distribute.auto_shard_policy = policies.OFF if is_share else policies.DATA
    # One call per core does what the tuner finds in the end; its thread can hold up the end of an epoch for a second.
    options.autotune.enabled = False
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def frame_column(clips: Sequence[Sequence[Path]], num_frames: int) -> np.ndarray:
    """Frame files of many clips as one `[N, num_frames]` array of paths; missing ones at the end are empty strings."""
    column = np.full((len(clips), num_frames), b"", dtype=object)
    for row, frames in zip(column, clips, strict=True):
        row[: len(frames)] = [os.fsencode(path) for path in frames[:num_frames]]
    return column


def orientation_column(orientations: Sequence[Sequence[int]], num_frames: int) -> np.ndarray | None:
    """EXIF's orientations, 1 to 8, that go with a `frame_column`, `[N, num_frames]` int32; `None`: all are upright."""
    column = np.ones((len(orientations), num_frames), np.int32)
    for row, numbers in zip(column, orientations, strict=True):
        row[: len(numbers)] = numbers[:num_frames]
    return column if (column != 1).any() else None


def decode_frames(height: int, width: int, *, in_python: bool = False) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Reads the image files of one clip, each resized by itself: they may differ in size.

    Args:
        height: Of the result.
        width: Of the result.
        in_python: Decode by OpenCV, for pictures of which `need_python` is true. Such data sets cannot be made by
            another process.

    Returns:
        A function of a `[T]` string tensor (a row of `frame_column`) and, where there is one, a row of
        `orientation_column`. It gives `[T, height, width, 3]` uint8 RGB, upright, black where the path is empty, and
        the `[T]` bool mask of the frames that are real. Pixels are those of `tfav.io.images`, within rounding.
    """

    def read(path):
        if in_python:
            return tf.ensure_shape(tf.numpy_function(read_upright, [path], tf.uint8), [height, width, 3])
        return resize(decode_picture(path), height, width)

    def read_turned(row):
        return resize(turn_upright(decode_picture(row[0]), row[1]), height, width)

    def read_upright(path):
        return images.resize(
            images.read_picture(os.fsdecode(path.item() if isinstance(path, np.ndarray) else path)), height, width
        )

    def decode(paths, orientations=None):
        mask = tf.strings.length(paths) > 0
        rows = tf.boolean_mask(paths, mask)
        turned = orientations is not None and not in_python
        if turned:
            rows = rows, tf.boolean_mask(orientations, mask)
        # Clips run in parallel already, one per core, so the frames of one clip need not.
        frames = tf.map_fn(
            read_turned if turned else read,
            rows,
            fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8),
            parallel_iterations=1,
        )
        missing = tf.shape(paths)[0] - tf.shape(frames)[0]
        frames = tf.pad(frames, [[0, missing], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(frames, [paths.shape[0], height, width, 3]), mask

    return decode


def need_python(clips: Sequence[Sequence[Path]]) -> bool:
    """Whether there are pictures, by their suffix, that TensorFlow does not decode: WebP and BMP."""
    return any(Path(path).suffix.lower() not in _DECODED_IN_GRAPH for frames in clips for path in frames)


def decode_picture(path: tf.Tensor, channels: int = 3) -> tf.Tensor:
    """Decodes the JPEG or PNG file at a scalar string tensor, `[H, W, channels]` uint8, as stored.

    One that is neither, or is cut short, ends the data set with an error of which `bad_picture` makes a line.
    """
    data = tf.io.read_file(path)
    is_jpeg = tf.equal(tf.strings.substr(data, 0, 3), b"\xff\xd8\xff")
    is_png = tf.equal(tf.strings.substr(data, 0, 4), b"\x89PNG")
    mark = tf.where(is_jpeg, b"\xff\xd9", b"IEND")
    # Rarely anything stands behind the mark of the end. Not looked for is one in a preview inside the file.
    end = tf.strings.substr(data, tf.maximum(tf.strings.length(data) - 8, 0), 8)
    is_whole = tf.cond(_holds(end, mark), lambda: True, lambda: _holds(data, mark))
    is_good = tf.logical_and(tf.logical_or(is_jpeg, is_png), is_whole)
    # No message can hold bytes of a name that are no UTF-8: it is told for people, and exactly for `bad_picture`.
    told = [_BAD_PICTURE, tf.strings.unicode_transcode(path, "UTF-8", "UTF-8"), tf.io.encode_base64(path)]
    with tf.control_dependencies([tf.debugging.Assert(is_good, told)]):
        picture = tf.io.decode_image(data, channels=channels, expand_animations=False)
    return tf.ensure_shape(picture, [None, None, channels])


def _holds(data: tf.Tensor, mark: tf.Tensor) -> tf.Tensor:
    return tf.size(tf.strings.split(data, mark)) > 1


def bad_picture(error: BaseException) -> MediaError | None:
    """What an error of a data set says of a picture that cannot be decoded, `None` where it is of another kind."""
    found = re.search(rf"\[{_BAD_PICTURE}\] \[.*?\] \[([\w-]*)\]$", str(error), re.MULTILINE)
    if found is None:
        return None
    path = os.fsdecode(base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
    try:
        images.read_picture(path)
    except MediaError as known:
        return known
    return MediaError(path, "not a readable JPEG or PNG", "Replace it with a fresh copy.")


@contextlib.contextmanager
def naming_bad_pictures() -> Iterator[None]:
    """Turns the error of a data set about a picture into a line that names it.

    Raises:
        MediaError: It cannot be decoded.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if (named := bad_picture(error)) is None:
            raise
        raise named from error


def turn_upright(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """`tfav.io.images.turn_upright` as graph operations; `orientation` is a scalar int32 tensor."""
    steps = tf.constant([images.orientation_steps(number) for number in range(9)])[orientation]
    picture = tf.cond(steps[0], lambda: tf.transpose(picture, [1, 0, 2]), lambda: picture)
    picture = tf.cond(steps[1], lambda: picture[::-1], lambda: picture)
    return tf.cond(steps[2], lambda: picture[:, ::-1], lambda: picture)


def resize(picture: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """`tfav.io.images.resize` as graph operations: `[H, W, C]` uint8 to `[height, width, C]` uint8, within rounding."""

    def to(size, method):
        # A mean of uint8 values stays within 0-255, so that rounding needs no clipping.
        return lambda: tf.cast(tf.image.resize(picture, size, method=method) + 0.5, tf.uint8)

    wanted = tf.constant([height, width])
    small = tf.minimum(tf.shape(picture)[:2], wanted)
    picture = tf.cond(tf.reduce_all(tf.shape(picture)[:2] == small), lambda: picture, to(small, "area"))
    picture = tf.cond(tf.reduce_all(small == wanted), lambda: picture, to(wanted, "bilinear"))
    return tf.ensure_shape(picture, [height, width, picture.shape[-1]])


def _seed_of_batch(seeds: tf.Tensor) -> tf.Tensor:
    """A seed that none of the batch's examples has, nor any that is split off from theirs, out of the first one's."""
    return tf.random.fold_in(seeds[0], tf.constant(-1, tf.int64))


def _rows(columns: Columns) -> tuple[tf.data.Dataset, int]:
    if isinstance(columns, tf.data.Dataset):
        count = int(columns.cardinality())
        if count < 0 and not tf_data_service.is_wanted():
            raise ValueError("a data set of rows must know their number; see tf.data.experimental.assert_cardinality")
    else:
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"columns must be equally long. Received: {lengths}")
        count = next(iter(lengths.values()))
    if count == 0:
        raise DataError("there are no examples to make a data set of. Check the data folder and the split.")
    return columns if isinstance(columns, tf.data.Dataset) else tf.data.Dataset.from_tensor_slices(columns), count


def _cached(dataset: tf.data.Dataset, cache: str | Path | None) -> tf.data.Dataset:
    if cache is None:
        return dataset
    return dataset.cache() if cache == "memory" else dataset.cache(str(cache))
