"""Word times from the text alone: words spread evenly at first, then found anew by the model that was trained on them.

Speech recognition trained its hidden Markov models so: a flat start, then alignment and training in turn.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import special

from tfav.data import shards
from tfav.data.shards import Entry, Index
from tfav.io.atomic_write import partial_file
from tfav.io.console import say
from tfav.speech.activity import active_frames
from tfav.speech.alignment import align_spans
from tfav.speech.grid import SILENCE, UNKNOWN

_LEAST_AGREEMENT = 0.3  # of the model with the labels that it learns from, before it may change them
_FACTOR = 1.35  # from one epoch of alignment to the next


class WordLabels(NamedTuple):
    """What is said in each frame, `[N, T]` int32: the variable that data sets look up, and how it begins."""

    variable: tf.Variable
    start: np.ndarray


def wants_own_times(entry: Entry, times: str) -> bool:
    """Whether the times of a clip's words are the model's own: with `self` all are, with `auto` those not given."""
    return times == "self" or (times == "auto" and not entry.words)


def word_classes(text: str, known_words: Sequence[str]) -> list[int]:
    """Classes of a text's words, from 1 on, -1 of those that are not known."""
    numbers = {word: number for number, word in enumerate(known_words, 1)}
    return [numbers.get(word, UNKNOWN) for word in text.split()]


def label_frames(entry: Entry, times: str, known_words: Sequence[str]) -> np.ndarray:
    """What is said in the middle of each frame by the times given, `[num_frames]` int32; -1 where none are wanted."""
    if not entry.words or times == "self":
        return np.full(entry.num_frames, UNKNOWN, np.int32)
    numbers = {word: number for number, word in enumerate(known_words, 1)}
    return shards.word_numbers(entry, numbers, silence=SILENCE, unknown=UNKNOWN)


def flat_start(
    index: Index, entries: Sequence[Entry], times: str, known_words: Sequence[str], num_frames: int
) -> np.ndarray:
    """Words spread over the frames in which somebody speaks, where times are wanted and none are given.

    Args:
        index: The clips.
        entries: Those to label, in stored order.
        times: As `wants_own_times` has it.
        known_words: What the word head tells apart.
        num_frames: Length of a row.

    Returns:
        `[N, num_frames]` int32: 0 silence, 1 + a word's place, -1 in padding and for other words.
    """
    labels = np.full((len(entries), num_frames), UNKNOWN, np.int32)
    wanted = [entry for entry in entries if wants_own_times(entry, times)]
    records = shards.read_rows(index, wanted).map(shards.decoder(index), num_parallel_calls=tf.data.AUTOTUNE)
    spread = {}
    for entry, record in zip(wanted, records.as_numpy_iterator(), strict=True):
        active = active_frames(record["frames"], record["audio"] if entry.audio_samples else None)
        letters = [len(word) for word in entry.text.split()]
        spread[entry.id] = spread_words(word_classes(entry.text, known_words), letters, active)
    for row, entry in enumerate(entries):
        known = spread[entry.id] if entry.id in spread else label_frames(entry, times, known_words)
        labels[row, : entry.num_frames] = known
    return labels


def spread_words(words: Sequence[int], lengths: Sequence[int], active: np.ndarray) -> np.ndarray:
    """A flat start: words over the frames in which somebody speaks, each as long as it has letters.

    Args:
        words: Class number of each word, -1 of an unknown one.
        lengths: Letters of each.
        active: `[T]` bool, from `active_frames`.

    Returns:
        `[T]` int32, the word said in each frame, 0 where none is.
    """
    first, last = np.flatnonzero(active)[[0, -1]]
    spoken = np.flatnonzero(active) if active.sum() >= 2 * len(words) else np.arange(first, last + 1)
    borders = np.cumsum([0, *(length + 1 for length in lengths)])
    shares = (np.arange(len(spoken)) + 0.5) / len(spoken) * borders[-1]
    labels = np.full(len(active), SILENCE, np.int32)
    labels[spoken] = np.asarray(words)[np.searchsorted(borders, shares, side="right") - 1]
    return labels


def realign_words(words: Sequence[int], log_probs: np.ndarray) -> np.ndarray:
    """The most probable times of a clip's words, by the probabilities of a word head.

    Whether anybody speaks goes by silence against all words together, and who does not know the words yet still knows
    that; which of the clip's own words it is goes by these alone.

    Args:
        words: Class number of each word, -1 of an unknown one.
        log_probs: `[T, 1 + W]`, of silence and the words in each frame.

    Returns:
        `[T]` int32, the word said in each frame, 0 where none is; all silent where there are fewer frames than words.
    """
    labels = np.full(len(log_probs), SILENCE, np.int32)
    if not len(words) or len(words) > len(log_probs):
        return labels
    spoken = special.logsumexp(log_probs[:, 1:], axis=1)
    share_of_one = np.full(len(log_probs), -math.log(log_probs.shape[1] - 1))  # of a word that is not known
    scores = np.stack([log_probs[:, word] - spoken if word > 0 else share_of_one for word in words], axis=1)
    scores += (spoken - special.logsumexp(scores, axis=1))[:, None]
    for word, (start, end) in zip(words, align_spans(scores, log_probs[:, SILENCE]), strict=True):
        labels[start:end] = word
    return labels


def realign_epochs(epochs: int) -> list[int]:
    """The epochs, counted from 0, before which words are aligned anew: often at first, never in the last quarter."""
    found, at = [], 2.0
    while at < max(3.0, 0.75 * epochs):
        found.append(int(at))
        at = max(at + 1, at * _FACTOR)
    return found


def agree(labels: np.ndarray, log_probs: np.ndarray) -> float:
    """How often a word head sees, among a clip's own words, the one that a label says: 0 by chance, 1 always.

    Args:
        labels: `[T]` int, 0 silence, -1 unknown.
        log_probs: `[T, 1 + W]`.

    Returns:
        Not a number where fewer than two words are known.
    """
    spoken = labels > 0
    own = np.unique(labels[spoken])
    if len(own) < 2:
        return math.nan
    right = np.mean(own[np.argmax(log_probs[spoken][:, own], axis=1)] == labels[spoken])
    return float((right - 1 / len(own)) / (1 - 1 / len(own)))


class RealignWords(keras.callbacks.Callback):
    """Finds the word times of the training part anew before some epochs; the data set reads them from a variable.

    What was found lies in the run folder, so that a run that goes on has the same.

    Args:
        labels: `[N, T]` int32, which the data set looks up; changed in place.
        words: Class numbers of each clip's words; None of a clip that stays as it is.
        predict: From the model to the word head's logits `[T, 1 + W]` of each clip, real frames only, in order.
        folder: For what was found.
        epochs: Before which epochs.
        start: What the labels are at first; None: as they are now.
    """

    def __init__(
        self,
        labels: tf.Variable,
        words: Sequence[Sequence[int] | None],
        predict: Callable[[keras.Model], Iterable[np.ndarray]],
        folder: Path | str,
        epochs: Sequence[int],
        start: np.ndarray | None = None,
    ):
        super().__init__()
        self._labels, self._words, self._predict = labels, words, predict
        self._folder, self._epochs = Path(folder), sorted(epochs)
        self._start = labels.numpy() if start is None else start
        self._is_current = False

    def on_train_begin(self, logs=None):
        """Begins with the flat start again: the variable may have served a training before."""
        self._labels.assign(self._start)
        self._is_current = False

    def on_epoch_begin(self, epoch, logs=None):
        """Aligns, or takes what an earlier session has found."""
        done = [before for before in self._epochs if before <= epoch]
        if not done or (self._is_current and done[-1] != epoch):
            return
        path = self._folder / f"word_times_{done[-1]:03d}.npz"
        if not path.exists():
            self._align(path)
        with np.load(path) as stored:
            self._labels.assign(stored["labels"])
        self._is_current = True

    def _align(self, path: Path) -> None:
        before = self._labels.numpy()
        aligned, agreement = before.copy(), []
        for row, logits in enumerate(self._predict(self.model)):
            log_probs = special.log_softmax(np.asarray(logits, np.float64), axis=-1)
            if self._words[row] is None:
                continue
            agreement.append(agree(before[row, : len(logits)], log_probs))
            aligned[row, : len(logits)] = realign_words(self._words[row], log_probs)
        share = float(np.nanmean(agreement)) if np.isfinite(agreement).any() else 0.0
        if share < _LEAST_AGREEMENT:
            aligned = before
        say(
            f"  word times: {'found anew' if share >= _LEAST_AGREEMENT else 'kept, the model knows too little yet'} "
            f"(it sees {share:.0%} beyond chance of the words where they stand)"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial_file(path) as partial:
            np.savez_compressed(partial, labels=aligned)
