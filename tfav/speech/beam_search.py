"""Prefix beam search over CTC's posteriors, with language models, word lists and favoured words added as it goes.

Hannun et al., First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs, 2014.
"""

import functools
from collections.abc import Hashable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from tfav.errors import UsageError
from tfav.speech.language_model import END, START, LanguageModel

_NEVER = -np.inf


class Scorer(Protocol):
    """What is added to CTC's score of a hypothesis; states are hashable and belong to a prefix."""

    def start(self) -> Hashable:
        """State of the empty prefix."""

    def extend(self, state: Hashable) -> np.ndarray:
        """What each symbol adds when it follows, `[K]` float64; minus infinity forbids it."""

    def follow(self, state: Hashable, symbol: int) -> Hashable:
        """State after a symbol."""

    def end(self, state: Hashable) -> float:
        """What the end of the text adds."""


class Hypothesis(NamedTuple):
    """A decoded text.

    Attributes:
        symbols: Its classes, without blanks.
        score: Logarithm of CTC's probability of all its paths, and what scorers added.
    """

    symbols: tuple[int, ...]
    score: float


def prefix_beam(
    log_probs: np.ndarray, blank: int = 0, beam_width: int = 50, scorer: Scorer | None = None, count: int = 1
) -> list[Hypothesis]:
    """The best texts of a clip.

    Args:
        log_probs: `[T, K]`, natural logarithms of the posteriors.
        blank: Class of CTC's blank.
        beam_width: Hypotheses that are kept after each frame.
        scorer: A language model or word list; None: CTC alone.
        count: Number of texts wanted.

    Returns:
        Up to `count` hypotheses, the best one first; none where the scorer forbids all.

    Raises:
        UsageError: `beam_width` or `count` is below 1.

    Example:
        >>> best, = prefix_beam(np.log([[0.1, 0.9], [0.8, 0.2]]))
        >>> best.symbols
        (1,)
    """
    if beam_width < 1 or count < 1:
        raise UsageError(f"beam_width and count must be 1 or more. Received: {beam_width} and {count}")
    log_probs = np.asarray(log_probs, np.float64)
    num_symbols = log_probs.shape[1]
    extend = functools.lru_cache(maxsize=None)(scorer.extend) if scorer else None
    # Each hypothesis: logarithms of its paths that end in a blank and in its last symbol, and what scorers added.
    texts: list[tuple[int, ...]] = [()]
    states: list[Hashable] = [scorer.start() if scorer else None]
    with_blank, with_symbol, added = np.zeros(1), np.full(1, _NEVER), np.zeros(1)
    for frame in log_probs:
        place = {text: number for number, text in enumerate(texts)}
        last = np.array([text[-1] if text else -1 for text in texts])
        rows = np.arange(len(texts))
        both = np.logaddexp(with_blank, with_symbol)
        stay_blank = both + frame[blank]
        stay_symbol = np.where(last >= 0, with_symbol + frame[last], _NEVER)
        grown = both[:, None] + frame[None, :]
        grown[rows[last >= 0], last[last >= 0]] = with_blank[last >= 0] + frame[last[last >= 0]]  # a doubled letter
        grown[:, blank] = _NEVER
        for number, text in enumerate(texts):  # what grows into a text that is there already
            parent = place.get(text[:-1]) if text else None
            if parent is not None:
                stay_symbol[number] = np.logaddexp(stay_symbol[number], grown[parent, text[-1]])
                grown[parent, text[-1]] = _NEVER
        more = np.stack([extend(state) for state in states]) if scorer else np.zeros((len(texts), num_symbols))
        totals = np.concatenate(
            [np.logaddexp(stay_blank, stay_symbol) + added, (grown + added[:, None] + more).ravel()]
        )
        kept = np.argsort(-totals, kind="stable")[:beam_width]
        kept = kept[totals[kept] > _NEVER]
        stays = kept[kept < len(texts)]
        parents, symbols = np.divmod(kept[kept >= len(texts)] - len(texts), num_symbols)
        with_blank = np.concatenate([stay_blank[stays], np.full(len(parents), _NEVER)])
        with_symbol = np.concatenate([stay_symbol[stays], grown[parents, symbols]])
        added = np.concatenate([added[stays], added[parents] + more[parents, symbols]])
        pairs = list(zip(parents.tolist(), symbols.tolist(), strict=True))
        states = [states[number] for number in stays] + (
            [scorer.follow(states[parent], symbol) for parent, symbol in pairs] if scorer else [None] * len(pairs)
        )
        texts = [texts[number] for number in stays] + [(*texts[parent], symbol) for parent, symbol in pairs]
        if not texts:
            return []
    ends = np.array([scorer.end(state) for state in states]) if scorer else 0.0
    scores = np.logaddexp(with_blank, with_symbol) + added + ends
    order = np.argsort(-scores, kind="stable")[:count]
    return [Hypothesis(texts[number], float(scores[number])) for number in order if scores[number] > _NEVER]


class WordModel:
    """A language model of words as a scorer: a word is scored when the space after it, or the end, is reached.

    Args:
        model: The language model.
        symbols: The character of each class; "" for the blank.
        weight: Factor of the model's logarithms.
        bonus: Added for each word, against too few words.
        hot_words: Words that are favoured, each with what it adds.
        words: The only words there are, such as a closed list; None: any.
    """

    def __init__(
        self,
        model: LanguageModel | None,
        symbols: Sequence[str],
        *,
        weight: float = 1.0,
        bonus: float = 0.0,
        hot_words: dict[str, float] | None = None,
        words: Sequence[str] | None = None,
    ):
        if " " not in symbols:
            raise UsageError("symbols have no space, so nothing divides words. Use a model of characters.")
        self._model, self._symbols = model, list(symbols)
        self._weight, self._bonus, self._hot = weight, bonus, hot_words or {}
        self._space = self._symbols.index(" ")
        self._beginnings = None if words is None else {word[:end] for word in words for end in range(len(word) + 1)}
        self._words = None if words is None else set(words)

    def start(self) -> Hashable:
        """Nothing said, nothing begun."""
        return (START,), ""

    def extend(self, state) -> np.ndarray:
        """The space adds the score of the word that it ends; letters that lead to no word are forbidden."""
        context, begun = state
        scores = np.zeros(len(self._symbols))
        if self._beginnings is not None:
            allowed = [begun + symbol in self._beginnings for symbol in self._symbols]
            scores[~np.array(allowed)] = _NEVER
        scores[self._space] = self._score(context, begun) if begun else _NEVER
        return scores

    def follow(self, state, symbol: int) -> Hashable:
        """A space moves the word into the context."""
        context, begun = state
        if symbol != self._space:
            return context, begun + self._symbols[symbol]
        context = (*context, begun)
        return (self._model.context(context) if self._model else ()), ""

    def end(self, state) -> float:
        """The score of the last word and of the sentence's end; a space at the end begins no word."""
        context, begun = state
        last = self._score(context, begun) if begun else 0.0
        if self._model is None:
            return last
        context = (*context, begun) if begun else context
        return last + self._weight * self._model.log_prob(END, context)

    def _score(self, context: tuple[str, ...], word: str) -> float:
        if self._words is not None and word not in self._words:
            return _NEVER
        model = self._weight * self._model.log_prob(word, context) if self._model else 0.0
        return model + self._bonus + self._hot.get(word, 0.0)


class CharacterModel:
    """A language model of characters as a scorer; arguments as for `WordModel`, `bonus` for each character."""

    def __init__(self, model: LanguageModel, symbols: Sequence[str], *, weight: float = 1.0, bonus: float = 0.0):
        self._model, self._weight, self._bonus = model, weight, bonus
        self._tokens = ["_" if symbol == " " else symbol for symbol in symbols]

    def start(self) -> Hashable:
        """Nothing said."""
        return (START,)

    def extend(self, state) -> np.ndarray:
        """Each character by the ones before it."""
        scores = [self._model.log_prob(token, state) if token else 0.0 for token in self._tokens]
        return self._weight * np.array(scores) + self._bonus

    def follow(self, state, symbol: int) -> Hashable:
        """The context with the character."""
        return self._model.context((*state, self._tokens[symbol]))

    def end(self, state) -> float:
        """The sentence's end."""
        return self._weight * self._model.log_prob(END, state)
