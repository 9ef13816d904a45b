"""Which epoch is trained: the order and the random draws of a pass over training data follow from seed and epoch alone.

A run that goes on after a kill must be given what the epochs that are left would have been given, not what the first
ones were. A data set cannot count them: it begins anew with the process, and is opened for other reasons as well, to
look at it or by Keras once more after each epoch. So the training loop says which epoch begins: `begin`, which
`tfav.training.random_state.EpochDraws`, one of every system's callbacks, calls in Keras' `fit`.

Where nobody says so, as in a loop of one's own, a data set counts its passes from the moment it was made.
"""

import hashlib
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

_BLOCK = 256


class _Clock:
    """What `begin` was told last, and how often it was told anything."""

    def __init__(self):
        self.turn, self.epoch, self.stage = 0, 0, ""


_clock = _Clock()


def begin(epoch: int, stage: str = "") -> None:
    """Says which epoch the next pass over any training data belongs to.

    Args:
        epoch: Counted from 0 in the whole run, earlier sessions included.
        stage: Where a run trains several times on the same data, which of these trainings: each has its own draws.
    """
    _clock.turn, _clock.epoch, _clock.stage = _clock.turn + 1, epoch, stage


class _Passes:
    """Counts the passes over one data set since the epoch began."""

    def __init__(self, seed: int):
        self._seed, self._lock = seed, threading.Lock()
        # An epoch that was told before the data set was made is over.
        self._turn, self._epoch, self._stage, self._count = _clock.turn, 0, "", 0

    def next_key(self, _) -> np.ndarray:
        with self._lock:
            if self._turn != _clock.turn:
                self._turn, self._epoch, self._stage, self._count = _clock.turn, _clock.epoch, _clock.stage, 0
            name = f"{self._seed}/{self._stage}/{self._epoch}/{self._count}"
            self._count += 1
        return np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], np.int64)


def each_pass(seed: int, build: Callable[[tf.Tensor], tf.data.Dataset]) -> tf.data.Dataset:
    """A data set that is built anew for every pass, from a key that follows from the seed and the epoch.

    Args:
        seed: Another one, other keys.
        build: Maps a key, `[2]` int64, to the data set of one pass, in graph ops.

    Returns:
        What `build` gives; its cardinality is unknown to TensorFlow.
    """
    passes = _Passes(seed)

    def next_key(number):
        # Not `stateful`, or a deterministic TensorFlow would take every parallel call and prefetch out of the chain.
        key = tf.numpy_function(passes.next_key, [number], tf.int64, stateful=False)
        return tf.ensure_shape(key, [2])

    return tf.data.Dataset.range(1).map(next_key).flat_map(build)


def shuffle(dataset: tf.data.Dataset, buffer: int, key: tf.Tensor) -> tf.data.Dataset:
    """`dataset.shuffle` with a seed of two numbers, whatever TensorFlow's global seed.

    Args:
        dataset: Of any elements.
        buffer: Among so many elements the next one is drawn.
        key: `[2]` int64.
    """
    specs = tf.nest.flatten(dataset.element_spec)
    variant = tf.raw_ops.ShuffleDataset(  # the later versions count as stateful, see above
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=tf.constant(buffer, tf.int64),
        seed=key[0],
        seed2=key[1],
        output_types=[spec.dtype for spec in specs],
        output_shapes=[spec.shape for spec in specs],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)


def seeds(key: tf.Tensor, count: int) -> tf.data.Dataset:
    """A seed, `[2]` int64, for each of the `count` elements of a pass, none like another one of any pass."""

    def block_of(first):
        numbers = first + tf.range(_BLOCK, dtype=tf.int64)
        return tf.stack([tf.fill([_BLOCK], key[0]), numbers], axis=1)

    # Many at a time: a call for each element takes as long as a small row.
    return tf.data.Dataset.range(0, count, _BLOCK).map(block_of).unbatch().take(count)
