"""What is said in the videos of a folder: by GRID's alignments, by transcripts of any kind, or by a table.

A long recording is cut at the borders of its subtitles, so each utterance becomes an example of its own.
"""

import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, TfavError, UsageError
from tfav.io.listing import walk_files
from tfav.io.text_files import same_form
from tfav.speech import grid
from tfav.speech.text_normalization import Digits
from tfav.speech.transcripts import (
    MANIFEST_SUFFIXES,
    SUFFIXES,
    TimedWord,
    Utterance,
    read_manifest,
    read_transcript,
)

MARGIN_SEC = 0.2  # of pictures before and after what is cut out: lips move before they are heard
MAX_SECONDS = 12.0
_LEAST_PAUSE_SEC = 0.1  # where a long utterance may be divided


class Spoken(NamedTuple):
    """An utterance in a video.

    Attributes:
        id: `speaker/name`, or `speaker/name@start` of one that is cut out of a recording.
        path: The video.
        speaker: Who speaks.
        text: What is said, in the form of `normalize_text`.
        words: With times in seconds of the video; empty where they are not known.
        span_sec: What to cut out; None: the whole recording.
        is_only: It is all that is said in the recording, which is taken whole if it is short.
    """

    id: str
    path: Path
    speaker: str
    text: str
    words: tuple[TimedWord, ...]
    span_sec: tuple[float, float] | None = None
    is_only: bool = True


class Corpus(NamedTuple):
    """What `find_spoken` gives.

    Attributes:
        spoken: In natural order of the videos, and of time within each.
        failures: Recordings and parts of them that cannot be used, name to reason.
        warnings: What else is left out, a line each.
        changes: What normalising changed in the texts, kind to count.
    """

    spoken: list[Spoken]
    failures: dict[str, str]
    warnings: list[str]
    changes: Counter


def find_spoken(
    source: Path | str,
    *,
    exclude: Path | str | None = None,
    transcripts: Path | str | None = None,
    digits: Digits = "keep",
    max_seconds: float = MAX_SECONDS,
) -> Corpus:
    """Lists the utterances of a folder of videos.

    Args:
        source: The videos, in any tree; the folder of a video is its speaker (`s1` of GRID's trees).
        exclude: A folder inside that is left out.
        transcripts: A table (`.csv`, `.tsv`), or a folder of transcripts; None: they lie beside the videos or in
            `align/`. Where there is none, the name of a GRID file spells its sentence.
        digits: As in `normalize_text`.
        max_seconds: Longer utterances are divided at pauses, where the transcript has word times, or fail.

    Raises:
        UsageError: No such folder or file.
        DataError: It holds no videos, or the table cannot be used.

    Example:
        >>> find_spoken("recordings").spoken[0].text
        'buenos días'
    """
    found = grid.find_clips(source, exclude, companions=(*SUFFIXES, *MANIFEST_SUFFIXES))
    corpus = Corpus([], dict(found.failures), list(found.warnings), Counter())
    if transcripts and Path(transcripts).suffix.lower() in MANIFEST_SUFFIXES:
        said = _by_table(found.clips, Path(source), Path(transcripts), digits, corpus)
    else:
        if transcripts and not Path(transcripts).is_dir():
            raise UsageError(
                f"{transcripts}: neither a table ({', '.join(MANIFEST_SUFFIXES)}) nor a folder of transcripts."
            )
        said = _by_files(found.clips, Path(source), Path(transcripts) if transcripts else None, digits, corpus)
    for clip, utterances in said:
        corpus.spoken.extend(_cut(clip, utterances, max_seconds, corpus.failures))
    return corpus


def _by_files(
    clips: Sequence[grid.Clip], source: Path, transcripts: Path | None, digits: Digits, corpus: Corpus
) -> Iterator[tuple[grid.Clip, Sequence[Utterance]]]:
    alignments = {clip.path: clip.align for clip in clips if clip.align}
    paired = find_transcripts([clip.path for clip in clips], source, transcripts, alignments)
    if paired.unused:
        corpus.warnings.append(f"{len(paired.unused)} transcripts belong to no video; first {paired.unused[0]}.")
    for clip in clips:
        sentence = grid.sentence_of(clip.path.stem)
        if clip.path in paired.missing and sentence:
            yield clip, [Utterance(sentence)]
            continue
        try:
            if clip.path in paired.missing:
                raise DataError(
                    f"{clip.path}: there is no transcript of its name ({', '.join(SUFFIXES)}) in "
                    f"{transcripts or source}, and its name is no GRID code such as bbaf2n. Add "
                    f"{clip.path.stem}.txt, or remove the video."
                )
            if clip.path in paired.failures:
                raise DataError(f"{clip.path}: {paired.failures[clip.path]}")
            read = read_transcript(paired.pairs[clip.path], digits=digits)
        except TfavError as error:
            corpus.failures[clip.id] = str(error)
            continue
        corpus.warnings.extend(read.refused)
        corpus.changes.update(read.changes)
        yield clip, read.utterances


def _by_table(
    clips: Sequence[grid.Clip], source: Path, path: Path, digits: Digits, corpus: Corpus
) -> Iterator[tuple[grid.Clip, Sequence[Utterance]]]:
    table = read_manifest(path, digits=digits)
    corpus.warnings.extend(table.refused)
    corpus.changes.update(table.changes)
    by_path = {clip.path.absolute(): clip for clip in clips}
    by_name: dict[str, list[grid.Clip]] = {}
    for clip in clips:
        for name in {clip.id, same_form(clip.path.name), same_form(clip.path.stem)}:
            by_name.setdefault(name, []).append(clip)
    rows: dict[grid.Clip, list[Utterance]] = {}
    for row in table.rows:
        told = row.video.relative_to(path.parent)
        known = [by_path[way] for way in (row.video.absolute(), (source / told).absolute()) if way in by_path][:1]
        known = known or next((by_name[name] for name in (told.as_posix(), told.name) if name in by_name), [])
        if len(known) != 1:
            why = f"fits {len(known)} videos" if known else f"is not among the videos of {source}"
            corpus.failures[told.as_posix()] = f"{path}: {told.as_posix()} {why}. Write its path below {source}."
            continue
        clip = known[0]
        if row.speaker:
            clip = clip._replace(id=f"{row.speaker}/{same_form(clip.path.stem)}", speaker=row.speaker)
        rows.setdefault(clip, []).append(row.utterance)
    left = len(clips) - len({clip.path for clip in rows})
    if left:
        corpus.warnings.append(f"{left} of {len(clips)} videos stand in no row of {path} and are left out.")
    order = {clip.path: place for place, clip in enumerate(clips)}
    for clip in sorted(rows, key=lambda clip: order[clip.path]):
        yield clip, sorted(rows[clip], key=lambda utterance: utterance.start_sec or 0.0)


def _cut(
    clip: grid.Clip, utterances: Sequence[Utterance], max_seconds: float, failures: dict[str, str]
) -> Iterator[Spoken]:
    """The examples that a recording becomes."""
    pieces: list[Utterance] = []
    for utterance in utterances:
        words, start, end = utterance.words, utterance.start_sec, utterance.end_sec
        if start is None and words:
            start, end = words[0].start_sec, words[-1].end_sec
        if start is None or end - start <= max_seconds:
            pieces.append(utterance)
            continue
        divided = _divide(words, max_seconds)
        if divided is None:
            failures[f"{clip.id}@{start:.2f}"] = (
                f"{clip.path}: what is said at {start:.2f} s lasts {end - start:.1f} s, more than max_seconds="
                f"{max_seconds:g}, and no pause is told in it. Divide it in the transcript, or raise --max-seconds."
            )
            continue
        for part in divided:
            text = " ".join(word.text for word in part)
            pieces.append(Utterance(text, part[0].start_sec, part[-1].end_sec, tuple(part)))
    if len(pieces) == 1:
        (piece,) = pieces
        span = None if piece.start_sec is None else (piece.start_sec, piece.end_sec)
        is_only = len(utterances) == 1 and piece is utterances[0]
        yield Spoken(clip.id, clip.path, clip.speaker, piece.text, piece.words, span, is_only)
        return
    borders = [-math.inf, *(piece.end_sec for piece in pieces)]
    starts = [*(piece.start_sec for piece in pieces[1:]), math.inf]
    for piece, before, after in zip(pieces, borders, starts, strict=False):
        span = max(0.0, before, piece.start_sec - MARGIN_SEC), min(after, piece.end_sec + MARGIN_SEC)
        name = f"{clip.id}@{piece.start_sec:.2f}"
        yield Spoken(name, clip.path, clip.speaker, piece.text, piece.words, span, is_only=False)


def _divide(words: Sequence[TimedWord], max_seconds: float) -> list[Sequence[TimedWord]] | None:
    """Words divided at their longest pauses until no part is too long; None where there is no pause."""
    if words and words[-1].end_sec - words[0].start_sec <= max_seconds:
        return [words]
    pauses = [after.start_sec - before.end_sec for before, after in itertools.pairwise(words)]
    if not pauses or max(pauses) < _LEAST_PAUSE_SEC:
        return None
    place = 1 + pauses.index(max(pauses))
    parts = _divide(words[:place], max_seconds), _divide(words[place:], max_seconds)
    return None if None in parts else [*parts[0], *parts[1]]


class Paired(NamedTuple):
    """Recordings with their transcripts.

    Attributes:
        pairs: From video to transcript, in the order of the videos.
        missing: Videos that have none.
        failures: Videos that have several, each with the reason.
        unused: Transcripts that belong to no video.
    """

    pairs: dict[Path, Path]
    missing: frozenset[Path]
    failures: dict[Path, str]
    unused: tuple[Path, ...]


def find_transcripts(
    videos: Sequence[Path],
    source: Path,
    transcripts: Path | None = None,
    alignments: Mapping[Path, Path] | None = None,
) -> Paired:
    """Finds the transcript of each video by its name: beside it, in a parallel tree, or anywhere for a unique name.

    Args:
        videos: Below `source`.
        source: Folder of the videos.
        transcripts: Folder of the transcripts; None: `source`. A language may stand in a name: `clip.es.srt`.
        alignments: What is known already: videos to their alignments.
    """
    root, known = Path(transcripts or source), dict(alignments or {})
    by_stem: dict[str, list[Path]] = {}
    for path in walk_files(root, frozenset(SUFFIXES)).to_try():
        by_stem.setdefault(same_form(_LANGUAGE.sub("", path.stem)), []).append(path)
    stems = Counter(same_form(video.stem) for video in videos)
    pairs, failures, used = {}, {}, {path.absolute() for path in known.values()}
    for video in videos:
        named = by_stem.get(same_form(video.stem), [])
        beside = [path for path in named if path.parent == video.parent]
        parallel = [path for path in named if path.parent.relative_to(root) == video.parent.relative_to(source)]
        found = beside or parallel or (named if stems[same_form(video.stem)] == 1 else [])
        if video in known:
            found = [known[video], *(path for path in beside or parallel if path.suffix.lower() != ".align")]
        if len(found) == 1:
            pairs[video] = found[0]
            used.add(found[0].absolute())
        elif found:
            names = " and ".join(str(path).removeprefix(f"{root}{os.sep}") for path in found[:3])
            failures[video] = f"{len(found)} transcripts have its name: {names}. Keep one of them."
            used |= {path.absolute() for path in found}
    unused = [path for paths in by_stem.values() for path in paths if path.absolute() not in used]
    missing = frozenset(videos) - pairs.keys() - failures.keys()
    return Paired(pairs, missing, failures, tuple(unused))


_LANGUAGE = re.compile(r"\.[a-z]{2,3}(-\w{2,8})?$")
