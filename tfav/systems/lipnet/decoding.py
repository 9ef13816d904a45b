"""From frame posteriors to sentences: greedy, by beam, and by a grammar. NumPy, and TensorFlow for the free beam.

All take `log_probs` `[T, K]` float, the natural logarithms of the classes' probabilities in each real frame.
"""

import heapq
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import special

from tfav.errors import DataError, UsageError
from tfav.io.text_files import read_lines
from tfav.metrics.word_error_rate import evaluate
from tfav.speech import grid
from tfav.speech.alignment import align_spans
from tfav.speech.beam_search import CharacterModel, Scorer, WordModel, prefix_beam
from tfav.speech.grammar import Grammar
from tfav.speech.language_model import LanguageModel
from tfav.speech.text_normalization import normalize_text
from tfav.speech.tokenizer import Tokenizer

BEAM_WIDTH = 50  # hypotheses that a beam keeps
HEAD_WEIGHT = 2.0  # of the word head's vote beside CTC's, which counts 1; chosen on clips of GRID's speaker 1
_WEIGHTS, _BONUSES = (0.25, 0.5, 1.0, 1.5), (0.0, 1.5, 3.0)  # that are tried
_HOT = 2.0  # what a hot word adds
_NEVER = -1e30  # the logarithm of 0, without the warnings that infinity brings


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits `[..., K]` to log-probabilities, float64."""
    return special.log_softmax(np.asarray(logits, np.float64), axis=-1)


def greedy(log_probs: np.ndarray, symbols: Tokenizer) -> str:
    """The best class of each frame; repeats and blanks fall out."""
    best = np.argmax(log_probs, axis=-1)
    kept = best[np.concatenate([[True], best[1:] != best[:-1]])]
    return symbols.decode(kept[kept != symbols.blank])


def beam(log_probs: np.ndarray, symbols: Tokenizer, width: int = BEAM_WIDTH) -> str:
    """The most probable text that a beam of so many hypotheses finds; its paths are summed up."""
    import tensorflow as tf

    log_probs = np.asarray(log_probs, np.float32)
    blank_last = np.concatenate([np.delete(log_probs, symbols.blank, -1), log_probs[:, [symbols.blank]]], axis=-1)
    (best,), _ = tf.nn.ctc_beam_search_decoder(blank_last[:, None], [len(log_probs)], width, 1)
    classes = best.values.numpy()
    return symbols.decode(classes + (classes >= symbols.blank))


def mean_posterior(log_probs: np.ndarray, blank: int, fps: float = grid.FPS) -> tuple[float, float]:
    """How sure the model is: mean probability of the symbols on the greedy path, and how many there are a second."""
    best = log_probs.argmax(-1)
    starts = (best != blank) & (best != np.concatenate([[blank], best[:-1]]))
    if not starts.any():
        return 0.0, 0.0
    # Of each symbol its surest frame: the first one is often only just ahead of the blank.
    runs_of = np.cumsum(best != np.concatenate([[-1], best[:-1]]))
    top = log_probs.max(-1)
    surest = [top[runs_of == runs_of[frame]].max() for frame in np.flatnonzero(starts)]
    return float(np.exp(surest).mean()), float(starts.sum()) * fps / len(best)


def decode_grammar(
    log_probs: np.ndarray,
    symbols: Tokenizer,
    grammar: Grammar,
    *,
    word_log_probs: np.ndarray | None = None,
    head_weight: float = 0.0,
    known_words: Sequence[str] = grid.WORDS,
    width: int = BEAM_WIDTH,
) -> tuple[str, float]:
    """The most probable sentence of a grammar.

    Of a grammar of slots it is the true optimum, all CTC paths of a sentence summed up. A prefix of a sentence is worth
    the probability of all its completions together, which one pass backward over the lattice of words gives exactly;
    no completion can be worth more, so a best-first search ends at the optimum, as a rule after a handful of prefixes.

    Where a word head has a say, each slot's word is then chosen by two votes: the word's log-probability by CTC, all
    sentences with it summed up, and the head's, among the slot's words, the mean over the frames in which the head sees
    the slot. The mean, since a sum would count a long word's vote for more than a preposition's.

    Of a word list it is what a beam over its words finds.

    Args:
        log_probs: `[T, K]`.
        symbols: The tokenizer.
        grammar: What may be said.
        word_log_probs: `[T, 1 + W]`, log-probabilities of the word head.
        head_weight: How much its vote counts, CTC's being 1; 0: not at all.
        known_words: The W words of the head.
        width: Hypotheses kept, for a word list.

    Returns:
        The sentence, and the logarithm of its share in all that the grammar allows, by CTC (for a word list: 0). The
        sentence is "" where not one fits into the frames.

    Raises:
        UsageError: A weight without a word head, or with words it does not know.
    """
    if head_weight and word_log_probs is None:
        raise UsageError("head_weight needs a model with a word head. Set head_weight=0.")
    if grammar.loop:
        scorer = WordModel(None, ["", *symbols.symbols], words=grammar.words)
        return decode_beam(log_probs, symbols, scorer, width), 0.0
    lattice = _Lattice(log_probs, symbols, grammar)
    if not lattice.fits or not head_weight:
        return lattice.best()
    pairs = zip(lattice.slot_log_probs(), _head_votes(grammar.slots, word_log_probs, known_words), strict=True)
    numbers = [int(np.argmax(ctc + head_weight * head)) for ctc, head in pairs]
    words = [slot[number] for slot, number in zip(grammar.slots, numbers, strict=True)]
    return " ".join(words), lattice.log_share(numbers)


class _Lattice:
    """The words of all slots as chains of CTC states: letter, blank, letter, ..., and the space behind, blank.

    Reference:
        Graves et al., 2006, section 4.1, for the recursions within a chain.
    """

    def __init__(self, log_probs, symbols, grammar):
        self.slots = grammar.slots
        last = len(self.slots) - 1
        self.chains = [_Chain(log_probs, symbols, slot, space=number < last) for number, slot in enumerate(self.slots)]
        # What comes before the first word: blanks alone. Entry t: the first letter stands in frame t.
        self.entry = np.concatenate([[0.0], np.cumsum(log_probs[:, symbols.blank])[:-1]])
        # worth[k][t]: all that slots k and later can say if the first letter of slot k stands in frame t.
        self.worth = [None] * len(self.slots)
        after = None
        for number in reversed(range(len(self.slots))):
            after = self.worth[number] = self.chains[number].backward(after)
        self.total = special.logsumexp(self.entry + self.worth[0])
        self.fits = self.total > _NEVER / 2

    def best(self) -> tuple[str, float]:
        if not self.fits:
            return "", 0.0
        # A heap of (-worth, order, words so far, entry of the next slot).
        heap, order = [(-self.total, 0, (), self.entry)], 0
        while heap:
            worth, _, words, entry = heapq.heappop(heap)
            if len(words) == len(self.slots):
                return " ".join(words), float(-worth - self.total)
            number = len(words)
            values, exits = self._values(number, entry)
            for word, value, leaving in zip(self.slots[number], values, exits, strict=True):
                if value > _NEVER / 2:
                    order += 1
                    heapq.heappush(heap, (-value, order, (*words, word), leaving))
        return "", 0.0

    def slot_log_probs(self) -> list[np.ndarray]:
        """Of each slot the log-probabilities of its words, `[W]`, whatever stands in the other slots."""
        entry, found = self.entry, []
        for number in range(len(self.slots)):
            values, exits = self._values(number, entry)
            found.append(values - self.total)
            entry = special.logsumexp(exits, axis=0)
        return found

    def log_share(self, numbers) -> float:
        """The logarithm of one sentence's share; `numbers` are those of its words within their slots."""
        entry, value = self.entry, self.total
        for number, word in enumerate(numbers):
            values, exits = self._values(number, entry)
            entry, value = exits[word], values[word]
        return float(value - self.total)

    def _values(self, number, entry):
        """What each word of a slot is worth with all that may follow, `[W]`, and the next slot's entries, `[W, T]`."""
        exits, finals = self.chains[number].forward(entry)
        is_last = number + 1 == len(self.slots)
        return finals if is_last else special.logsumexp(exits + self.worth[number + 1], axis=-1), exits


class _Chain:
    """The words of one slot, a row each, `[W, S]` states padded at the end."""

    def __init__(self, log_probs, symbols, slot, *, space):
        texts = [word + " " * space for word in slot]
        width = 2 * max(map(len, texts))
        self.num_frames = len(log_probs)
        classes = np.full((len(slot), width), symbols.blank)
        self.last = np.array([2 * len(text) - 2 for text in texts])  # state of the last symbol; its blank is the next
        real = np.zeros((len(slot), width), bool)
        self.skip = np.zeros((len(slot), width), bool)  # a letter may follow the letter before it without a blank
        for row, text in enumerate(texts):
            codes = symbols.encode(text)
            classes[row, 0 : 2 * len(text) : 2] = codes
            real[row, : 2 * len(text)] = True
            self.skip[row, 2 : 2 * len(text) : 2] = codes[1:] != codes[:-1]
        self.scores = np.where(real, log_probs[:, classes], _NEVER)
        self.rows = np.arange(len(slot))

    def forward(self, entry):
        """From entries `[T]` to exits `[W, T]`, entries of the next slot, and the value of ending here `[W]`."""
        behind = self._beside()  # two places that are never reached, then the states
        state, one, two = behind[:, 2:], behind[:, 1:-1], behind[:, :-2]
        exits = np.full((len(self.rows), self.num_frames), _NEVER)
        for t in range(self.num_frames):
            if t:
                exits[:, t] = self._ends(state)
            new = np.logaddexp(np.logaddexp(state, one), np.where(self.skip, two, _NEVER))
            new[:, 0] = np.logaddexp(new[:, 0], entry[t])
            state[:] = np.maximum(new + self.scores[t], _NEVER)
        return exits, self._ends(state)

    def backward(self, after):
        """From the worth of the next slot's entries `[T]`, None at the end, to that of this slot's, `[T]`."""
        ends = np.full(self.skip.shape, _NEVER)
        ends[self.rows, self.last] = ends[self.rows, self.last + 1] = 0.0
        skip = np.pad(self.skip, ((0, 0), (0, 2)))[:, 2:]
        ahead = self._beside()  # the states, then two places that are never reached
        here, one, two = ahead[:, :-2], ahead[:, 1:-1], ahead[:, 2:]
        state = ends if after is None else here.copy()  # what may come after frame t, from each state
        worth = np.empty(self.num_frames)
        for t in reversed(range(self.num_frames)):
            here[:] = np.maximum(state + self.scores[t], _NEVER)
            worth[t] = special.logsumexp(here[:, 0])
            state = np.logaddexp(np.logaddexp(here, one), np.where(skip, two, _NEVER))
            if after is not None:
                state = np.logaddexp(state, ends + after[t])
        return worth

    def _beside(self):
        return np.full((len(self.rows), self.skip.shape[1] + 2), _NEVER)

    def _ends(self, state):
        return np.logaddexp(state[self.rows, self.last], state[self.rows, self.last + 1])


def _head_votes(slots, word_log_probs, known_words):
    """Of each slot the word head's log-probabilities among its words, `[W]`, the mean over the slot's frames."""
    unknown = [word for slot in slots for word in slot if word not in known_words]
    if unknown:
        raise UsageError(f"the word head does not know {unknown[0]!r}. Set head_weight=0 for this grammar.")
    word_log_probs = np.asarray(word_log_probs, np.float64)
    scores = [word_log_probs[:, [1 + known_words.index(word) for word in slot]] for slot in slots]
    # Where a slot stands is said by the best of its words in each frame, not by the one that CTC would take.
    spans = align_spans(np.stack([of_slot.max(-1) for of_slot in scores], axis=1), word_log_probs[:, grid.SILENCE])
    votes = zip(scores, spans, strict=True)
    return [np.mean(log_softmax(of_slot[start:end]), axis=0) for of_slot, (start, end) in votes]


# With a language model ----------------------------------------------------------------------------------------------


class LanguageSettings(NamedTuple):
    """A language model and how much it counts.

    `weight` of its logarithms; `bonus` for each word, or character; `closed`: words that it has not are never read.
    """

    model: LanguageModel | None
    weight: float = 0.5
    bonus: float = 1.0
    closed: bool = False
    hot_words: Mapping[str, float] = {}


def scorer_of(settings: LanguageSettings, symbols: Tokenizer) -> Scorer:
    """What a beam search adds to CTC's scores.

    Raises:
        UsageError: Hot words for a tokenizer of words or a model of characters.
        DataError: The tokenizer can spell no word of the model.
    """
    classes, model = ["", *symbols.symbols], settings.model
    if model is not None and not any(set(symbols.split(word)) <= {*symbols.symbols, "_"} for word in model.vocabulary):
        raise DataError(
            f"the language model has no word that the tokenizer can spell ({''.join(symbols.symbols)[:60]!r}). "
            "Estimate it from text of the same language with tfav lm."
        )
    if model is None or not (symbols.is_words or model.is_of_characters):
        return WordModel(
            model,
            classes,
            weight=settings.weight,
            bonus=settings.bonus,
            hot_words=dict(settings.hot_words),
            words=[*sorted(model.vocabulary), *settings.hot_words] if model is not None and settings.closed else None,
        )
    if settings.hot_words:
        raise UsageError("hot words go with a tokenizer of characters and a language model of words.")
    return CharacterModel(model, classes, weight=settings.weight, bonus=settings.bonus)


def decode_beam(log_probs: np.ndarray, symbols: Tokenizer, scorer: Scorer | None, width: int = BEAM_WIDTH) -> str:
    """The best text by CTC and what a scorer adds; "" where it forbids all.

    Args:
        log_probs: `[T, K]`.
        symbols: The tokenizer.
        scorer: From `scorer_of`, or a word list; its classes are the blank and then the symbols in their order.
        width: Hypotheses kept.
    """
    order = [symbols.blank, *range(symbols.first, symbols.first + len(symbols.symbols))]
    found = prefix_beam(np.asarray(log_probs)[:, order], 0, width, scorer)
    return " ".join(symbols.decode(np.array(found[0].symbols) - 1 + symbols.first).split()) if found else ""


def tune(
    clips: Sequence[tuple[str, np.ndarray]], symbols: Tokenizer, settings: LanguageSettings
) -> tuple[LanguageSettings, float]:
    """The settings with the fewest wrong words, of a grid of them.

    Args:
        clips: Texts and posteriors `[T, K]`, of clips that are not scored afterwards.
        symbols: The tokenizer.
        settings: The model, and hot words.

    Returns:
        The settings, and their share of wrong words.
    """
    best = settings, math.inf
    for closed, weight, bonus in itertools.product((False, True), _WEIGHTS, _BONUSES):
        tried = settings._replace(weight=weight, bonus=bonus, closed=closed)
        scorer = scorer_of(tried, symbols)
        read = [decode_beam(log_probs, symbols, scorer) for _, log_probs in clips]
        errors = evaluate([text for text, _ in clips], read)["wer"]
        best = min(best, (tried, errors), key=lambda found: found[1])
    return best


def read_hot_words(path: Path | str) -> dict[str, float]:
    """Words that are likely, one a line, each with what it adds to a hypothesis (2 where nothing stands behind it).

    Raises:
        UsageError: There is no such file.
        DataError: A line that is no word and number.
    """
    found = {}
    for number, line in read_lines(path, "a list of words"):
        word, *added = line.split()
        try:
            found[normalize_text(word).text] = float(*added) if added else _HOT
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: expected `word` or `word 2.5`. Received: {line!r}") from error
    return found
