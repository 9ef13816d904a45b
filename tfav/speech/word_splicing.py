"""New sentences out of two: some words of one clip in the place of another's, cut where the alignments say.

GRID draws its words independently of one another, and a few hundred sentences can be learnt by heart: a model that
knows that `green` was followed by `at` once has no need to look. Spliced clips close that way.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from tfav.data import augment
from tfav.speech.grid import SILENCE, UNKNOWN
from tfav.speech.tokenizer import Tokenizer

# A shorter word runs into the one behind it, as GRID's prepositions do into the letter: the two are not cut apart.
_SHORT = 4  # frames

# What there is of each frame, and its value beyond the last one.
_PADDING = {"frames": 0, "words": UNKNOWN, "sound": float("nan")}


def splice_batch(symbols: Tokenizer, probability: float, num_frames: int) -> Callable:
    """A function of `(inputs, targets, seed)` on batches of clips as stored, before they are augmented.

    Each clip gives up the words from a place drawn at random to another, with their frames and sound, for those in the
    same places of the clip before it in the batch. A word of less than four frames stays with the one behind it. Clips
    stay as they are where it is not known when the words are spoken, where the two differ in their number, and where
    the outcome would be too long.

    Args:
        symbols: Of the labels.
        probability: Share of the clips that are spliced.
        num_frames: Length of a clip, and of its labels, in the batch.
    """
    space = tf.constant(symbols.encode(" ")[0], tf.int32)

    splice_one = functools.partial(_splice, probability, num_frames, symbols.blank, space)

    def apply(inputs, targets, seed):
        clips = {**inputs, **targets}
        others = {name: tf.roll(column, 1, axis=0) for name, column in clips.items()}
        size = tf.shape(inputs["frame_count"])[0]
        spliced = tf.map_fn(
            lambda row: splice_one(row[0], row[1], augment.split_seed(seed, row[2])),
            (clips, others, tf.range(size)),
            fn_output_signature={name: tf.TensorSpec(x.shape[1:], x.dtype) for name, x in clips.items()},
        )
        return {name: spliced[name] for name in inputs}, {name: spliced[name] for name in targets}

    return apply


def _splice(probability: float, num_frames: int, blank: int, space, clip, other, seed):
    """One clip with words of another; both are what `apply` takes, of one row."""
    count, labels, words = clip["frame_count"], clip["labels"], clip["words"]
    other_count, other_labels, other_words = other["frame_count"], other["labels"], other["words"]
    starts, ends = _word_starts(words, count), _word_starts(other_words, other_count)
    places, size = _label_starts(labels, blank, space)
    other_places, other_size = _label_starts(other_labels, blank, space)
    number = tf.size(starts) - 1
    same = (tf.size(ends) == tf.size(starts)) & (tf.size(places) == tf.size(starts))
    same &= (tf.size(other_places) == tf.size(starts)) & (number > 1)
    same &= tf.reduce_all(words[:count] != UNKNOWN) & tf.reduce_all(other_words[:other_count] != UNKNOWN)
    same &= tf.random.stateless_uniform([], augment.split_seed(seed, 0)) < probability

    def spliced():
        # The words `first` to `last`, exclusive, are the other's; with the last word goes the silence after it.
        long = tf.minimum(starts[1:number] - starts[: number - 1], ends[1:number] - ends[: number - 1]) >= _SHORT
        cuts = tf.cast(tf.where(tf.pad(long, [[1, 1]], constant_values=True))[:, 0], tf.int32)
        one = tf.random.stateless_uniform([], augment.split_seed(seed, 1), 0, tf.size(cuts) - 1, tf.int32)
        two = tf.random.stateless_uniform([], augment.split_seed(seed, 2), one + 1, tf.size(cuts), tf.int32)
        first, last = cuts[one], cuts[two]
        at_end = last == number
        chosen = tf.concat(
            [
                tf.range(starts[first]),
                num_frames + tf.range(ends[first], ends[last]),
                tf.range(starts[last], count),
            ],
            axis=0,
        )
        spelled = tf.concat(
            [
                labels[: places[first]],
                # Inside a sentence a word brings its space along, at its end there is none.
                other_labels[other_places[first] : tf.where(at_end, other_size, other_places[last])],
                labels[tf.where(at_end, size, places[last]) : size],
            ],
            axis=0,
        )
        new_count, new_size = tf.size(chosen), tf.size(spelled)

        def fits():
            padded = tf.pad(spelled, [[0, num_frames - new_size]], constant_values=blank)
            new = {"frame_count": new_count, "labels": padded}
            for name, padding in _PADDING.items():
                if name in clip:
                    taken = tf.gather(tf.concat([clip[name], other[name]], axis=0), chosen)
                    paddings = [[0, num_frames - new_count], *[[0, 0]] * (len(taken.shape) - 1)]
                    new[name] = tf.pad(taken, paddings, constant_values=tf.constant(padding, taken.dtype))
            return {name: new[name] for name in clip}

        needed = new_size + tf.reduce_sum(tf.cast(spelled[1:] == spelled[:-1], tf.int32))  # CTC parts double letters
        ok = (new_count <= num_frames) & (needed <= new_count)
        return tf.cond(ok, fits, lambda: clip)

    result = tf.cond(same, spliced, lambda: clip)
    return {name: tf.ensure_shape(new, clip[name].shape) for name, new in result.items()}


def _word_starts(words: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Frames at which words begin, and behind them the number of frames."""
    real = words[:count]
    before = tf.concat([[SILENCE], real[:-1]], axis=0)
    begins = tf.where((real != before) & (real != SILENCE))[:, 0]
    return tf.concat([tf.cast(begins, tf.int32), [count]], axis=0)


def _label_starts(labels: tf.Tensor, blank: int, space: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where words begin among the symbols, behind them the number of symbols; and that number."""
    size = tf.reduce_sum(tf.cast(labels != blank, tf.int32))
    after_spaces = tf.cast(tf.where(labels[:size] == space)[:, 0], tf.int32) + 1
    return tf.concat([[0], after_spaces, [size]], axis=0), size
