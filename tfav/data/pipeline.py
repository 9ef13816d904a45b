"""The one `tf.data` chain of all systems, as two functions: `for_training` and `for_evaluation`.

Both take columns (arrays whose first axis counts examples, or a data set of such rows, as `shards.read_rows` gives) and
a `load` function made of TensorFlow ops, so that the whole chain runs in the graph: in parallel, with no Python in the
way, and fit for a tf.data service.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.data import service, workers
from tfav.errors import DataError, UsageError

Columns = dict[str, np.ndarray] | tf.data.Dataset
Load = Callable[[dict[str, tf.Tensor]], tuple]

# Rows of a data set are shuffled among so many: they may hold whole encoded clips.
_SHUFFLED_RECORDS = 512


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
) -> tf.data.Dataset:
    """Shuffled, cached, augmented, batched, prefetched; reshuffled every epoch.

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
        seed: Order and augmentation repeat for a seed.
        drop_remainder: Leave out the last short batch.

    Returns:
        A data set of `(inputs, target)` batches, one epoch long. Where several machines train together (`workers`),
        this one's share of each batch. Inside `service.through_service`, the work is done elsewhere, and `cache` and
        `seed` are without effect.

    Raises:
        UsageError: The batch cannot be shared by the machines, or a service cannot do the work.
        DataError: There are no examples.
    """
    dataset, count = _rows(columns)
    if service.is_wanted():
        return _through_service(dataset, count, load, batch_size, augment, augment_batch, passes, drop_remainder)
    here = workers.place()
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
    dataset = dataset.shuffle(buffer, seed=seed, reshuffle_each_iteration=True).repeat(passes)
    if augment is not None:
        dataset = _with_seeds(dataset, seed)
    if here.count > 1:
        # All machines shuffle alike, and each takes its share of every batch; equally many, since none may wait for
        # another at the end. Loading comes after it, so nothing is decoded twice.
        dataset = dataset.take(passes * count // here.count * here.count).shard(here.count, here.index)
    if cache is None:
        load_row = load
        if augment is not None:
            load_row = lambda row, seed: (load(row), seed)  # noqa: E731
        dataset = dataset.map(load_row, num_parallel_calls=tf.data.AUTOTUNE)
    if augment is not None:
        dataset = dataset.map(lambda loaded, seed: augment(*loaded, seed), num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(
        batch_size // here.count, drop_remainder=drop_remainder, num_parallel_calls=tf.data.AUTOTUNE
    )
    if augment_batch is not None:
        dataset = _with_seeds(dataset, seed + 1)
        dataset = dataset.map(lambda batch, seed: augment_batch(*batch, seed), num_parallel_calls=tf.data.AUTOTUNE)
    return served(dataset, is_share=here.count > 1)


def _through_service(dataset, count, load, batch_size, augment, augment_batch, passes, drop_remainder):
    """The chain of `for_training` for a tf.data service: no cache, which would be another one on each worker."""

    def prepare(row):
        loaded = load(row)
        return loaded if augment is None else augment(*loaded, service.draw_seed())

    with service.without_seed():
        buffer = count if count > 0 else _SHUFFLED_RECORDS
        dataset = dataset.shuffle(buffer, reshuffle_each_iteration=True).repeat(passes)
        dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.batch(batch_size, drop_remainder=drop_remainder, num_parallel_calls=tf.data.AUTOTUNE)
        if augment_batch is not None:
            dataset = dataset.map(
                lambda *batch: augment_batch(*batch, service.draw_seed()), num_parallel_calls=tf.data.AUTOTUNE
            )
        return served(service.distribute(dataset))


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
        row[: len(frames)] = [str(path).encode() for path in frames[:num_frames]]
    return column


def decode_frames(height: int, width: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Reads the image files of one clip.

    Returns:
        A function of a `[T]` string tensor (a row of `frame_column`) that gives `[T, height, width, 3]` uint8 RGB,
        black where the path is empty, and the `[T]` bool mask of the frames that are real.
    """

    def read(path):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.ensure_shape(image, [None, None, 3])

    def resize(frames):
        # All frames in one call, and straight from uint8: a loop over float frames takes twice the time. A mean of
        # uint8 values stays within 0-255, so that rounding needs no clipping.
        return tf.cast(tf.image.resize(frames, (height, width)) + 0.5, tf.uint8)  # bilinear

    def decode(paths):
        mask = tf.strings.length(paths) > 0
        # Clips run in parallel already, one per core, so the frames of one clip need not.
        frames = tf.map_fn(read, tf.boolean_mask(paths, mask), fn_output_signature=tf.uint8, parallel_iterations=1)
        same = tf.reduce_all(tf.equal(tf.shape(frames)[1:3], [height, width]))
        frames = tf.cond(same, lambda: frames, lambda: resize(frames))
        missing = tf.shape(paths)[0] - tf.shape(frames)[0]
        frames = tf.pad(frames, [[0, missing], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(frames, [paths.shape[0], height, width, 3]), mask

    return decode


def _with_seeds(dataset: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    # Seeds come with the elements, so that they do not depend on which of the parallel calls is first, and are drawn
    # anew each epoch, which random operations in a mapped function are not once the global seed is set.
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2, drop_remainder=True)
    return tf.data.Dataset.zip(dataset, seeds)


def _rows(columns: Columns) -> tuple[tf.data.Dataset, int]:
    if isinstance(columns, tf.data.Dataset):
        count = int(columns.cardinality())
        if count < 0 and not service.is_wanted():
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
