"""The one window that pictures and sound of a word are cut by: which words there are, which frames, which samples.

Frame `k` and sample `640 * k` are the same moment (25 frames a second, 16 kHz), in the recording and in the window.
"""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import shards, tf_data_service
from tfav.data.shards import Entry, Index
from tfav.errors import DataError
from tfav.speech.grid import FPS


class Window(NamedTuple):
    """One word: the recording's name, which of its words (from 0), the word, its number, and the first frame."""

    recording: str
    place: int
    word: str
    label: int
    first_frame: int


def list_windows(
    entries: Sequence[Entry], known: Sequence[str], num_frames: int, rare: Collection[str] = ()
) -> list[Window]:
    """Every word of the recordings, in their order.

    Args:
        entries: Of the recordings.
        known: The words, in the order of their numbers.
        num_frames: Length of a window.
        rare: Words that are passed over.

    Raises:
        DataError: Other words that are not among them, counted.
    """
    numbers = {word: number for number, word in enumerate(known)}
    windows, unknown = [], []
    for entry in entries:
        times = np.reshape(entry.word_times_sec, (-1, 2))
        for place, (word, (start, end)) in enumerate(zip(entry.words, times, strict=True)):
            if word in rare:
                continue
            if word not in numbers:
                unknown.append(f"{word!r} of {entry.id}")
                continue
            first = first_frame(float(start), float(end), num_frames)
            windows.append(Window(entry.id, place, word, numbers[word], first))
    if unknown:
        total = len(windows) + len(unknown)
        raise DataError(
            f"{len(unknown)} of {total} words are none of the {len(numbers)} known ones, first: {unknown[0]}. Give the "
            "file of the words that you mean with --words, or take the recordings out."
        )
    return windows


def list_said(
    entries: Sequence[Entry], windows: Sequence[Window], known: Sequence[str], num_frames: int, margin: int
) -> np.ndarray:
    """What is being said in each frame of some windows and of `margin` frames before and after them.

    Args:
        entries: Of the recordings; a frame has the word that is said in its middle.
        windows: From `list_windows`.
        known: The words, in the order of their numbers.
        num_frames: Length of a window.
        margin: Frames more at either end.

    Returns:
        `[len(windows), num_frames + 2 * margin]` int32; `len(known)` where nothing is said, beyond the recording too.
    """
    numbers = {word: number for number, word in enumerate(known)}
    lines = {entry.id: shards.word_numbers(entry, numbers, silence=len(known), unknown=len(known)) for entry in entries}
    said = np.full((len(windows), num_frames + 2 * margin), len(known), np.int32)
    for row, window in enumerate(windows):
        line = lines[window.recording]
        frames = window.first_frame - margin + np.arange(said.shape[1])
        inside = (frames >= 0) & (frames < len(line))
        said[row, inside] = line[frames[inside]]
    return said


def read_windows(
    index: Index,
    entries: Sequence[Entry],
    windows: Sequence[Window],
    voices: Sequence[str],
    said: np.ndarray | None,
    *,
    parallel: int,
) -> tf.data.Dataset:
    """A row for each window, out of a row for each recording, whose serialised form its windows share.

    Args:
        index: Of the recordings.
        entries: In stored order.
        windows: From `list_windows` of them.
        voices: Names of the recordings that babble is mixed from.
        said: From `list_said`, or None.
        parallel: As in `shards.read_rows`.

    Returns:
        `id`, `serialized`, `number` of the window, its `label` and `first_frame`, `own`, the number of its recording
        among the voices, -1 if it is none, and `said` if it is given.
    """
    by_recording: dict[str, list[int]] = {}
    for number, window in enumerate(windows):
        by_recording.setdefault(window.recording, []).append(number)
    entries = [entry for entry in entries if entry.id in by_recording]
    places = {name: place for place, name in enumerate(voices)}
    numbers = [by_recording[entry.id] for entry in entries]
    columns = {
        "begin": np.array([group[0] for group in numbers], np.int64),
        "end": np.array([group[-1] + 1 for group in numbers], np.int64),
        "own": np.array([places.get(entry.id, -1) for entry in entries], np.int32),
    }
    labels = tf.constant([window.label for window in windows], tf.int32)
    said = None if said is None else tf.constant(said)
    first_frames = tf.constant([window.first_frame for window in windows], tf.int32)

    def of_recording(row):
        def of_word(number):
            shared = {name: row[name] for name in ("id", "serialized", "own")}
            shared |= {} if said is None else {"said": said[number]}
            return {**shared, "number": number, "label": labels[number], "first_frame": first_frames[number]}

        return tf.data.Dataset.range(row["begin"], row["end"]).map(of_word)

    rows = shards.read_rows(index, entries, columns, parallel=parallel).flat_map(of_recording)
    # Each worker of a data service gets some of the shards only.
    return rows if tf_data_service.is_wanted() else rows.apply(tf.data.experimental.assert_cardinality(len(windows)))


def first_frame(start_sec: float, end_sec: float, num_frames: int) -> int:
    """First frame of the window centred on a word; negative where it begins before the recording does.

    Args:
        start_sec: Of the word, in the recording.
        end_sec: Of the word, in the recording.
        num_frames: Length of the window.
    """
    middle = (start_sec + end_sec) / 2 * FPS
    return math.floor(middle - num_frames / 2 + 0.5)


def cut_window(
    frames, samples, first, num_frames: int, num_samples: int, per_frame: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts frames and samples by one window; beyond the recording the last frame stands still and sound is silent.

    Args:
        frames: `[T, H, W, C]`, T 1 or more.
        samples: `[S]`, of the moment at which the first frame begins.
        first: Scalar int32, the window's first frame; any, also outside.
        num_frames: Length in frames.
        num_samples: Length in samples; need not be that of the frames.
        per_frame: Samples of a frame.

    Returns:
        `[num_frames, H, W, C]` and `[num_samples]`, of the same types.
    """
    frames, samples = tf.convert_to_tensor(frames), tf.convert_to_tensor(samples)
    first = tf.cast(first, tf.int32)
    numbers = tf.clip_by_value(first + tf.range(num_frames), 0, tf.shape(frames)[0] - 1)
    count = tf.shape(samples)[0]
    start = first * per_frame
    begin = tf.clip_by_value(start, 0, count)
    end = tf.clip_by_value(start + num_samples, begin, count)
    before = tf.clip_by_value(-start, 0, num_samples)
    after = num_samples - before - (end - begin)
    window = tf.pad(samples[begin:end], [[before, after]])
    return tf.gather(frames, numbers), tf.ensure_shape(window, [num_samples])
