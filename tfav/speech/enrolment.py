"""The takes of one speaker who reads prompts aloud, filed so that `tfav prepare` reads them and nothing is lost.

    recordings/ana/0001_take1.webm    as the camera gave it
    recordings/ana/0001_take1.txt     its prompt
    recordings/ana/enrolment.json     all prompts, and what was measured of each take

A take is there when its recording has its name; everything else can be made anew from it. Loads no TensorFlow.
"""

import contextlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import DiskFullError, partial_file, remove_partials, write_json
from tfav.io.isolate_errors import row_of
from tfav.io.listing import VIDEO_SUFFIXES, describe_left_out, is_junk, source_identity, walk_files
from tfav.io.progress import Progress, no_progress
from tfav.io.text_files import read_text, same_form, write_text
from tfav.speech.prompts import Prompts, read_prompts
from tfav.speech.take_check import TakeCheck

SESSION_NAME = "enrolment.json"
_VERSION = 1
_DEFAULT_PROMPTS = "everyday"
_FILED = re.compile(r"(\d{4,})_take(\d+)")
_NUMBERED = re.compile(r"0*(\d{1,4})(?!\d)")
_MIN_SCORES = 5  # of which one may be far below the others
_FAR = 4.0  # standard deviations, by the median of the deviations
_LEAST_GAP = 1.0  # nats a symbol; a run that knows the speaker gives 5 to 12 less to another sentence of GRID's


class Slot(NamedTuple):
    """A place for a take: number of the prompt and of the take of it, both from 1."""

    number: int
    take: int

    @property
    def name(self) -> str:
        """Name of its files, without suffix."""
        return f"{self.number:04d}_take{self.take}"


def slot_of(name: str) -> Slot | None:
    """The place of a take by the name of its file or record, without suffix; None: it is no take's."""
    match = _FILED.fullmatch(name.rsplit("/", 1)[-1])
    return Slot(int(match[1]), int(match[2])) if match else None


class Enrolment:
    """The takes of a speaker in a folder of recordings.

    Args:
        folder: Of the recordings; the speaker's is made inside.
        speaker: Name of the speaker's folder.
        prompts: As in `read_prompts`; None: those that were begun with, at first `everyday`.
        takes: How often each prompt is to be said.

    Attributes:
        folder: The speaker's.
        prompts: What is to be said.

    Raises:
        UsageError: A name that is none of a folder, or no such prompts.
        DataError: Takes of other prompts are there, or its file is broken.
        DiskFullError: No space is left.

    Example:
        >>> Enrolment("recordings", "ana").next_slot()
        Slot(number=1, take=1)
    """

    def __init__(self, folder: Path | str, speaker: str = "me", prompts: Path | str | None = None, takes: int = 1):
        if not speaker or Path(speaker).name != speaker or is_junk(speaker):
            raise UsageError(f"speaker must be the name of a folder, without slashes. Received: speaker={speaker!r}")
        self.folder, self.speaker, self.takes = Path(folder) / same_form(speaker), same_form(speaker), takes
        self._filed: dict[str, dict] = {}
        begun = self._read()
        self.prompts = read_prompts(prompts or _DEFAULT_PROMPTS) if prompts or not begun else Prompts(begun, ())
        for number, (before, now) in enumerate(zip(begun, self.prompts.texts, strict=False), 1):
            if before != now:
                raise DataError(
                    f"{self.folder}: holds takes of other prompts: number {number} was {before[:60]!r} and is "
                    f"{now[:60]!r}. Leave out --prompts to go on with those, or choose another speaker."
                )
        if len(begun) > len(self.prompts.texts):
            raise DataError(
                f"{self.folder}: was begun with {len(begun)} prompts, and {len(self.prompts.texts)} are given. Add "
                "prompts at the end of the list, or choose another speaker."
            )
        remove_partials(self.folder, recursive=False)
        self._write()

    def filed(self) -> dict[Slot, Path]:
        """The takes that are there, by prompt and then by take, to their recordings."""
        found = {}
        for path in self.folder.iterdir():
            slot = slot_of(path.stem)
            if slot and path.suffix.lower() in VIDEO_SUFFIXES and path.with_suffix(".txt").exists():
                found[slot] = path
        return dict(sorted(found.items()))

    def next_slot(self, after: Slot | None = None) -> Slot | None:
        """What to record next: each prompt once, then each a second time; None: all is there.

        Args:
            after: Begin behind this one, and then from the start, for who passes one over.
        """
        there = self.filed()
        numbers = range(1, len(self.prompts.texts) + 1)
        slots = [Slot(number, take) for take in range(1, self.takes + 1) for number in numbers]
        if after in slots:
            place = slots.index(after) + 1
            slots = slots[place:] + slots[:place]
        return next((slot for slot in slots if slot not in there), None)

    def text(self, slot: Slot) -> str:
        """What is to be said.

        Raises:
            UsageError: There is no such prompt or take.
        """
        if not (1 <= slot.number <= len(self.prompts.texts) and slot.take >= 1):
            raise UsageError(f"there is no take {slot.take} of prompt {slot.number}, of {len(self.prompts.texts)}.")
        return self.prompts.texts[slot.number - 1]

    def file(self, slot: Slot, recording: Path | str, check: TakeCheck, **more) -> Path:
        """Keeps a take, in place of an earlier one of the slot, which stays until this one is there.

        Args:
            slot: Which.
            recording: Is copied as it is.
            check: What was found in it.
            **more: To be kept beside what was measured, such as its `source`.

        Returns:
            The recording's new place.

        Raises:
            UsageError: There is no such slot.
            DiskFullError: No space is left; earlier takes are untouched.
        """
        recording = Path(recording)
        target = self.folder / f"{slot.name}{recording.suffix.lower()}"
        earlier = self.filed().get(slot)
        try:
            with partial_file(target.with_suffix(".txt")) as partial:
                write_text(partial, f"{self.text(slot)}\n")
            with partial_file(target) as partial:
                shutil.copyfile(recording, partial)
        except TfavError:
            if earlier is None:  # a text without a recording would be told as left over
                target.with_suffix(".txt").unlink(missing_ok=True)
            raise
        if earlier not in (None, target):
            earlier.unlink()
        self._filed[slot.name] = {**check.measured, "advice": list(check.advice), **more}
        with contextlib.suppress(DiskFullError):  # the take is there; what was measured can be measured again
            self._write()
        return target

    def drop(self, slot: Slot) -> None:
        """Removes a take."""
        if path := self.filed().get(slot):
            path.unlink()
            path.with_suffix(".txt").unlink(missing_ok=True)
        self._filed.pop(slot.name, None)
        self._write()

    def record(self, slot: Slot) -> dict:
        """What was kept beside a take; empty where that is not known."""
        return self._filed.get(slot.name, {})

    def describe(self) -> str:
        """How far it is, in a line."""
        there, wanted = len(self.filed()), self.takes * len(self.prompts.texts)
        return f"{self.folder}: {there} takes of {len(self.prompts.texts)} prompts, {max(0, wanted - there)} to record"

    def _read(self) -> tuple[str, ...]:
        """The prompts that were begun with; none at first."""
        path = self.folder / SESSION_NAME
        if not path.exists():
            return ()
        try:
            content = json.loads(read_text(path, "an enrolment"))
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']}")
            self._filed = {str(name): dict(row) for name, row in content["takes"].items()}
            return tuple(map(str, content["prompts"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: cannot be read ({' '.join(str(error).split())[:100]}). Remove it and give "
                "--prompts again; the takes stay."
            ) from error

    def _write(self) -> None:
        content = {"version": _VERSION, "prompts": self.prompts.texts, "takes": self._filed}
        write_json(self.folder / SESSION_NAME, content)


def enrol_recordings(
    source: Path | str,
    enrolment: Enrolment,
    check: Callable[[Path, str], TakeCheck],
    *,
    score: Callable[[Path, str], float] | None = None,
    progress: Progress = no_progress,
) -> dict:
    """Checks recordings that exist against their prompts, and files those that are good.

    Args:
        source: Folder of the recordings, or one of them. Where every name begins with the number of its prompt
            (`7.mp4`, `0007_b.mov`) they go by it; else there is one for each prompt, in natural order of the names.
        enrolment: Where they go. What a former call has filed of the same recording is kept without a look.
        check: From a recording and its prompt to what was found, as `check_take`.
        score: From them to the mean log-probability of a symbol; takes far below the others are refused.
        progress: Told after each.

    Returns:
        JSON-ready: `files`, a row each with `path`, `prompt`, and `wrote` and `advice` where it is good, `faults` where
        it is to be repeated, or `error`; `warnings`; `left`, the prompts without a take.

    Raises:
        UsageError: No such folder.
        DataError: No videos, or it is not known which prompt each of them is of.
        DiskFullError: No space is left; earlier takes are filed.
    """
    source = Path(source)
    files, warnings = [source], list(enrolment.prompts.refused)
    if source.is_dir():
        listing = walk_files(source, VIDEO_SUFFIXES, exclude=enrolment.folder)
        files, left_out = listing.to_try(), describe_left_out(source, listing.left_out)
        warnings += [*listing.dangling(source).values(), *([left_out] if left_out else [])]
    if not files:
        raise DataError(f"{source}: no videos in it. Give the folder of your recordings.")
    rows, scores = {}, {}
    for count, (path, slot) in enumerate(_pair(files, len(enrolment.prompts.texts), source), 1):
        text, origin = enrolment.text(slot), source_identity(path)
        filed, known = enrolment.filed().get(slot), enrolment.record(slot)
        if filed and known.get("source") == origin and score is None:
            row = {"path": str(path), "advice": known.get("advice", []), "wrote": str(filed), "score": None}
        else:
            row = row_of(path, _look, text=text, check=check, score=score)
            found = row.pop("check", None)
            if found and not found.faults:
                row["wrote"] = str(enrolment.file(slot, path, found, source=origin))
        rows[slot] = {"prompt": text, **row}
        if "wrote" in row and row["score"] is not None:
            scores[slot] = row["score"]
        progress(count / len(files), path.name)
    for slot in far_below(scores):
        enrolment.drop(slot)
        del rows[slot]["wrote"]
        usual = float(np.median(list(scores.values())))
        rows[slot]["faults"] = [
            f"The lips do not say this sentence: {scores[slot]:.1f} for a letter, the others {usual:.1f}. Say it again."
        ]
    there = {slot.number for slot in enrolment.filed()}
    left = [text for number, text in enumerate(enrolment.prompts.texts, 1) if number not in there]
    return {"files": list(rows.values()), "warnings": warnings, "left": left}


def _look(path: Path, *, text: str, check: Callable, score: Callable | None) -> dict:
    found = check(path, text)
    row = {"path": str(path), "measured": found.measured, "advice": list(found.advice), "score": None, "check": found}
    if found.faults:
        row["faults"] = list(found.faults)
    elif score is not None:
        try:
            row["score"] = round(score(path, text), 3)
        except TfavError as error:  # no reason to do without the take
            row["advice"].append(f"Not compared with the others: {error}")
    return row


def _pair(files: Sequence[Path], num_prompts: int, source: Path) -> list[tuple[Path, Slot]]:
    """Each recording with its place."""
    named = [_NUMBERED.match(path.stem) for path in files]
    numbers = [int(match[1]) for match in named if match and 1 <= int(match[1]) <= num_prompts]
    if len(numbers) < len(files):
        if len(files) != num_prompts:
            raise DataError(
                f"{source}: it is not known which of {num_prompts} prompts each of {len(files)} recordings is of. "
                "Begin each name with the number of its prompt, such as 0007.mp4, or give one for each prompt."
            )
        numbers = list(range(1, num_prompts + 1))
    taken: Counter = Counter()
    pairs = []
    for path, number in zip(files, numbers, strict=True):
        taken[number] += 1
        pairs.append((path, Slot(number, taken[number])))
    return pairs


def far_below(scores: Mapping[Slot, float]) -> list[Slot]:
    """The takes whose scores are far below those of the others, by median and median deviation.

    Args:
        scores: Mean log-probability of a symbol. Of fewer than five none is far below.
    """
    if len(scores) < _MIN_SCORES:
        return []
    values = np.array(list(scores.values()))
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))
    return [slot for slot, value in scores.items() if value < middle - max(_LEAST_GAP, _FAR * spread)]
