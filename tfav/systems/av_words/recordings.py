"""The prepared recordings of a configuration: where they lie, how they are divided, which words are in them when.

What of a data set lies where is in `tfav.data.grid` and `corpus`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.data import shards
from tfav.data.recording_splits import NamedSplit, by_hash, by_lists, check_parts
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, UsageError
from tfav.io.cache import keyed_path
from tfav.io.lock import locked_folder
from tfav.systems.av_words import corpus, windows
from tfav.systems.av_words.config import SYSTEM, Config
from tfav.systems.av_words.preparation import prepare


class Example(NamedTuple):
    """One window: the recording's name, which of its words (from 0), the word, its number, and the first frame."""

    recording: str
    place: int
    word: str
    label: int
    first_frame: int


def prepared_index(config: Config) -> tuple[Index, dict[str, str]]:
    """The shards of `config.data_dir`; videos are prepared into the cache first.

    Returns:
        The index, and the recordings that could not be prepared, name to reason.

    Raises:
        UsageError: The folder is not there, or was prepared otherwise.
        DataError: Nothing in it can be used.
    """
    if not config.data_dir:
        raise UsageError("data_dir is not set. Give --data-dir a folder made by tfav prepare av_words, or videos.")
    folder, failed = Path(config.data_dir), {}
    size = (config.prepared_height, config.prepared_width)
    if not (folder / shards.INDEX_NAME).exists():
        out = keyed_path(config.cache_path(), "words", folder, config.layout, config.box, size)
        with locked_folder(out.parent, f".{out.name}.lock"):
            report = prepare(
                folder, out, layout=config.layout, box=config.box, crop=size, face_detector=config.face_detector
            )
        folder, failed = out, report.failed
    index = shards.read_index(folder)
    if index.settings.get("system") != SYSTEM or index.settings.get("box") != config.box:
        raise UsageError(
            f"{folder}: prepared as {_brief(index.settings)}, and av_words with box={config.box} is wanted. Prepare "
            "the videos again."
        )
    return index, failed


def _brief(settings: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items() if name != "words") or "something else"


def words(config: Config, index: Index | None = None) -> tuple[str, ...]:
    """The words to tell apart, in the order of their numbers: of the file `config.words`, else those of the data.

    Args:
        config: `words`, and `data_dir` where no index is given.
        index: The data's, if it is open already.

    Raises:
        UsageError: The file cannot be read.
        DataError: A faulty file; or, without one, data that tell of no words.
    """
    if config.words:
        return corpus.read_words(config.words)
    index = index or prepared_index(config)[0]
    found = tuple(index.settings.get("words", ()))
    if not found:
        raise DataError(f"{index.folder}: its words are not known. Give a file of them with --words.")
    return found


def make_split(names: Sequence[str], config: Config) -> NamedSplit:
    """Divides recordings by lists, by LRW's folders or by fraction; all words of a sentence stay together.

    By fraction a recording's side follows from its name and the seed alone. Copies of a speaker's recordings in other
    folders (`s1_mpg/bbaf2n` of `s1/bbaf2n`) go where the first goes.

    Args:
        names: `speaker/name` of GRID, or `WORD/part/name` of LRW.
        config: `split` and what belongs to it.

    Raises:
        UsageError: A list that cannot be read.
        DataError: A listed recording that is not there (counted), one on two sides, an empty training part.
    """
    folders = {name: name.split("/")[1] for name in names if name.count("/") == 2}
    in_folders = len(folders) == len(names) and set(folders.values()) <= set(corpus.PARTS)
    kind = config.split
    if kind == "auto":
        kind = "lists" if config.train_list else "folders" if in_folders else "fraction"
    if kind == "lists":
        lists = config.train_list, config.val_list, config.test_list
        split = by_lists(
            names, lists, val_fraction=config.val_fraction, max_missing=config.max_unusable, seed=config.seed
        )
    elif kind == "folders":
        if not in_folders:
            raise DataError(f"{config.data_dir}: not in LRW's folders train, val and test. Use --split fraction.")
        split = NamedSplit(*([name for name in names if folders[name] == part] for part in corpus.PARTS))
    else:
        split = by_hash(
            names,
            val=config.val_fraction,
            test=config.test_fraction,
            seed=config.seed,
            key=lambda name: re.sub(r"^(s\d{1,2})_[^/]*/", r"\1/", name),
        )
    return check_parts(split, "Lower the shares, or add recordings.")


def list_said(
    entries: Sequence[Entry], examples: Sequence[Example], known: Sequence[str], num_frames: int, margin: int
) -> np.ndarray:
    """What is being said in each frame of some windows and of `margin` frames before and after them.

    Args:
        entries: Of the recordings; a frame has the word that is said in its middle.
        examples: The windows.
        known: The words, in the order of their numbers.
        num_frames: Length of a window.
        margin: Frames more at either end.

    Returns:
        `[len(examples), num_frames + 2 * margin]` int32; `len(known)` where nothing is said, beyond the recording too.
    """
    numbers = {word: number for number, word in enumerate(known)}
    lines = {entry.id: shards.word_numbers(entry, numbers, silence=len(known)) for entry in entries}
    said = np.full((len(examples), num_frames + 2 * margin), len(known), np.int32)
    for row, example in enumerate(examples):
        line = lines[example.recording]
        frames = example.first_frame - margin + np.arange(said.shape[1])
        inside = (frames >= 0) & (frames < len(line))
        said[row, inside] = line[frames[inside]]
    return said


def list_examples(entries: Sequence[Entry], known: Sequence[str], num_frames: int) -> list[Example]:
    """Every word of the recordings, in their order.

    Args:
        entries: Of the recordings.
        known: The words, in the order of their numbers.
        num_frames: Length of a window.

    Raises:
        DataError: Words that are not among them, counted.
    """
    numbers = {word: number for number, word in enumerate(known)}
    examples, unknown = [], []
    for entry in entries:
        times = np.reshape(entry.word_times_sec, (-1, 2))
        for place, (word, (start, end)) in enumerate(zip(entry.words, times, strict=True)):
            if word not in numbers:
                unknown.append(f"{word!r} of {entry.id}")
                continue
            first = windows.first_frame(float(start), float(end), num_frames)
            examples.append(Example(entry.id, place, word, numbers[word], first))
    if unknown:
        total = len(examples) + len(unknown)
        raise DataError(
            f"{len(unknown)} of {total} words are none of the {len(numbers)} known ones, first: {unknown[0]}. Give the "
            "file of the words that you mean with --words, or take the recordings out."
        )
    return examples
