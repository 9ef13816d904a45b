"""When each word of a sentence is spoken, by a word head or by the letters of CTC."""

import itertools
from collections.abc import Sequence

import numpy as np

from tfav.errors import DataError
from tfav.speech import grid
from tfav.speech.tokenizer import Tokenizer, required_frames
from tfav.speech.transcripts import TimedWord

_NEVER = -1e30


def align(
    text: str,
    log_probs: np.ndarray,
    symbols: Tokenizer,
    word_log_probs: np.ndarray | None = None,
    known_words: Sequence[str] = grid.WORDS,
    fps: float = grid.FPS,
) -> list[TimedWord]:
    """Times of the words of a sentence, decoded or given.

    With a word head that knows all the words, the frames are divided among them, with pauses where the head sees them,
    so that its log-probabilities add up to the most. Otherwise by the best path of CTC, whose letters stand somewhere
    within their sound: a word begins with its first letter, or midway after the space before it.

    Args:
        text: The sentence.
        log_probs: `[T, K]`.
        symbols: The tokenizer.
        word_log_probs: `[T, 1 + W]` or None.
        known_words: The W words of the head.
        fps: Frames per second.

    Raises:
        DataError: The sentence does not fit into the frames.
    """
    words = text.split()
    if not words:
        return []
    if word_log_probs is not None and set(words) <= set(known_words):
        spans = align_words(words, word_log_probs, known_words)
    else:
        spans = _spans_of_symbols(words, log_probs, symbols)
    return [TimedWord(word, start / fps, end / fps) for word, (start, end) in zip(words, spans, strict=True)]


def align_letters(text: str, log_probs: np.ndarray, symbols: Tokenizer) -> np.ndarray:
    """First and last frame of each symbol on CTC's best path for a text, `[L, 2]` int64.

    Raises:
        DataError: The text does not fit into the frames.
    """
    classes = symbols.encode(text)
    if len(log_probs) < required_frames(classes):
        raise DataError(f"{len(log_probs)} frames are too few for {text!r}, which needs {required_frames(classes)}.")
    states = np.full(2 * len(classes) + 1, symbols.blank)
    states[1::2] = classes
    skip = np.zeros(len(states), bool)
    skip[3::2] = classes[1:] != classes[:-1]
    path = best_path(log_probs[:, states], skip, starts=(0, 1), ends=(len(states) - 2, len(states) - 1))
    places = [np.flatnonzero(path == 2 * letter + 1) for letter in range(len(classes))]
    return np.array([(place[0], place[-1]) for place in places])


def align_words(
    words: Sequence[str], word_log_probs: np.ndarray, known_words: Sequence[str] = grid.WORDS
) -> list[tuple[int, int]]:
    """First frame and the one after the last of each word, by the word head.

    Raises:
        DataError: There are more words than frames.
    """
    scores = word_log_probs[:, [1 + known_words.index(word) for word in words]]
    return align_spans(scores, word_log_probs[:, grid.SILENCE])


def align_spans(scores: np.ndarray, silence: np.ndarray) -> list[tuple[int, int]]:
    """Divides frames among words in their order, with pauses between some, so that the scores add up to the most.

    Args:
        scores: `[T, N]`, of each word in each frame.
        silence: `[T]`, likewise.

    Returns:
        First frame and the one after the last of each word.

    Raises:
        DataError: There are more words than frames.
    """
    num_frames, num_words = scores.shape
    if num_words > num_frames:
        raise DataError(f"{num_frames} frames are too few for {num_words} words.")
    states = np.repeat(silence[:, None], 2 * num_words + 1, axis=1)
    states[:, 1::2] = scores
    skip = np.zeros(2 * num_words + 1, bool)
    skip[3::2] = True  # a word may follow the one before without a pause
    last = 2 * num_words
    path = best_path(states, skip, starts=(0, 1), ends=(last - 1, last))
    places = [np.flatnonzero(path == 2 * number + 1) for number in range(num_words)]
    return [(int(place[0]), int(place[-1]) + 1) for place in places]


def best_path(scores: np.ndarray, skip: np.ndarray, starts, ends, entering: np.ndarray | None = None) -> np.ndarray:
    """The best state of each frame, where states follow one another.

    Args:
        scores: `[T, S]` of each state in each frame.
        skip: `[S]` bool, states that may follow the last but one before them.
        starts: Numbers of the states in which a path may begin.
        ends: Those in which it may end.
        entering: `[S]`, what is added whenever a path comes into a state; None: nothing.

    Returns:
        `[T]` int64.
    """
    entering = np.zeros(scores.shape[1]) if entering is None else entering
    num_frames, num_states = scores.shape
    state = np.full(num_states, _NEVER)
    state[list(starts)] = scores[0, list(starts)]
    steps = np.zeros((num_frames, num_states), np.int8)
    for t in range(1, num_frames):
        options = np.full((3, num_states), _NEVER)
        options[0] = state
        options[1, 1:] = state[:-1] + entering[1:]
        options[2, 2:] = np.where(skip[2:], state[:-2] + entering[2:], _NEVER)
        steps[t] = np.argmax(options, axis=0)
        state = np.maximum(options.max(0) + scores[t], _NEVER)
    path = np.empty(num_frames, np.int64)
    path[-1] = max(ends, key=lambda end: state[end])
    for t in reversed(range(1, num_frames)):
        path[t - 1] = path[t] - steps[t, path[t]]
    return path


def _spans_of_symbols(words: Sequence[str], log_probs: np.ndarray, symbols: Tokenizer) -> list[tuple[float, float]]:
    """Spans of words by the frames of their symbols; a word without a known symbol has no length."""
    parts = symbols.split(" ".join(words))
    of_word = range(len(words)) if symbols.is_words else np.cumsum([part == " " for part in parts]).tolist()
    known = [(part, word) for part, word in zip(parts, of_word, strict=True) if part in symbols.symbols]
    frames = align_letters(" ".join(words), log_probs, symbols) if known else np.zeros((0, 2), np.int64)
    places: list[list[int]] = [[] for _ in words]
    for place, (part, word) in enumerate(known):
        if part != " ":
            places[word].append(place)
    spans, end = [], 0.0
    for own in places:
        if not own:
            spans.append([end, end])
            continue
        first, last = frames[own[0]][0], frames[own[-1]][1]
        is_after_space = own[0] > 0 and known[own[0] - 1][0] == " "
        before = frames[own[0] - (2 if is_after_space else 1)][1] if own[0] > is_after_space else None
        start = first if before is None or not is_after_space else (before + 1 + first) / 2
        spans.append([float(start), float(last + 1)])
        end = float(last + 1)
    for before, after in itertools.pairwise(spans):
        before[1] = max(before[1], after[0] if after[0] - before[1] <= 3 else before[1])
    return [(start, min(end, float(len(log_probs)))) for start, end in spans]
