"""Word times from the text alone, by hidden Markov models of words, as speech recognition found them first.

Words are spread over the frames in which somebody speaks. Then each word is three states in a row, a state a Gaussian
of what is seen and heard in its frames, and two steps follow one another: the Gaussians of the frames that lie in each
state, and the best path of each clip through the states of its words. A network is no help here: it sees the whole
clip, so it learns where words were put at first, right or wrong; a Gaussian sees its frame alone.

Reference:
    L. Rabiner, "A tutorial on hidden Markov models and selected applications in speech recognition", Proceedings of the
    IEEE 77(2), 1989, sections V and VI (segmental k-means).
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from tfav.data import shards
from tfav.data.shards import Entry, Index
from tfav.io.atomic_write import partial_file
from tfav.io.cache import keyed_path
from tfav.io.console import say
from tfav.speech import log_mel
from tfav.speech.activity import active_frames
from tfav.speech.alignment import best_path
from tfav.speech.grid import SILENCE, UNKNOWN
from tfav.speech.recordings import has_usable_sound

_VERSION = 1  # of what is stored
_STATES = 3  # of a word
_ROUNDS = 10
_THUMBNAIL = 14, 26  # height and width of a mouth in the models
_SEEN, _HEARD = 24, 30  # principal components of pictures and of sound
_MOST_FRAMES = 20_000  # that principal components are found in
_PRIOR_FRAMES = 20.0  # of the variance of all states, in that of each
_LEAST_VARIANCE = 0.05
_PAUSE_COST = 0.1  # in nats for each feature: a plosive looks and sounds like a pause
_MARGIN = 3  # frames beyond those in which somebody speaks
_NEVER = -1e4
_BLOCK = 1 << 16  # frames that are summed at a time


def wants_own_times(entry: Entry, times: str) -> bool:
    """Whether the times of a clip's words have to be found: with `self` all have, with `auto` those not given."""
    return times == "self" or (times == "auto" and not entry.words)


def label_frames(entry: Entry, times: str, known_words: Sequence[str]) -> np.ndarray:
    """What is said in the middle of each frame by the times given, `[num_frames]` int32; -1 where none are wanted."""
    if not entry.words or times == "self":
        return np.full(entry.num_frames, UNKNOWN, np.int32)
    numbers = {word: number for number, word in enumerate(known_words, 1)}
    return shards.word_numbers(entry, numbers, silence=SILENCE, unknown=UNKNOWN)


def cached_labels(cache: Path, index: Index, entries: Sequence[Entry], known_words: Sequence[str]) -> list[np.ndarray]:
    """As `find_labels`, from a cache where they were found before, so that a run that goes on has the same."""
    parts = [_VERSION, *known_words, *(f"{entry.id} {entry.fingerprint} {entry.text}" for entry in entries)]
    path = keyed_path(cache, "word_times", index.folder, *parts).with_suffix(".npz")
    if path.exists():
        with np.load(path) as stored:
            return np.split(stored["labels"], np.cumsum([entry.num_frames for entry in entries])[:-1])
    say(f"finding when the words of {len(entries)} clips are said, from their text")
    labels = find_labels(index, entries, known_words)
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_file(path) as partial:
        np.savez_compressed(partial, labels=np.concatenate(labels))
    return labels


def find_labels(index: Index, entries: Sequence[Entry], known_words: Sequence[str]) -> list[np.ndarray]:
    """What is said in each frame of some clips, by their text.

    Args:
        index: The clips.
        entries: Those to label, in stored order.
        known_words: Words with a model of their own; all others share one.

    Returns:
        `[num_frames]` int32 for each clip: 0 silence, 1 + a word's place, -1 for other words.
    """
    numbers = {word: number for number, word in enumerate(known_words, 1)}
    other = len(known_words) + 1
    words = [[numbers.get(word, other) for word in entry.text.split()] for entry in entries]
    lengths = [[len(word) for word in entry.text.split()] for entry in entries]
    features, active = describe_clips(index, entries)
    found = align_words(features, words, lengths, active)
    return [np.where(labels == other, UNKNOWN, labels).astype(np.int32) for labels in found]


def describe_clips(index: Index, entries: Sequence[Entry]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What is seen in each frame, and heard where all clips have sound; and in which frames somebody speaks.

    Returns:
        Of each clip `[num_frames, D]` float32, every feature with zero mean and unit deviation over all clips; and
        `[num_frames]` bool.
    """
    pictures, sounds, active = [], [], []
    with_sound = all(map(has_usable_sound, entries))
    rows = shards.read_rows(index, entries).map(shards.decoder(index), num_parallel_calls=tf.data.AUTOTUNE)
    for entry, record in zip(entries, rows.as_numpy_iterator(), strict=True):
        frames = record["frames"]
        size = _THUMBNAIL[::-1]
        small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames.astype(np.float32)])
        small = small.reshape(len(frames), -1)
        # Of a clip only what changes in it: the light and the face itself do not say words.
        pictures.append((small - small.mean(0)) / (small.std() + 1e-6))
        if with_sound:
            sounds.append(np.nan_to_num(log_mel.describe_sound(record["audio"], len(frames)).numpy()))
        active.append(active_frames(frames, record["audio"] if entry.audio_samples else None))
    features = _with_changes(_components(pictures, _SEEN))
    if with_sound:
        heard = _with_changes(_components(sounds, _HEARD))
        features = [np.concatenate(both, axis=1) for both in zip(features, heard, strict=True)]
    everything = np.concatenate(features)
    mean, std = everything.mean(0), everything.std(0) + 1e-6
    return [((one - mean) / std).astype(np.float32) for one in features], active


def _components(clips: list[np.ndarray], count: int) -> list[np.ndarray]:
    """The largest principal components of all frames."""
    everything = np.concatenate(clips)
    mean = everything.mean(0)
    some = everything[:: max(1, -(-len(everything) // _MOST_FRAMES))] - mean
    _, _, directions = np.linalg.svd(some, full_matrices=False)
    return [(clip - mean) @ directions[:count].T for clip in clips]


def _with_changes(clips: list[np.ndarray]) -> list[np.ndarray]:
    """Features, and beside them how each changes over five frames."""
    with_changes = []
    for clip in clips:
        padded = np.pad(clip, ((2, 2), (0, 0)), mode="edge")
        change = padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])
        with_changes.append(np.concatenate([clip, change], axis=1))
    return with_changes


def spread_words(words: Sequence[int], lengths: Sequence[int], active: np.ndarray) -> np.ndarray:
    """A flat start: words over the frames in which somebody speaks, each as long as it has letters.

    Args:
        words: Number of each word, from 1 on.
        lengths: Letters of each.
        active: `[T]` bool, from `active_frames`.

    Returns:
        `[T]` int64, the word said in each frame, 0 where none is.
    """
    first, last = np.flatnonzero(active)[[0, -1]]
    spoken = np.flatnonzero(active) if active.sum() >= 2 * len(words) else np.arange(first, last + 1)
    borders = np.cumsum([0, *(length + 1 for length in lengths)])
    shares = (np.arange(len(spoken)) + 0.5) / len(spoken) * borders[-1]
    labels = np.full(len(active), SILENCE, np.int64)
    labels[spoken] = np.asarray(words)[np.searchsorted(borders, shares, side="right") - 1]
    return labels


def align_words(
    features: Sequence[np.ndarray],
    words: Sequence[Sequence[int]],
    lengths: Sequence[Sequence[int]],
    active: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Times of words by hidden Markov models of whole words, trained on these very clips.

    Args:
        features: `[T, D]` float of each clip, zero mean and unit deviation.
        words: Number of each word of each clip, from 1 on.
        lengths: Letters of each, for the flat start.
        active: `[T]` bool of each clip, where somebody speaks.

    Returns:
        `[T]` int64 of each clip, the word said in each frame, 0 where none is. A clip with fewer frames than states
        keeps its flat start.
    """
    flat = [spread_words(*clip) for clip in zip(words, lengths, active, strict=True)]
    chains = [_Chain(own, clip, speaks) for own, clip, speaks in zip(words, features, active, strict=True)]
    fits = [chain.num_states <= len(clip) for chain, clip in zip(chains, features, strict=True)]
    if not any(fits):
        return flat
    used = [number for number, fit in enumerate(fits) if fit]
    count = 1 + max(max(words[number]) for number in used)
    paths = {number: chains[number].flat_path(lengths[number]) for number in used}
    everything = np.concatenate([features[number] for number in used])
    for _ in range(_ROUNDS):
        states = np.concatenate([chains[number].models[paths[number]] for number in used])
        model = _Gaussians(everything, states, _FIRST_OF_WORDS + _STATES * count)
        paths = {number: chains[number].best(model.score(features[number])) for number in used}
    return [chains[number].words_of(paths[number]) if fits[number] else flat[number] for number in range(len(words))]


# Numbers of the models of states: the silence before and behind a clip's words, and between two, then those of words.
_BEFORE, _BEHIND, _PAUSE, _FIRST_OF_WORDS = range(4)


class _Chain:
    """The states of a clip in their order: silence, the words with pauses that may be left out, silence."""

    def __init__(self, words: Sequence[int], features: np.ndarray, active: np.ndarray):
        self.num_frames = len(features)
        parts, said = [np.array([_BEFORE])], [0]
        for number in words:
            parts += [_FIRST_OF_WORDS + _STATES * (number - 1) + np.arange(_STATES), np.array([_PAUSE])]
            said += [number] * _STATES + [0]
        parts[-1] = np.array([_BEHIND])
        self.models, self._said = np.concatenate(parts), np.array(said)
        self._active, self._words = active, words
        is_silence = self.models < _FIRST_OF_WORDS
        self._skip = np.r_[[False, False], is_silence[1:-1]] & ~is_silence
        self._entering = np.where(self.models == _PAUSE, -_PAUSE_COST * features.shape[1], 0.0)
        self.num_states = int((~is_silence).sum())

    def flat_path(self, lengths: Sequence[int]) -> np.ndarray:
        """The state of each frame in a flat start, `[T]`."""
        places = spread_words(range(1, len(self._words) + 1), lengths, self._active)
        path = np.zeros(self.num_frames, np.int64)
        for place in range(1, len(self._words) + 1):
            frames = np.flatnonzero(places == place)
            path[frames] = 1 + (place - 1) * (_STATES + 1) + np.arange(len(frames)) * _STATES // max(1, len(frames))
        spoken = np.flatnonzero(places)
        for frame in np.flatnonzero(places == 0):
            before = spoken[spoken < frame]
            if len(before):  # the silence behind the word said last
                path[frame] = places[before[-1]] * (_STATES + 1)
        return path

    def best(self, scores: np.ndarray) -> np.ndarray:
        """The best path by the scores of all models, `[T, M]`; nobody speaks far from where somebody is active."""
        first, last = np.flatnonzero(self._active)[[0, -1]]
        of_states = scores[:, self.models]
        of_states[: max(0, first - _MARGIN), 1:] += _NEVER
        of_states[last + 1 + _MARGIN :, :-1] += _NEVER
        end = len(self.models) - 1
        return best_path(of_states, self._skip, (0, 1), (end - 1, end), self._entering)

    def words_of(self, path: np.ndarray) -> np.ndarray:
        """The word of each frame, `[T]`, 0 in silence."""
        return self._said[path]


class _Gaussians:
    """A Gaussian without covariances for each state that has frames; with few frames its variance is that of all."""

    def __init__(self, features: np.ndarray, states: np.ndarray, count: int):
        number = np.bincount(states, minlength=count)[:, None].astype(np.float64)
        self._mean = _sums(features, states, count) / np.maximum(number, 1)
        squares = np.maximum(_sums(features, states, count, power=2) - number * self._mean**2, 0)
        variance = (squares + _PRIOR_FRAMES * squares.sum(0) / len(features)) / (number + _PRIOR_FRAMES)
        self._precision = 1 / np.maximum(variance, _LEAST_VARIANCE)

    def score(self, features: np.ndarray) -> np.ndarray:
        """Log-densities, but for a constant, `[T, M]`."""
        distance = features**2 @ self._precision.T - 2 * features @ (self._mean * self._precision).T
        return 0.5 * (np.log(self._precision).sum(1) - (self._mean**2 * self._precision).sum(1) - distance)


def _sums(values: np.ndarray, groups: np.ndarray, count: int, power: int = 1) -> np.ndarray:
    """Of the rows of each group, `[count, D]` float64; in blocks, since there may be millions of rows."""
    sums = np.zeros((count, values.shape[1]))
    for first in range(0, len(values), _BLOCK):
        some = groups[first : first + _BLOCK]
        order = np.argsort(some, kind="stable")
        there, borders = np.unique(some[order], return_index=True)
        sums[there] += np.add.reduceat(values[first : first + _BLOCK][order].astype(np.float64) ** power, borders)
    return sums
