"""Windows with other neighbours: what is said before and after the word comes from another window, cut where the word
begins and ends.

A word has but some dozen recordings, each between the same two neighbours, which a model can learn by heart in its
place.
"""

import tensorflow as tf

from tfav.data import ops
from tfav.systems.av_words.config import Config


def splice_batch(config: Config, per_frame: int):
    """A function of `(inputs, labels, seed)` on batches of windows as stored, before they are augmented.

    What lies before the word, and independently what lies after it, is taken with probability `config.splice` from the
    window before it in the batch: there too before and after the word, pictures, sound and what is being said alike.
    Where that window has nothing, at the outer ends, and where its word is not said in the middle, nothing changes.

    Args:
        config: `splice`.
        per_frame: Samples of a frame.

    Returns:
        A function that takes `frames` `[B, T, H, W, 1]`, `samples` `[B, S]` or both, `own` `[B]`, and labels `word`
        `[B]` and `said` `[B, T]` (see `recordings.list_said`), and gives the same, but `own` `[B, 2]`: of both windows.
    """

    def apply(inputs, labels, seed):
        said = labels["said"]
        num_frames = said.shape[1]
        blocks = num_frames  # of a frame's length; sound may go on beyond the last frame
        if "samples" in inputs:
            blocks = max(blocks, -(-inputs["samples"].shape[1] // per_frame))
        source = _draw_source(config, labels["word"], said, blocks, seed)
        new = {**inputs, "own": tf.stack([inputs["own"], _previous(inputs["own"])], axis=1)}
        if "frames" in inputs:
            new["frames"] = _take(inputs["frames"], source, num_frames)
        if "samples" in inputs:
            length = inputs["samples"].shape[1]
            padded = tf.pad(inputs["samples"], [[0, 0], [0, blocks * per_frame - length]])
            taken = _take(tf.reshape(padded, [-1, blocks, per_frame]), source, blocks)
            new["samples"] = tf.reshape(taken, [-1, blocks * per_frame])[:, :length]
        return new, {**labels, "said": _take(said, source, num_frames)}

    return apply


def _draw_source(config: Config, word, said, blocks: int, seed):
    """For each block `[B, blocks]` the one that it becomes: of its own window, or of the other, then `blocks` more."""
    begin, end = _bounds(word, said)
    shape = tf.shape(word)
    known = (end > begin) & (_previous(end) > _previous(begin))
    before, after = (
        (tf.random.stateless_uniform(shape, ops.split_seed(seed, number)) < config.splice) & known for number in (0, 1)
    )
    places = tf.range(blocks)[None]
    earlier = before[:, None] & (places < begin[:, None])
    later = after[:, None] & (places >= end[:, None])
    there = places + tf.where(earlier, (_previous(begin) - begin)[:, None], (_previous(end) - end)[:, None])
    other = (earlier | later) & (there >= 0) & (there < said.shape[1])
    return tf.where(other, blocks + there, places)


def _bounds(word, said):
    """First frame `[B]` of the word in the middle of each window, and the one after its last; both 0 where it is not
    said there."""
    places, middle = tf.range(said.shape[1])[None], said.shape[1] // 2
    differs = said != word[:, None]
    begin = tf.reduce_max(tf.where(differs & (places < middle), places + 1, 0), axis=1)
    end = tf.reduce_min(tf.where(differs & (places > middle), places, said.shape[1]), axis=1)
    spoken = said[:, middle] == word
    return tf.where(spoken, begin, 0), tf.where(spoken, end, 0)


def _take(column, source, blocks: int):
    """Blocks of a window and of the one before it, side by side, by number."""
    total = source.shape[1]
    numbers = source[:, :blocks]
    numbers = tf.where(numbers < total, numbers, numbers - total + blocks)
    both = tf.concat([column, _previous(column)], axis=1)
    return tf.ensure_shape(tf.gather(both, numbers, batch_dims=1), column.shape)


def _previous(column):
    return tf.roll(column, 1, axis=0)
