"""Word times from the text alone: a flat start, and hidden Markov models that find where words begin."""

import numpy as np
import pytest

from tfav.speech.self_alignment import align_words, spread_words

RNG = np.random.default_rng(0)
WORDS = RNG.normal(0, 3, (5, 3, 6))  # four words and an unknown one, each of three sounds


def test_a_flat_start_gives_each_word_frames_by_its_letters():
    active = np.arange(20) // 15 == 0
    active[:3] = False
    assert spread_words([1, 2], [1, 3], active).tolist() == [0] * 3 + [1] * 4 + [2] * 8 + [0] * 5


def say(words, rng, pause=0):
    """Frames of words, each sound two to five frames long, between silence; and what is said in each."""
    features, labels = [], []
    for number in words:
        lengths = rng.integers(2, 6, 3)
        features.append(np.repeat(WORDS[number - 1], lengths, axis=0))
        labels += [number] * lengths.sum()
        features.append(np.zeros((pause, 6)))
        labels += [0] * pause
    before, behind = rng.integers(2, 8, 2)
    frames = np.concatenate([np.zeros((before, 6)), *features, np.zeros((behind, 6))])
    frames += rng.normal(0, 0.3, frames.shape)
    return frames, np.array([0] * before + labels + [0] * behind)


@pytest.mark.parametrize("pause", [0, 6])
def test_words_are_found_where_they_are_said(pause):
    rng = np.random.default_rng(1)
    words = [rng.choice(5, 3, replace=False) + 1 for _ in range(40)]
    clips = [say(own, rng, pause) for own in words]
    active = [labels > 0 for _, labels in clips]
    for speaks in active:  # pauses are not known
        speaks[np.flatnonzero(speaks)[0] : np.flatnonzero(speaks)[-1]] = True
    lengths = [[1, 9, 1]] * 40  # a bad start
    flat = [spread_words(*clip) for clip in zip(words, lengths, active, strict=True)]
    found = align_words([frames for frames, _ in clips], words, lengths, active)
    at_first = np.mean([np.mean(one == labels) for one, (_, labels) in zip(flat, clips, strict=True)])
    right = np.mean([np.mean(one == labels) for one, (_, labels) in zip(found, clips, strict=True)])
    assert at_first < 0.75 and right > 0.95
    assert [list(dict.fromkeys(one[one > 0].tolist())) for one in found] == [own.tolist() for own in words]


def test_a_clip_too_short_for_its_words_keeps_the_flat_start():
    rng = np.random.default_rng(2)
    clips = [say([1, 2], rng)[0] for _ in range(4)] + [np.zeros((5, 6))]
    active = [np.ones(len(frames), bool) for frames in clips]
    found = align_words(clips, [[1, 2]] * 5, [[3, 3]] * 5, active)
    assert found[-1].tolist() == spread_words([1, 2], [3, 3], active[-1]).tolist()
    alone = align_words(clips[-1:], [[1, 2]], [[3, 3]], active[-1:])
    assert alone[0].tolist() == found[-1].tolist()
