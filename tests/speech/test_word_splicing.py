"""Spliced clips: every frame, frame label and symbol comes from one of the two clips, and they belong together."""

import numpy as np
import pytest
import tensorflow as tf

from tfav.speech import grid
from tfav.speech.tokenizer import TOKENIZERS
from tfav.speech.word_splicing import splice_batch

LENGTH = 24
SYMBOLS = TOKENIZERS["compact"]
# Sentence, and the frames of each word; silence before, between some, and after.
CLIPS = (
    ("bin at a two", [(1, 5), (5, 9), (10, 14), (14, 18)], 20),
    ("set by b six", [(1, 5), (5, 10), (10, 14), (15, 20)], 22),
)


def make_batch(clips, *, known=True):
    """Clip `i` has frames of the values `100 * i + 1 + place`; what is padding is 0."""
    frames = np.zeros((len(clips), LENGTH, 1, 1, 1), np.uint8)
    words = np.full((len(clips), LENGTH), grid.UNKNOWN, np.int32)
    labels = np.full((len(clips), LENGTH), SYMBOLS.blank, np.int32)
    for row, (text, spans, count) in enumerate(clips):
        frames[row, :count, 0, 0, 0] = 100 * row + 1 + np.arange(count)
        if known:
            words[row, :count] = grid.SILENCE
            for word, (start, end) in zip(text.split(), spans, strict=True):
                words[row, start:end] = 1 + grid.WORDS.index(word)
        codes = SYMBOLS.encode(text)
        labels[row, : len(codes)] = codes
    counts = np.array([count for *_, count in clips], np.int32)
    inputs = {"frames": tf.constant(frames), "frame_count": tf.constant(counts)}
    return inputs, {"labels": tf.constant(labels), "words": tf.constant(words)}


def with_sound(batch):
    """The same, where the sound of a frame is the frame's value."""
    inputs, targets = batch
    values = tf.cast(inputs["frames"][:, :, 0, 0], tf.float32)
    heard = tf.repeat(tf.where(values > 0, values, np.nan), 3, axis=-1)
    return inputs, {**targets, "sound": heard}


def splice(batch, seed, probability=1.0):
    inputs, targets = splice_batch(SYMBOLS, probability, LENGTH)(*batch, tf.constant([seed, 1], tf.int64))
    return [x.numpy() for x in (inputs["frames"][..., 0, 0, 0], inputs["frame_count"], *targets.values())]


def text_of(labels):
    return SYMBOLS.decode([code for code in labels if code != SYMBOLS.blank])


def said_in(words):
    """The words that begin somewhere in the frame labels."""
    pairs = zip(words, [grid.SILENCE, *words], strict=False)
    return [grid.WORDS[word - 1] for word, before in pairs if word > 0 and word != before]


def test_frames_frame_labels_and_symbols_stay_together():
    batch = make_batch(CLIPS)
    own_words = batch[1]["words"].numpy()
    seen = set()
    for seed in range(60):
        frames, counts, labels, words = splice(batch, seed)
        for row in range(2):
            count = counts[row]
            values = frames[row, :count].astype(int)
            assert (values > 0).all() and not frames[row, count:].any()
            sources, places = np.divmod(values - 1, 100)
            np.testing.assert_array_equal(words[row, :count], own_words[sources, places])
            assert (words[row, count:] == grid.UNKNOWN).all()
            said = said_in(words[row])
            assert " ".join(said) == text_of(labels[row])
            # One stretch of words is the other's, and it stands where it stood.
            origin = [int(word in CLIPS[1][0].split()) for word in said]
            assert len(said) == 4 and np.count_nonzero(np.diff(origin)) <= 2
            assert row != 0 or 1 in origin
            seen.add(text_of(labels[row]))
    assert {"bin by b six", "bin by a two", "set at a two", "bin at a six", "set by a two"} <= seen


@pytest.mark.parametrize("short", [0, 1])
def test_a_short_word_stays_with_the_one_behind_it(short):
    clips = list(CLIPS)
    text, spans, count = clips[short]
    clips[short] = (text, [spans[0], (spans[2][0] - 3, spans[2][0]), *spans[2:]], count)
    batch, seen = make_batch(clips), set()
    for seed in range(60):
        _, _, labels, _ = splice(batch, seed)
        seen.add(text_of(labels[0]))
    assert {"bin by b two", "set at a two"} <= seen
    assert not any("at b" in text or "by a" in text for text in seen)


def test_sound_goes_with_its_frames():
    batch, mixed = with_sound(make_batch(CLIPS)), False
    for seed in range(20):
        frames, counts, _, _, heard = splice(batch, seed)
        for row, count in enumerate(counts):
            np.testing.assert_array_equal(heard[row, :count], np.repeat(frames[row, :count, None], 3, axis=1))
            assert np.isnan(heard[row, count:]).all()
            mixed |= len(set(frames[row, :count] > 100)) == 2
    assert mixed


@pytest.mark.parametrize(
    "batch",
    [
        make_batch(CLIPS, known=False),
        make_batch([CLIPS[0], ("set by b", [(1, 4), (4, 9), (9, 11)], 22)]),  # other words in other places
        make_batch([CLIPS[0], ("by", [(1, 4)], 9)]),
        make_batch(CLIPS[:1]),  # nobody to take from
    ],
)
def test_what_cannot_be_spliced_stays(batch):
    for seed in range(8):
        frames, counts, labels, words = splice(batch, seed)
        np.testing.assert_array_equal(frames, batch[0]["frames"][..., 0, 0, 0])
        np.testing.assert_array_equal(counts, batch[0]["frame_count"])
        np.testing.assert_array_equal(labels, batch[1]["labels"])
        np.testing.assert_array_equal(words, batch[1]["words"])


def test_share_of_spliced_clips():
    batch = make_batch(CLIPS)
    changed = [text_of(splice(batch, seed, 0.3)[2][0]) != CLIPS[0][0] for seed in range(200)]
    assert 0.2 < np.mean(changed) < 0.4


def test_what_would_be_too_long_stays():
    long = ("set by b six", [(0, 3), (3, 8), (8, 20), (20, 23)], 24)
    late = ("bin at a two", [(15, 17), (17, 19), (19, 21), (21, 23)], 24)
    for seed in range(40):
        _, counts, labels, words = splice(make_batch([late, long]), seed)
        assert (counts <= LENGTH).all()
        for row in range(2):
            assert " ".join(said_in(words[row])) == text_of(labels[row])
