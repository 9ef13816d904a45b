"""Recordings of speech become shards of mouth crops, once; and a configuration's shards, opened once.

A system says what to cut out and whether it needs sound. How a corpus lies on disk is in `corpus`, `grid` and `lrw`.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.data import shards
from tfav.data.example_files import fingerprint
from tfav.data.shard_writing import SHEET_NAME, draw_contact_sheet, prepare_shards
from tfav.data.shards import Entry, Index
from tfav.errors import UsageError
from tfav.io.cache import keyed_path
from tfav.io.faces import detector_file
from tfav.io.lock import locked_folder
from tfav.io.mouth import Box
from tfav.io.parallel import PrepareReport
from tfav.io.text_files import same_form
from tfav.speech import lrw
from tfav.speech.corpus import find_spoken
from tfav.speech.grid import FPS
from tfav.speech.mouth_crops import SAMPLE_RATE, Crop, Cut, make_sentence, make_word
from tfav.speech.splits import MAX_UNUSABLE, NamedSplit, report_unusable
from tfav.speech.text_normalization import Digits


class Jobs(NamedTuple):
    """Recordings to make, as `prepare_shards` takes them: function, arguments and fingerprints, and what failed.

    `notes` are lines for the report.
    """

    make: Callable
    jobs: dict[str, tuple[tuple, str]]
    failures: dict[str, str]
    warnings: list[str]
    notes: tuple[str, ...] = ()


def find_sentences(
    source: Path | str,
    out: Path | str,
    cut: Cut,
    *,
    record_format: int,
    speakers: Sequence[str] = (),
    needs_times: bool = False,
    transcripts: Path | str | None = None,
    digits: Digits = "keep",
) -> Jobs:
    """The utterances of a folder of videos, by `corpus.find_spoken`.

    Args:
        source: The folder.
        out: The shard folder, left out where it lies inside.
        cut: What becomes of each.
        record_format: Of the system's records; with another one they are made anew.
        speakers: These only; empty: all.
        needs_times: Whether an utterance without word times fails.
        transcripts: As in `find_spoken`.
        digits: Likewise.

    Raises:
        UsageError: No such folder or speaker.
        DataError: It holds no videos.
    """
    corpus = find_spoken(source, exclude=out, transcripts=transcripts, digits=digits, max_seconds=cut.max_seconds)
    spoken = of_speakers(corpus.spoken, speakers, lambda one: one.speaker, source)
    wanted = set(map(same_form, speakers))
    failures = {name: why for name, why in corpus.failures.items() if not wanted or speaker_of(name) in wanted}
    jobs = {}
    for one in spoken:
        if one.id in jobs:
            failures[one.id] = f"{one.path}: two utterances would be named {one.id}. Rename one of the videos."
            continue
        if needs_times and not one.words:
            failures[one.id] = (
                f"{one.path}: it is not known when its words are said. Add an alignment, such as {one.path.stem}.align "
                "or .TextGrid, or remove the video."
            )
            continue
        words = [(word.text, round(word.start_sec, 5), round(word.end_sec, 5)) for word in one.words]
        mark = fingerprint(record_format, cut[:1] + cut[2:], one.path, one.text, words, one.span_sec, one.is_only)
        arguments = (str(one.path.absolute()), one.id, one.text, words, cut, one.span_sec, one.is_only)
        jobs[one.id] = arguments, mark
    changes = ", ".join(f"{count} {kind}" for kind, count in corpus.changes.most_common())
    notes = (f"texts: {changes}",) if changes else ()
    return Jobs(make_sentence, jobs, failures, corpus.warnings, notes)


def find_words(source: Path | str, out: Path | str, cut: Cut, *, record_format: int) -> Jobs:
    """The clips of LRW, a word each; arguments as `find_sentences` takes them.

    Raises:
        UsageError: No such folder.
        DataError: It holds no clips.
    """
    clips, failures, warnings = lrw.find_clips(source, exclude=out)
    jobs = {}
    for clip in clips:
        mark = fingerprint(record_format, cut.crop, *clip.paths)
        paths = tuple(str(path.absolute()) for path in clip.paths)
        jobs[clip.id] = ((paths, clip.id, clip.word, cut), mark)
    return Jobs(make_word, jobs, failures, warnings)


def prepare(jobs: Jobs, out: Path | str, settings: Mapping, **workers) -> PrepareReport:
    """Makes what is not there yet, packs it, and draws the contact sheet.

    Args:
        jobs: From `find_sentences` or `find_words`.
        out: Gets the shards, `index.json`, `prepare_report.json` and the sheet.
        settings: For report and index; `open_prepared` looks at `system` and `mouth_crop`.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Raises:
        DataError: None could be used.
    """
    report, index = prepare_shards(
        jobs.make,
        jobs.jobs,
        out,
        failures=jobs.failures,
        warnings=jobs.warnings,
        settings=settings,
        label="recordings",
        **workers,
    )
    report.notes += [_describe(index), *jobs.notes]
    report.write(out)
    if report.done or not (Path(out) / SHEET_NAME).exists():
        draw_contact_sheet(index)
    return report


def _describe(index: Index) -> str:
    """What there is, in a line: how much, of how many, said how."""
    hours = sum(entry.num_frames / entry.fps for entry in index.entries) / 3600
    words = Counter(word for entry in index.entries for word in entry.text.split())
    symbols = "".join(sorted(set("".join(words))))
    told = f"{60 * hours:.1f} minutes" if hours < 1 else f"{hours:.1f} hours"
    speakers = len({speaker_of(entry.id) for entry in index.entries})
    return (
        f"{len(index.entries)} utterances, {told}, {speakers} speaker{'s'[: speakers != 1]}, {words.total()} words "
        f"({len(words)} different), {len(symbols)} symbols: {symbols[:120]}"
    )


def find_detector(crop: Crop) -> str:
    """The face detector's model file for a crop that needs one, else "".

    It is fetched before the work is spread over processes, so that it is fetched once.

    Raises:
        FetchError: It cannot be fetched.
    """
    return str(Path(detector_file()).absolute()) if isinstance(crop, Box) else ""


def open_prepared(
    config, system: str, kind: tuple, prepare: Callable[[Path, Path], PrepareReport]
) -> tuple[Index, dict[str, str]]:
    """The shards of `config.data_dir`; videos are prepared into the cache first.

    Args:
        config: `data_dir`, `mouth_crop` and `cache_path()`.
        system: Whose shards these must be.
        kind: What else the prepared videos depend on.
        prepare: From the folder of videos and that of the shards to a report.

    Returns:
        The index, and the recordings that could not be prepared, name to reason.

    Raises:
        UsageError: The folder is not there, or was prepared otherwise.
        DataError: Nothing in it can be used.
    """
    if not config.data_dir:
        raise UsageError(f"data_dir is not set. Give --data-dir a folder made by tfav prepare {system}, or videos.")
    folder, failed = Path(config.data_dir), {}
    if not (folder / shards.INDEX_NAME).exists():
        out = keyed_path(config.cache_path(), "recordings", folder, system, config.mouth_crop, *kind)
        with locked_folder(out.parent, f".{out.name}.lock"):
            failed = prepare(folder, out).failed
        folder = out
    index = shards.read_index(folder)
    settings = index.settings
    if settings.get("system") != system or settings.get("mouth_crop") != config.mouth_crop:
        found = ", ".join(f"{name}={value}" for name, value in settings.items() if name != "words") or "something else"
        raise UsageError(
            f"{folder}: prepared as {found}; {system} with mouth_crop={config.mouth_crop} is wanted. Prepare the "
            f"videos again with --mouth-crop {config.mouth_crop}."
        )
    return index, failed


class Recordings:
    """The recordings of a configuration, opened once.

    Attributes:
        config: What it was opened by.
        index: The prepared recordings.
        failed: Those that could not be prepared, name to reason.
        split: Names of the recordings of each part.
    """

    def __init__(self, config, index: Index, failed: Mapping[str, str], split: NamedSplit):
        self.config, self.index, self.failed, self.split = config, index, dict(failed), split

    @property
    def fps(self) -> float:
        """Frames per second of the recordings."""
        return self.index.entries[0].fps

    def describe(self) -> dict[str, int]:
        """How many recordings each part has."""
        return {part: len(names) for part, names in self.split._asdict().items()}


def has_usable_sound(entry: Entry) -> bool:
    """Whether a recording has sound of the rate, and pictures of the rate, that features of sound are made for."""
    return entry.audio_rate_hz == SAMPLE_RATE and entry.audio_samples > 0 and entry.fps == FPS


def check_failed(data_dir: Path | str, index: Index, failed: Mapping[str, str]) -> None:
    """Warns of recordings that could not be prepared.

    Raises:
        DataError: They are more than one in a hundred.
    """
    if failed:
        name, reason = next(iter(failed.items()))
        total = len(failed) + len(index.entries)
        report_unusable(
            f"{data_dir}: {len(failed)} of {total} clips cannot be used; first {name}: {reason} Mend or remove them.",
            allowed=len(failed) <= MAX_UNUSABLE * total,
        )


def speaker_of(name: str) -> str:
    """The speaker in a recording's name, `speaker/name`."""
    return name.split("/")[0]


def of_speakers(items: Sequence, speakers: Sequence[str], speaker: Callable, where: Path | str) -> list:
    """The items of some speakers; of all where none are named.

    Args:
        items: Clips or names.
        speakers: Whose.
        speaker: From an item to its speaker.
        where: The folder, for messages.

    Raises:
        UsageError: A speaker that does not occur.
    """
    wanted, there = [same_form(name) for name in speakers], {speaker(item) for item in items}
    if unknown := [name for name in wanted if name not in there]:
        raise UsageError(f"{where}: no speaker {', '.join(unknown)}. There are: {', '.join(sorted(there))}.")
    return [item for item in items if not wanted or speaker(item) in wanted]


def check_crop(config, index: Index) -> None:
    """Refuses a model's picture that is larger than the prepared one.

    Raises:
        UsageError: With both sizes.
    """
    height, width = index.entries[0].height, index.entries[0].width
    if config.crop_size[0] > height or config.crop_size[1] > width:
        raise UsageError(
            f"{index.folder}: the prepared crops are {height}x{width}. Received: crop_size={config.crop_size}"
        )


def at_home(config, **changes):
    """The configuration of a run on this machine, where the cache folder of the one that trained may not be."""
    cache_dir = config.cache_dir if Path(config.cache_dir).is_dir() else ""
    return dataclasses.replace(config, **{"cache_dir": cache_dir, **changes})
