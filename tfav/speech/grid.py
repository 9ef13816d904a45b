"""What is known of the GRID corpus: its trees, its alignments, its sentences. Loads no TensorFlow.

    s1/bbaf2n.mpg            align/s1/bbaf2n.align             the corpus' own
    data/s1/bbaf2n.mpg       data/alignments/s1/bbaf2n.align   the course notebook's
    s1/video/mpg_6000/...    s1/align/bbaf2n.align             as its archives unpack; also an .align beside its video

mp4 and any other kind of video do as well as mpg. A line of an alignment is `start end word`, times in 1/1000 of a
frame at 25 frames a second; `sil` and `sp` are pauses. Where there is none, the file's name spells the sentence:
`bbaf2n` is "bin blue at f two now". Licence CC BY 4.0; Cooke et al., 2006, "An audio-visual corpus for speech
perception". Known faults: five clips of speaker 1 have 74 frames; `sgib8n` prints a decoder warning.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, TfavError
from tfav.io.listing import VIDEO_SUFFIXES, describe_left_out, walk_files
from tfav.io.text_files import read_lines, same_form

FPS = 25
TICKS_PER_FRAME = 1000
PAUSES = ("sil", "sp")
_IN_WORDS = "'\u2019-?!.\u00b7\u200c\u200d"  # beside letters, marks and digits
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# The six slots of every sentence, from the letter in the file's name to the word.
SLOTS: tuple[dict[str, str], ...] = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # no w: its name is too long
    {"z": "zero"} | {str(digit): word for digit, word in enumerate(_DIGITS) if digit},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_BEYOND = 2.0  # frames that an alignment may go on after the video's end: GRID's last pauses and 74-frame clips do
# Length of the words of an alignment on average, in frames: at least, as a rule, and at most.
_LEAST_MEAN, _USUAL_MEAN, _MOST_MEAN = 1.0, 7.0, 50.0
# What aligners write instead of GRID's ticks, and how many ticks each is.
_OTHER_UNITS = {
    "seconds": FPS * TICKS_PER_FRAME,
    "frames": TICKS_PER_FRAME,
    "1/100 of a second": FPS * TICKS_PER_FRAME / 100,
    "milliseconds": FPS * TICKS_PER_FRAME / 1000,
    "samples of 44.1 kHz": FPS * TICKS_PER_FRAME / 44_100,
    "microseconds": FPS * TICKS_PER_FRAME / 1e6,
    "units of 100 ns": FPS * TICKS_PER_FRAME / 1e7,
}
WORDS = tuple(word for slot in SLOTS for word in slot.values())  # 51
SILENCE, UNKNOWN = 0, -1  # as the label of a frame; a word's is 1 + its place in `WORDS`


class Word(NamedTuple):
    """A spoken word; `start` and `end` in frames, fractions allowed."""

    text: str
    start: float
    end: float


class Clip(NamedTuple):
    """A video of the corpus; `id` is `speaker/name`, `align` its alignment or None."""

    id: str
    path: Path
    speaker: str
    align: Path | None


class Found(NamedTuple):
    """What `find_clips` of a corpus gives.

    Attributes:
        clips: In natural order.
        failures: Those that cannot be used, name to reason.
        warnings: What else lies there and is left out, counted in a line.
    """

    clips: list
    failures: dict[str, str]
    warnings: list[str]


def find_clips(source: Path | str, exclude: Path | str | None = None, companions: Sequence[str] = (".align",)) -> Found:
    """The videos under a folder, in natural order, with speaker and alignment.

    Args:
        source: Any of the trees above, or a part of it.
        exclude: A folder inside that is left out.
        companions: Suffixes of files that belong to videos and are not told as left out.

    Returns:
        The clips; those that cannot be used because they share a name with another or hold nothing; and a warning of
        other files.

    Raises:
        UsageError: No such folder.
        DataError: It holds no videos.
    """
    source = Path(source)
    listing = walk_files(
        source, VIDEO_SUFFIXES, exclude=Path(exclude) if exclude else None, companions=tuple(companions)
    )
    videos, dangling = listing.to_try(), listing.dangling(source)
    if not videos and not dangling:
        raise DataError(
            f"{source}: no videos in it. Expected SPEAKER/NAME.mpg, with align/SPEAKER/NAME.align beside SPEAKER."
        )
    by_id: dict[str, list[Clip]] = {}
    for path in videos:
        speaker = _speaker(path, source)
        align = find_alignment(path, speaker)
        clip = Clip(same_form(f"{speaker}/{path.stem}"), path, same_form(speaker), align)
        by_id.setdefault(clip.id, []).append(clip)
    failures = dangling | {
        name: f"{' and '.join(str(clip.path) for clip in same)} share the name {name}. Keep one of them."
        for name, same in by_id.items()
        if len(same) > 1
    }
    clips = [same[0] for same in by_id.values() if len(same) == 1]
    return Found(clips, failures, list(filter(None, [describe_left_out(source, listing.left_out)])))


def _speaker(path: Path, source: Path) -> str:
    parents = [parent.name for parent in path.absolute().parents]
    depth = len(path.relative_to(source).parents)  # the folder given counts as well: it may be a speaker's own
    named = (name for name in parents[:depth] if re.fullmatch(r"s\d{1,2}", name))
    return next(named, parents[0])


def find_alignment(path: Path, speaker: str) -> Path | None:
    """The alignment of a video, None where there is none."""
    folders = [path.parent]
    names = dict.fromkeys((speaker, *re.findall(r"^s\d{1,2}(?=_)", speaker)))  # s1_mpg has the sentences of s1
    own = True  # a flat folder of alignments counts only if it is this speaker's own
    for parent in path.absolute().parents[:4]:
        folders += [
            parent / kind / name for kind in ("align", "alignments") for name in (*names, *([""] if own else []))
        ]
        own = own and parent.name != speaker
    stems = dict.fromkeys((path.stem, *(unicodedata.normalize(form, path.stem) for form in ("NFC", "NFD"))))
    files = (folder / f"{stem}.align" for folder in folders for stem in stems)
    return next((file for file in files if file.is_file()), None)


def read_alignment(path: Path | str) -> list[Word]:
    """The words of an `.align` file, pauses left out.

    Raises:
        DataError: A line without three columns, a time that is no number or runs backwards, a symbol that no
            word is written with, or no word at all, with file and line; or words far too short, since times are in
            another unit.
    """
    path = Path(path)
    try:
        lines = read_lines(path, "an alignment")
    except TfavError as error:
        raise DataError(f"{error} Or remove it to go by the file's name.") from error
    words, previous = [], 0.0
    for number, line in lines:
        where = f"{path}, line {number}"
        columns = line.split()
        if len(columns) != 3:
            raise DataError(f"{where}: expected `start end word`, 3 columns. Received {len(columns)}: {line!r}")
        try:
            start, end = (float(column) / TICKS_PER_FRAME for column in columns[:2])
        except ValueError as error:
            raise DataError(f"{where}: expected two numbers before the word. Received: {line!r}") from error
        if not 0 <= previous <= start <= end < float("inf"):
            raise DataError(f"{where}: times run backwards. Received: {line!r} after {previous * TICKS_PER_FRAME:g}")
        previous = end
        text = columns[2].lower()
        if text in PAUSES:
            continue
        others = sorted(set(text) - set(_IN_WORDS))
        unknown = [letter for letter in others if unicodedata.category(letter)[0] not in "LMN"]
        if unknown:
            raise DataError(f"{where}: unknown symbol {' '.join(map(repr, unknown))} in the word {columns[2]!r}.")
        words.append(Word(text, start, end))
    if not words:
        raise DataError(f"{path}: no words in it. Replace it, or remove it to go by the file's name.")
    check_unit(words, path)
    return words


def check_unit(words: Sequence[Word], path: Path) -> None:
    """Refuses words that are far too short, since their times were in another unit.

    Raises:
        DataError: Naming the file and the unit that they seem to be in.
    """
    if words and _mean_frames(words) < _LEAST_MEAN:
        raise DataError(f"{path}: {_describe_unit(words)}")


def describe_misfit(words: Sequence[Word], num_frames: int) -> str:
    """What speaks against an alignment's times in a video of so many frames, "" where nothing does.

    Args:
        words: As from `read_alignment`.
        num_frames: Of the video, at 25 a second.
    """
    if not words:
        return ""
    if words[-1].end > num_frames + _BEYOND:
        unit = f": {_describe_unit(words)}" if _mean_frames(words) > _MOST_MEAN else ""
        return f"it has {num_frames} frames, and its alignment goes on to frame {words[-1].end:.0f}{unit}"
    if _mean_frames(words) < 2 * _LEAST_MEAN and words[-1].end < num_frames / 5:
        return f"its alignment ends at frame {words[-1].end:.1f} of {num_frames}: {_describe_unit(words)}"
    return ""


def _mean_frames(words: Sequence[Word]) -> float:
    return sum(word.end - word.start for word in words) / len(words)


def _describe_unit(words: Sequence[Word]) -> str:
    """How long words would last, and the unit in which they would last as long as words do."""
    mean = _mean_frames(words)
    told = f"its words last {1000 * mean / FPS:.3g} ms on average where times are in GRID's unit, 1/1000 of a frame"
    if not mean:
        return f"{told}. Write when each word begins and ends."
    unit, factor = min(_OTHER_UNITS.items(), key=lambda item: abs(math.log(mean * item[1] / _USUAL_MEAN)))
    return f"{told}. Are they in {unit}? Then multiply them by {factor:g}."


def sentence_of(name: str) -> str:
    """The sentence that a GRID file's name spells, "" where it is none: `bbaf2n` is "bin blue at f two now"."""
    if len(name) != len(SLOTS) or any(letter not in slot for letter, slot in zip(name, SLOTS, strict=True)):
        return ""
    return " ".join(slot[letter] for letter, slot in zip(name, SLOTS, strict=True))
