"""What is known of LRW, "Lip Reading in the Wild": its tree, its clips, its words. GRID is in `grid`.

    ABOUT/train/ABOUT_00001.mp4         the data set's own: 500 words, 256x256, 29 frames, the word in the middle
    video/ABOUT/test/ABOUT_00001.npz    as the course notebook keeps it: pictures `[29, 96, 96, 3]` under the key
    audio/ABOUT/test/ABOUT_00001.npz    `data`, sound `[19456]` likewise

A clip has 1.216 s of sound for its 1.16 s of pictures, and both begin together. Its 500 words have their order in
`label_sorted.txt`, which is the alphabet's. Chung and Zisserman, 2016, "Lip Reading in the Wild"; BBC's terms, research
only.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.data.splits import read_lines
from tfav.errors import DataError, MediaError
from tfav.io.atomic_write import partial_file
from tfav.io.listing import VIDEO_SUFFIXES, describe_left_out, walk_files
from tfav.io.npz import ArraysError
from tfav.io.npz import read_npz as read_npz_arrays
from tfav.io.text_files import same_form
from tfav.speech.grid import Found

PARTS = ("train", "val", "test")
NUM_FRAMES, NUM_SAMPLES = 29, 19456
BOX = (115, 211, 79, 175)  # top, bottom, left, right of the mouth in 256x256
SIZE = (256, 256)
_MAX_BYTES = 256 << 20  # of one clip; 29 pictures of 96x96 in colour take 6.4 MB as float64


class Clip(NamedTuple):
    """One spoken word; `id` is `WORD/part/name`, `paths` the video, or the notebook's two arrays."""

    id: str
    word: str
    paths: tuple[Path, ...]


def find_clips(source: Path | str, exclude: Path | str | None = None) -> Found:
    """The clips under a folder, in natural order.

    Args:
        source: LRW's tree, or the notebook's arrays.
        exclude: A folder inside that is left out.

    Returns:
        The clips; those that cannot be used; and a warning of other files.

    Raises:
        UsageError: No such folder.
        DataError: It holds neither videos nor arrays.
    """
    source = Path(source)
    suffixes, excluded = VIDEO_SUFFIXES | {".npz"}, Path(exclude) if exclude else None
    listing = walk_files(source, suffixes, exclude=excluded, companions=(".txt",))  # LRW has one beside each clip
    paths, failures = listing.to_try(), listing.dangling(source)
    if not paths and not failures:
        raise DataError(f"{source}: no clips in it. Expected WORD/{{train,val,test}}/WORD_00001.mp4.")
    found: dict[str, list[Path]] = {}
    for path in paths:
        parts = tuple(map(same_form, path.absolute().with_suffix("").parts[-3:]))
        if parts[1] not in PARTS:
            failures[str(path.relative_to(source))] = (
                f"{path}: expected WORD/{{train,val,test}}/WORD_00001.mp4. Put it into such folders."
            )
            continue
        found.setdefault("/".join(parts), []).append(path)
    clips = []
    for name, same in found.items():
        num_arrays = sum(path.suffix == ".npz" for path in same)
        if (len(same), num_arrays) not in ((1, 0), (2, 2)):
            kept = " and ".join(map(str, same))
            failures[name] = f"{kept}: expected one video, or two .npz files, of pictures and of sound. Keep those."
            continue
        clips.append(Clip(name, name.split("/")[0], tuple(same)))
    return Found(clips, failures, list(filter(None, [describe_left_out(source, listing.left_out)])))


def read_words(path: Path | str) -> tuple[str, ...]:
    """The words of a list file, one a line, in the order of their numbers.

    Raises:
        UsageError: The file cannot be read.
        DataError: A line holds more than a word, or a word stands there twice.
    """
    words = []
    for number, line in read_lines(path, "a word list"):
        word = line.strip()
        if " " in word or word in words:
            what = "more than one word" if " " in word else "a word for the second time"
            raise DataError(f"{path}, line {number}: {what}: {word!r}. One word a line, each once.")
        words.append(word)
    return tuple(words)


def read_npz(path: Path | str) -> np.ndarray:
    """Reads an array as the course notebook keeps it.

    Raises:
        MediaError: No such file, no `.npz` file, or without the key `data`.
    """
    if not Path(path).exists():
        raise MediaError(path, "no such file", "Check the spelling.")
    try:
        arrays = read_npz_arrays(path, max_bytes=_MAX_BYTES)
    except ArraysError as error:
        raise MediaError(path, "not a readable .npz file", "Make it again.") from error
    if "data" not in arrays:
        keys = ", ".join(arrays) or "nothing"
        raise MediaError(path, f"it holds no array called data (found: {keys})", "Write it with data=ARRAY.")
    return arrays["data"]


def write_npz(path: Path | str, data: np.ndarray) -> Path:
    """Writes an array as the course notebook keeps it, under the key `data`.

    Returns:
        The path.

    Raises:
        DiskFullError: No space was left.
    """
    with partial_file(path) as partial, partial.open("wb") as file:
        np.savez(file, data=data)
    return Path(path)
