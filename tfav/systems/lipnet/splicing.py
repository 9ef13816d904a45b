"""New sentences out of several: each word of one clip of the batch or another, cut where the alignments say.

A few hundred clips can be learnt by heart: a model that knows a clip by its first word has no need to look at the
letter. Put together from several, none is known.
"""

import tensorflow as tf

from tfav.data import ops
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.corpus import SILENCE, UNKNOWN

# A shorter word runs into the one behind it, as GRID's prepositions do into the letter: the two are not cut apart.
_SHORT = 4  # frames
_GO_OVER = 0.5  # chance that another clip goes on, at each place that may be cut

# What there is of each frame, and its value beyond the last one.
_PADDING = {"frames": 0, "words": UNKNOWN, "sound": float("nan")}


def splice_batch(config: Config):
    """A function of `(inputs, targets, seed)` on batches of clips as stored, before they are augmented.

    With probability `config.splice` a clip is put together anew: it begins as it was, and behind each word another
    clip of the batch, drawn at random, may go on with the word in the next place: frames, sound, frame labels and
    symbols. A word of less than four frames stays with the one behind it. Silence between words goes with the one
    before; where all is too long, silence at both ends is cut. Clips stay as they are where it is not known when the
    words are spoken, where no other one has as many, and where the outcome would still be too long.
    """
    symbols = config.symbols()
    space = symbols.encode(" ")[0]

    def apply(inputs, targets, seed):
        clips = {**inputs, **targets}
        words = _Words(clips, symbols.blank, space)
        size = tf.shape(words.numbers)[0]
        sources = _draw_sources(words, ops.split_seed(seed, 1))
        spliced = tf.random.stateless_uniform([size], ops.split_seed(seed, 0)) < config.splice
        spliced &= _fits(config, words, sources)
        sources = tf.where(spliced[:, None], sources, tf.range(size)[:, None])
        frames = _places(*_frame_spans(config, words, sources), sources, config.num_frames)
        labels = _places(*_spans(words.label_starts, sources), sources, config.max_labels)
        new = {"frame_count": tf.cast(frames.row_lengths(), tf.int32)}
        new["labels"] = _take(clips["labels"], labels, symbols.blank)
        for name in _PADDING.keys() & clips.keys():
            new[name] = _take(clips[name], frames, _PADDING[name])
        return {name: new[name] for name in inputs}, {name: new[name] for name in targets}

    return apply


class _Words:
    """Where the words of each clip are.

    Attributes:
        numbers: `[B]` int32, words of a clip; 1, all of it, where frames and symbols do not tell the same number.
        most: The largest of them.
        starts: `[B, most + 1]` int32, first frame of each word, behind them the frame count. The first word has the
            silence before it, too.
        label_starts: Likewise, first symbol of each word. A word has the space behind it, too.
        needs: Likewise, frames that CTC needs for all words before each one.
        before: `[B]` int32, frames of silence before the first word.
        behind: `[B]` int32, and behind the last one.
    """

    def __init__(self, clips, blank: int, space: int):
        labels, frames, counts = clips["labels"], clips["words"], clips["frame_count"]
        is_real, is_symbol = tf.sequence_mask(counts, frames.shape[1]), labels != blank
        # Of each frame the number of its word, 1 for the first, 0 before; of each symbol likewise, from 0.
        begins = is_real & (frames != SILENCE) & (frames != _previous(frames, SILENCE))
        spoken = tf.cumsum(tf.cast(begins, tf.int32), axis=1)
        spelled = tf.cumsum(tf.cast(labels == space, tf.int32), axis=1, exclusive=True)
        number = tf.reduce_max(spoken, axis=1)
        known = tf.reduce_all(~is_real | (frames != UNKNOWN), axis=1) & (number == tf.reduce_max(spelled, axis=1) + 1)
        self.numbers = tf.where(known, number, 1)
        self.most = tf.reduce_max(self.numbers)
        self.starts = self._count_before(is_real, spoken - 1)
        self.label_starts = self._count_before(is_symbol, spelled)
        twice = is_symbol & (labels == _previous(labels, blank))  # CTC parts double letters
        self.needs = self.label_starts + self._count_before(twice, spelled)
        is_silent = is_real & (frames == SILENCE)
        self.before = tf.reduce_sum(tf.cast(is_silent & (spoken == 0), tf.int32), axis=1)
        to_come = tf.cumsum(tf.cast(is_real & ~is_silent, tf.int32), axis=1, reverse=True)
        self.behind = tf.reduce_sum(tf.cast(is_real & (to_come == 0), tf.int32), axis=1)

    def _count_before(self, counted, word):
        """How many places count before each word begins, and behind the last one in all: `[B, most + 1]`."""
        bounds = tf.range(self.most + 1)
        below = counted[:, None] & (word[:, None] < bounds[:, None])
        numbers = tf.reduce_sum(tf.cast(below, tf.int32), axis=2)
        total = tf.reduce_sum(tf.cast(counted, tf.int32), axis=1)[:, None]
        return tf.where(bounds == 0, 0, tf.where(bounds < self.numbers[:, None], numbers, total))


def _previous(x, first):
    return tf.pad(x[:, :-1], [[0, 0], [1, 0]], constant_values=first)


def _draw_sources(words: _Words, seed):
    """The clip that each word of each new one is taken from, `[B, most]`."""
    shape = [words.most, tf.shape(words.numbers)[0]]
    goes_over = tf.random.stateless_uniform(shape, ops.split_seed(seed, 0)) < _GO_OVER
    others = tf.random.stateless_uniform(shape, ops.split_seed(seed, 1), 0, shape[1], tf.int32)
    is_long = words.starts[:, 1:] - words.starts[:, :-1] >= _SHORT

    def step(source, number):
        other = others[number]
        clean = tf.gather(is_long[:, number - 1], source) & tf.gather(is_long[:, number - 1], other)
        alike = (number < words.numbers) & (tf.gather(words.numbers, other) == words.numbers)
        return tf.where(goes_over[number] & clean & alike, other, source)

    first = tf.range(shape[1])
    return tf.transpose(tf.concat([first[None], tf.scan(step, tf.range(1, words.most), first)], axis=0))


def _spans(starts, sources):
    """First and last place, exclusive, of each word of the new clips in its old one, `[B, most]` each."""
    numbers = tf.broadcast_to(tf.range(tf.shape(sources)[1]), tf.shape(sources))
    return [tf.gather_nd(starts, tf.stack([sources, numbers + end], axis=2)) for end in (0, 1)]


def _frame_spans(config: Config, words: _Words, sources):
    """The same of frames; at both ends as much silence is left out, in shares alike, as there is no room for."""
    starts, ends = _spans(words.starts, sources)
    before, behind = tf.gather(words.before, sources[:, 0]), tf.gather(words.behind, sources[:, -1])
    surplus = tf.clip_by_value(tf.reduce_sum(ends - starts, axis=1) - config.num_frames, 0, before + behind)
    cut = surplus * before // tf.maximum(before + behind, 1)
    first, last = (tf.one_hot(number, words.most, dtype=tf.int32) for number in (0, words.numbers - 1))
    return starts + first * cut[:, None], ends - last * (surplus - cut)[:, None]


def _fits(config: Config, words: _Words, sources):
    """Whether new clips have room for their frames and symbols, and frames enough for CTC: `[B]`."""
    frames, symbols, needed = (
        tf.reduce_sum(ends - starts, axis=1)
        for starts, ends in (
            _frame_spans(config, words, sources),
            _spans(words.label_starts, sources),
            _spans(words.needs, sources),
        )
    )
    return (frames <= config.num_frames) & (symbols <= config.max_labels) & (needed <= frames)


def _places(starts, ends, sources, length: int) -> tf.RaggedTensor:
    """Where all of the new clips stands in the old ones laid end to end: `[B, (n)]`."""
    offsets = length * sources
    pieces = tf.ragged.range(tf.reshape(starts + offsets, [-1]), tf.reshape(ends + offsets, [-1]))
    return tf.RaggedTensor.from_row_lengths(pieces.values, tf.reduce_sum(ends - starts, axis=1))


def _take(column, places: tf.RaggedTensor, padding):
    """What of `[B, length, ...]` stands at these places, padded to that length."""
    entries = tf.reshape(column, [-1, *column.shape[2:]])
    taken = tf.RaggedTensor.from_row_splits(tf.gather(entries, places.values), places.row_splits)
    shape = [None, *column.shape[1:]]
    return tf.ensure_shape(taken.to_tensor(tf.constant(padding, column.dtype), shape=shape), column.shape)
