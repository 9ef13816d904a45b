"""Word times from the text alone: where words begin by a word head that hardly knows them."""

import numpy as np
import pytest

from tfav.speech.self_alignment import agree, realign_epochs, realign_words, spread_words

# Of silence and four words. Where somebody speaks, most goes to words that are not the clip's.
SILENT, FIRST, SECOND = [0.55, 0.3, 0.05, 0.05, 0.05], [0.3, 0.2, 0.05, 0.25, 0.2], [0.3, 0.05, 0.2, 0.25, 0.2]


def test_silence_is_told_from_all_words_and_words_from_the_clips_own():
    log_probs = np.log([*[SILENT] * 3, *[FIRST] * 4, *[SECOND] * 3, *[SILENT] * 2])
    assert realign_words([1, 2], log_probs).tolist() == [0] * 3 + [1] * 4 + [2] * 3 + [0] * 2


def test_a_word_that_is_not_known_stands_where_the_others_do_not():
    unknown = [0.1, 0.05, 0.05, 0.4, 0.4]
    log_probs = np.log([[0.05, 0.8, 0.05, 0.05, 0.05]] * 4 + [unknown] * 3 + [[0.05, 0.05, 0.8, 0.05, 0.05]] * 3)
    assert realign_words([1, -1, 2], log_probs).tolist() == [1] * 4 + [-1] * 3 + [2] * 3


def test_more_words_than_frames_or_none_are_silence():
    log_probs = np.log(np.full((2, 5), 0.2))
    assert not realign_words([1, 2, 3], log_probs).any() and not realign_words([], log_probs).any()


def test_a_flat_start_gives_each_word_frames_by_its_letters():
    active = np.arange(20) // 15 == 0
    active[:3] = False
    assert spread_words([1, 2], [1, 3], active).tolist() == [0] * 3 + [1] * 4 + [2] * 8 + [0] * 5


def test_agreement_is_what_goes_beyond_chance():
    labels = np.array([0, 1, 1, 2, 2, 0])
    seen = np.log(np.full((6, 4), 0.1))
    for frame, word in enumerate([3, 1, 2, 2, 2, 3]):  # silence and other words do not count
        seen[frame, word] = 0
    assert agree(labels, seen) == pytest.approx((3 / 4 - 1 / 2) / (1 / 2))
    assert np.isnan(agree(np.array([0, 1, 1]), seen[:3]))


def test_words_are_aligned_often_at_first_and_never_at_the_end():
    epochs = realign_epochs(40)
    assert epochs[:3] == [2, 3, 4] and max(epochs) < 30
    assert np.all(np.diff(epochs) >= 1) and realign_epochs(1) == [2]
