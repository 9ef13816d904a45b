"""What is said in recordings, from the files that people have: subtitles, alignments, TextGrids, plain text, tables."""

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError
from tfav.io.text_files import read_text, same_form
from tfav.speech import grid
from tfav.speech.text_normalization import Digits, normalize_text

MANIFEST_SUFFIXES = (".csv", ".tsv")
_COLUMNS = ("video", "text", "speaker", "start_sec", "end_sec")
_DELIMITERS = ",;\t|"

# A time before a word of a cue, and what it becomes, since no reader of subtitles keeps it.
_STAMP = re.compile(r"<((?:\d+:)?\d{1,2}:\d{2}\.\d{3})>")
_MARK = re.compile("\ue000([\\d.]+)\ue001")
_PAUSE_SEC = 1.0  # between the words of two utterances
# Parts of subtitles that nobody says.
_MARKUP = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_SOUNDS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\*[^*]*\*")
_MUSIC = re.compile("[\u2669-\u266f\U0001f3b5\U0001f3b6]")
_SPEAKER = re.compile(r"^\s*(?:[-\u2010-\u2015]\s*)?(?:>>\s*)?([^\W\d_a-z][^:.,!?a-z]{1,30}):\s+")


class TimedWord(NamedTuple):
    """A word with its start and end in seconds."""

    text: str
    start_sec: float
    end_sec: float


class Utterance(NamedTuple):
    """Something that is said, in the form of `normalize_text`.

    Attributes:
        text: Its words.
        start_sec: Where it begins in the recording; None: it is the whole recording.
        end_sec: Where it ends, likewise.
        words: Each word with its times; empty where the file does not tell.
    """

    text: str
    start_sec: float | None = None
    end_sec: float | None = None
    words: tuple[TimedWord, ...] = ()


class Transcript(NamedTuple):
    """What a file says.

    Attributes:
        utterances: In order of time.
        refused: What cannot be used, a line each; the rest stands.
        changes: What normalising changed, and what was taken out since nobody says it: kind to count.
    """

    utterances: tuple[Utterance, ...]
    refused: tuple[str, ...]
    changes: Counter


class ManifestRow(NamedTuple):
    """A row of a table of recordings; `speaker` is "" where the table does not tell."""

    video: Path
    utterance: Utterance
    speaker: str


class Manifest(NamedTuple):
    """A table of recordings; `refused` and `changes` as in `Transcript`."""

    rows: tuple[ManifestRow, ...]
    refused: tuple[str, ...]
    changes: Counter


def read_transcript(path: Path | str, *, digits: Digits = "keep") -> Transcript:
    """Reads what is said in one recording.

    Args:
        path: `.align` (GRID's columns `start end word`), `.srt`, `.vtt`, `.TextGrid` (Praat; a tier of words, else of
            utterances, else of phones), or `.txt`: one utterance, or the form of LRS2 and LRS3 with `Text:` and a table
            of words. UTF-8, or UTF-16 with its mark; any line ends.
        digits: As in `normalize_text`.

    Raises:
        DataError: Nothing in it can be used; the line names the file and says what to do.
        UsageError: The file is not there.

    Example:
        >>> read_transcript("ana/0001.srt").utterances[0]
        Utterance(text='buenos días', start_sec=0.4, end_sec=1.9, words=())
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: not a kind of transcript. Known: {', '.join(SUFFIXES)}.")
    collected = _Collected(str(path), digits)
    for utterance in reader(path, collected):
        collected.add(utterance)
    read = collected.transcript()
    return _join_words(read) if path.suffix.lower() in _SUBTITLES else read


def read_manifest(path: Path | str, *, digits: Digits = "keep") -> Manifest:
    """Reads a table of recordings.

    Args:
        path: `.csv` or `.tsv` whose first line names the columns: `video` and `text`, and where wanted `speaker`,
            `start_sec` and `end_sec`. Comma, semicolon, tab or `|` between them. Videos are relative to its folder.
        digits: As in `normalize_text`.

    Raises:
        DataError: It has no such columns, or no row that can be used.
        UsageError: The file is not there.

    Example:
        >>> read_manifest("recordings.csv").rows[0].utterance.text
        'buenos días'
    """
    path = Path(path)
    lines = read_text(path, "a table of recordings").split("\n")
    header = lines[0]
    delimiter = max(_DELIMITERS, key=header.count)
    columns = [name.strip().strip('"').lower() for name in header.split(delimiter)]
    missing = [name for name in _COLUMNS[:2] if name not in columns]
    if missing:
        raise DataError(
            f"{path}: its first line must name the columns video and text. It has no {' and no '.join(missing)}: "
            f"{header[:80]!r}"
        )
    collected, rows = _Collected(str(path), digits), []
    for number, row in enumerate(csv.DictReader(lines[1:], columns, delimiter=delimiter), 2):
        values = {name: (row.get(name) or "").strip() for name in _COLUMNS}
        if not any(values.values()):
            continue
        where = f"line {number}"
        if None in row:
            collected.refuse(where, f"has more columns than the first line. Quote a text with {delimiter!r} in it")
        elif not values["video"]:
            collected.refuse(where, "names no video")
        elif (times := _times_of(values)) is None:
            collected.refuse(where, "start_sec and end_sec must be two numbers in seconds, or both be empty")
        elif collected.add(Utterance(values["text"], *times), where):
            video = path.parent / same_form(values["video"].replace("\\", "/"))
            rows.append(ManifestRow(video, collected.utterances[-1], same_form(values["speaker"])))
    _refuse_overlaps(rows, collected)
    done = collected.transcript(ordered=False)
    return Manifest(tuple(rows), done.refused, done.changes)


def _times_of(values: dict[str, str]) -> tuple[float, float] | tuple[None, None] | None:
    given = (values["start_sec"], values["end_sec"])
    if given == ("", ""):
        return None, None
    try:
        return float(given[0].replace(",", ".")), float(given[1].replace(",", "."))
    except ValueError:
        return None


def _refuse_overlaps(rows: list[ManifestRow], collected: "_Collected") -> None:
    """Of one video, a segment that begins before the one ahead of it has ended goes, and so does a second whole one."""
    ends: dict[Path, float] = {}
    overlapping = set()
    for place, row in sorted(enumerate(rows), key=lambda item: item[1].utterance.start_sec or 0.0):
        start, end = row.utterance.start_sec, row.utterance.end_sec
        if (start or 0.0) < ends.get(row.video, 0.0):
            overlapping.add(place)
            collected.refuse(row.video.name, f"{row.utterance.text[:40]!r} overlaps what is said before it")
        else:
            ends[row.video] = math.inf if end is None else end
    rows[:] = [row for place, row in enumerate(rows) if place not in overlapping]
    collected.utterances[:] = [row.utterance for row in rows]


class _Collected:
    """Utterances and why others are none; messages name the file once."""

    def __init__(self, name: str, digits: Digits):
        self.name, self._digits = name, digits
        self.utterances: list[Utterance] = []
        self.refused: list[str] = []
        self.changes: Counter = Counter()

    def refuse(self, where: str, reason: str) -> None:
        self.refused.append(f"{self.name}, {where}: {reason}.")

    def add(self, utterance: Utterance, where: str = "") -> bool:
        """Normalises and checks one; False where it cannot be used."""
        start, end = utterance.start_sec, utterance.end_sec
        where = where or ("all of it" if start is None else f"at {start:.2f} s")
        if start is not None and not 0 <= start < end < math.inf:
            self.refuse(where, f"its times run backwards or are none: {start:g} to {end:g} s")
            return False
        try:
            text, changes = normalize_text(utterance.text, self._digits)
            words = tuple(word._replace(text=normalize_text(word.text, self._digits).text) for word in utterance.words)
        except DataError as error:
            self.refuse(where, str(error).rstrip("."))
            return False
        self.changes += changes
        if not text:
            self.refuse(where, "nothing in it can be said")
            return False
        self.utterances.append(utterance._replace(text=text, words=tuple(word for word in words if word.text)))
        return True

    def transcript(self, ordered: bool = True) -> Transcript:
        kept: list[Utterance] = []
        for utterance in sorted(self.utterances, key=lambda one: one.start_sec or 0.0) if ordered else ():
            if kept and utterance.start_sec is not None and utterance.start_sec < kept[-1].end_sec:
                self.refuse(
                    f"at {utterance.start_sec:.2f} s", f"{utterance.text[:40]!r} overlaps what is said before it"
                )
            else:
                kept.append(utterance)
        kept = kept if ordered else self.utterances
        if not kept:
            reason = f"nothing can be used; first: {self.refused[0]}" if self.refused else "it is empty"
            raise DataError(f"{self.name}: {reason.rstrip('.')}. Write down what is said, or remove the file.")
        return Transcript(tuple(kept), tuple(self.refused), +self.changes)


def _read_plain(path: Path, collected: _Collected) -> Iterator[Utterance]:
    lines = [line.strip() for line in read_text(path, "a transcript").split("\n")]
    first = next((line for line in lines if line), "")
    if not first.lower().startswith("text:"):
        yield Utterance(" ".join(lines))
        return
    head = next((place for place, line in enumerate(lines) if line.split()[:3] == ["WORD", "START", "END"]), len(lines))
    words = []
    for number, line in enumerate(lines[head + 1 :], head + 2):
        if not line:
            continue
        try:
            text, *times = line.split()[:3]
            words.append(TimedWord(text, *map(float, times)))
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: expected `WORD START END`. Received: {line!r}") from error
    yield Utterance(first[len("text:") :], words=_in_order(words, path))


def _read_grid(path: Path, collected: _Collected) -> Iterator[Utterance]:
    words = grid.read_alignment(path)
    timed = tuple(TimedWord(word.text, word.start / grid.FPS, word.end / grid.FPS) for word in words)
    yield Utterance(" ".join(word.text for word in words), words=timed)


def _in_order(words: Sequence[TimedWord], path: Path) -> tuple[TimedWord, ...]:
    ends = [0.0, *(word.end_sec for word in words)]
    for word, before in zip(words, ends, strict=False):
        if not before - 1e-6 <= word.start_sec <= word.end_sec < math.inf:
            raise DataError(f"{path}: its times run backwards at {word.text!r}. Mend the times, or give text only.")
    return tuple(words)


def _read_subtitles(path: Path, collected: _Collected) -> Iterator[Utterance]:
    import pysubs2

    text = _STAMP.sub(lambda match: f"\ue000{_seconds(match[1])}\ue001", read_text(path, "subtitles"))
    try:
        lines = pysubs2.SSAFile.from_string(text, format_=path.suffix.lower()[1:])
    except (pysubs2.Pysubs2Error, ValueError, IndexError) as error:
        raise DataError(f"{path}: not {path.suffix} subtitles ({error}). Save them again.") from error
    if not lines and text.strip():
        raise DataError(f"{path}: no line with times such as 00:00:01,000 --> 00:00:02,500. Save it as {path.suffix}.")
    for line in lines:
        said = line.text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        for pattern, kind in ((_MARKUP, "markup"), (_SOUNDS, "descriptions of sounds"), (_MUSIC, "music notes")):
            said, number = pattern.subn(" ", said)
            collected.changes[f"{kind} taken out"] += number
        parts = []
        for part in said.split("\n"):
            part, number = _SPEAKER.subn("", part)
            collected.changes["names of speakers taken out"] += number
            parts.append(part)
        yield _with_stamps(" ".join(parts), line.start / 1000, line.end / 1000)


def _seconds(stamp: str) -> float:
    """Of `01:02:03.500` or `02:03.500`."""
    seconds = 0.0
    for part in stamp.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def _with_stamps(said: str, start_sec: float, end_sec: float) -> Utterance:
    """A cue whose words have time stamps, as karaoke has; without word times where one stands before several words."""
    before, *parts = _MARK.split(said)
    stamps = list(map(float, parts[::2]))
    pieces = [(start_sec, before), *zip(stamps, parts[1::2], strict=True)]
    pieces = [(start, " ".join(piece.split())) for start, piece in pieces if piece.strip()]
    text = " ".join(piece for _, piece in pieces)
    if not stamps or any(" " in piece for _, piece in pieces):
        return Utterance(text, start_sec, end_sec)
    ends = [*(start for start, _ in pieces[1:]), end_sec]
    words = tuple(TimedWord(piece, start, end) for (start, piece), end in zip(pieces, ends, strict=True))
    return Utterance(text, start_sec, end_sec, words)


def group_words(words: Sequence[TimedWord]) -> list[list[TimedWord]]:
    """Words in stretches without a pause of a second."""
    groups: list[list[TimedWord]] = []
    for word in words:
        if not groups or word.start_sec - groups[-1][-1].end_sec >= _PAUSE_SEC:
            groups.append([])
        groups[-1].append(word)
    return groups


def _join_words(read: Transcript) -> Transcript:
    """Cues of a word each, which `tfav predict` writes, as utterances with word times; others as they are."""
    if len(read.utterances) < 2 or read.refused or any(" " in one.text for one in read.utterances):
        return read
    said = (
        Utterance(" ".join(word.text for word in words), words[0].start_sec, words[-1].end_sec, tuple(words))
        for words in group_words([TimedWord(one.text, one.start_sec, one.end_sec) for one in read.utterances])
    )
    return read._replace(utterances=tuple(said))


def _read_textgrid(path: Path, collected: _Collected) -> Iterator[Utterance]:
    from praatio import textgrid
    from praatio.utilities.errors import PraatioException

    read_text(path, "a TextGrid")  # its errors name the file and the encoding
    try:
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False, reportingMode="silence")
    except (PraatioException, ValueError, IndexError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a TextGrid of Praat ({reason}). Save it again.") from error
    tiers = [tier for tier in grid.tiers if hasattr(tier.entries[0] if tier.entries else None, "end")]
    by_words = [[tier for tier in tiers if re.search(names, tier.name, re.IGNORECASE)] for names in _TIERS]
    chosen = next((found for found in by_words if found), tiers)
    if len(chosen) != 1:
        names = " ".join(", ".join(tier.name for tier in grid.tiers).split()) or "none"
        raise DataError(f"{path}: expected one tier of intervals named words, utterances or phones. It has: {names}.")
    (tier,) = chosen
    if chosen is by_words[1] or (chosen is tiers and any(" " in entry.label.strip() for entry in tier.entries)):
        for entry in tier.entries:
            yield Utterance(entry.label, entry.start, entry.end)
        return
    words = tuple(TimedWord(entry.label, entry.start, entry.end) for entry in tier.entries if entry.label.strip())
    yield Utterance(" ".join(word.text for word in words), words=words)


_TIERS = ("word", "utter|sent|text|transc|phrase|speech", "phon|segment")
_READERS: dict[str, Callable[[Path, _Collected], Iterator[Utterance]]] = {
    ".align": _read_grid,
    ".txt": _read_plain,
    ".srt": _read_subtitles,
    ".vtt": _read_subtitles,
    ".textgrid": _read_textgrid,
}
SUFFIXES = tuple(_READERS)
_SUBTITLES = (".srt", ".vtt")
