"""The beam against a search of all paths, and what scorers add."""

import itertools

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.speech.beam_search import CharacterModel, WordModel, prefix_beam
from tfav.speech.language_model import END, START, characters, estimate

SYMBOLS = ["", " ", "a", "b"]
MODEL = estimate(["a b", "a ab", "ab a", "b b a"], order=2)
LETTERS = estimate([characters(text) for text in ("a b", "a ab", "ab a")], order=3)


def posteriors(seed, num_frames=5):
    scores = np.random.default_rng(seed).normal(0, 1.5, (num_frames, len(SYMBOLS)))
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def text_of(symbols):
    return "".join(SYMBOLS[symbol] for symbol in symbols)


def all_texts(log_probs):
    """Every text that some path spells, with the sum over all its paths."""
    found = {}
    for path in itertools.product(range(len(SYMBOLS)), repeat=len(log_probs)):
        symbols = tuple(one for one, _ in itertools.groupby(path) if one)
        score = sum(log_probs[frame, symbol] for frame, symbol in enumerate(path))
        found[symbols] = np.logaddexp(found.get(symbols, -np.inf), score)
    return found


def word_score(symbols, weight, bonus, hot=None, allowed=None):
    text = text_of(symbols)
    if text.startswith(" ") or "  " in text:
        return -np.inf
    words = text.split()
    if allowed is not None and set(words) - set(allowed):
        return -np.inf
    added = sum(weight * MODEL.log_prob(word, [START, *words[:n]]) for n, word in enumerate(words))
    return added + weight * MODEL.log_prob(END, [START, *words]) + sum(bonus + (hot or {}).get(w, 0) for w in words)


@pytest.mark.parametrize("seed", range(4))
def test_alone_it_finds_what_all_paths_say(seed):
    log_probs = posteriors(seed)
    expected = sorted(all_texts(log_probs).items(), key=lambda item: -item[1])[:5]
    found = prefix_beam(log_probs, beam_width=2000, count=5)
    assert [(one.symbols, pytest.approx(one.score)) for one in found] == expected


@pytest.mark.parametrize(
    "options",
    [{}, {"hot_words": {"ab": 2.5}}, {"words": ["a", "ab"]}],
    ids=["model", "hot words", "closed list"],
)
@pytest.mark.parametrize("seed", range(3))
def test_with_words_it_finds_the_best_of_all_texts(seed, options):
    log_probs = posteriors(seed)
    hot, allowed = options.get("hot_words"), options.get("words")
    scored = {text: score + word_score(text, 0.7, 0.3, hot, allowed) for text, score in all_texts(log_probs).items()}
    best = max(scored, key=scored.get)
    (found,) = prefix_beam(
        log_probs, beam_width=2000, scorer=WordModel(MODEL, SYMBOLS, weight=0.7, bonus=0.3, **options)
    )
    assert found.score == pytest.approx(scored[best]) and text_of(found.symbols).strip() == text_of(best).strip()


@pytest.mark.parametrize("seed", range(3))
def test_with_characters_it_finds_the_best_of_all_texts(seed):
    log_probs = posteriors(seed)
    scored = {
        text: score + 0.5 * LETTERS.score(characters(text_of(text))) + 0.2 * len(text)
        for text, score in all_texts(log_probs).items()
    }
    best = max(scored, key=scored.get)
    (found,) = prefix_beam(log_probs, beam_width=2000, scorer=CharacterModel(LETTERS, SYMBOLS, weight=0.5, bonus=0.2))
    assert (found.symbols, found.score) == (best, pytest.approx(scored[best]))


def test_each_option_matters():
    log_probs = posteriors(7, num_frames=8)
    texts = {
        text_of(prefix_beam(log_probs, scorer=WordModel(*arguments, **options))[0].symbols)
        for arguments, options in [
            ((None, SYMBOLS), {"words": ["ab"]}),
            ((None, SYMBOLS), {"words": ["b"]}),
            ((MODEL, SYMBOLS), {"bonus": 50.0}),
            ((MODEL, SYMBOLS), {"bonus": -50.0}),
        ]
    }
    assert len(texts) == 4


def test_a_narrow_beam_never_scores_above_a_wide_one():
    log_probs = posteriors(3, num_frames=30)
    narrow, wide = (prefix_beam(log_probs, beam_width=width)[0].score for width in (2, 200))
    assert narrow <= wide + 1e-9


def test_posteriors_may_be_sure_of_themselves():
    log_probs = np.full((4, 4), -np.inf)
    log_probs[range(4), [2, 0, 2, 3]] = 0.0
    assert prefix_beam(log_probs)[0].symbols == (2, 2, 3)
    assert prefix_beam(log_probs, scorer=WordModel(None, SYMBOLS, words=["b"])) == []


def test_arguments_out_of_range_and_symbols_without_a_space():
    with pytest.raises(UsageError, match="1 or more"):
        prefix_beam(posteriors(0), beam_width=0)
    with pytest.raises(UsageError, match="no space"):
        WordModel(None, ["", "a"])
