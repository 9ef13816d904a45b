"""Made sentences show and sing what they say, when they say it."""

import numpy as np

from tfav.data import shards
from tfav.speech.synthetic_speaker import WORDS, letter_hz, letter_shape
from tfav.systems.av_words.demo import HEARD_ALIKE, SEEN_ALIKE, make_shards


def record_of(index, entry):
    return next(shards.read_rows(index, [entry]).map(shards.decoder(index)).as_numpy_iterator())


def test_words_are_seen_and_heard_at_their_times(made_index):
    for entry in made_index.entries[:6]:
        record = record_of(made_index, entry)
        frames, sound = record["frames"].astype(float), record["audio"].astype(float) / 32768
        assert len(sound) == 640 * len(frames)
        spoken = np.zeros(len(frames), bool)
        for word, (start, end) in zip(entry.words, np.reshape(entry.word_times_sec, (-1, 2)) * 25, strict=True):
            first, last = round(start), round(end)
            spoken[first:last] = True
            letters = WORDS[word][1]
            for place, letter in enumerate(letters):
                begin = (first + place * (last - first) // len(letters)) * 640
                piece = sound[begin : begin + 2560]
                peak = np.abs(np.fft.rfft(piece)).argmax() * 16000 / len(piece)
                assert abs(peak - letter_hz(letter)) < 7
        moved = np.abs(frames - frames[0]).mean(axis=(1, 2, 3)) > 5.5  # noise alone gives 4.5
        np.testing.assert_array_equal(moved, spoken)
        loud = np.sqrt((sound.reshape(-1, 640) ** 2).mean(axis=1)) > 0.02
        np.testing.assert_array_equal(loud, spoken)


def test_one_pair_looks_alike_another_sounds_alike_and_no_pair_both():
    looks = {word: [letter_shape(letter) for letter in letters] for word, (letters, _) in WORDS.items()}
    sounds = {word: letters for word, (_, letters) in WORDS.items()}
    pairs = [(a, b) for a in WORDS for b in WORDS if a < b]
    assert [pair for pair in pairs if looks[pair[0]] == looks[pair[1]]] == [SEEN_ALIKE]
    assert [pair for pair in pairs if sounds[pair[0]] == sounds[pair[1]]] == [HEARD_ALIKE]


def test_the_same_seed_gives_the_same_sentences(tmp_path):
    first, again, other = (
        make_shards(tmp_path / str(number), num_sentences=2, seed=seed) for number, seed in enumerate((0, 0, 1))
    )
    one, two, three = (record_of(index, index.entries[1]) for index in (first, again, other))
    np.testing.assert_array_equal(one["frames"], two["frames"])
    np.testing.assert_array_equal(one["audio"], two["audio"])
    assert not np.array_equal(one["audio"][:20000], three["audio"][:20000])
