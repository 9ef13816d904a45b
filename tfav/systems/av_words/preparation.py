"""`tfav prepare av_words`: GRID's sentences or LRW's clips become shards of mouths with sound; and back to arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.data import example_files, grid, shards
from tfav.data.shard_writing import SHEET_NAME, draw_contact_sheet, prepare_shards
from tfav.data.shards import Index
from tfav.errors import TfavError, UsageError
from tfav.io.faces import detector_file
from tfav.io.parallel import PrepareReport
from tfav.io.text_files import same_form
from tfav.systems.av_words import corpus, crops
from tfav.systems.av_words.config import LAYOUTS, SYSTEM, Config

_FORMAT = 1  # of the records; those of another one are made anew
_BOXES = {"grid": "follow", "lrw": "fixed"}
_PRESETS = {"grid": "cpu", "lrw": "notebook"}  # whose sizes are taken where none are given


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    layout: str = "grid",
    box: str | None = None,
    crop: tuple[int, int] | None = None,
    speakers: Sequence[str] = (),
    face_detector: str = "",
    workers: int | None = None,
    backend: str = "loky",
    address: str | None = None,
    quiet: bool = False,
) -> PrepareReport:
    """Cuts mouth and sound out of every video, once, in parallel, into compressed shards; resumable.

    GRID's sentences are kept whole, with their words and times, and cut into windows when they are read, so that a
    window can move and babble has other sentences to be made from.

    Args:
        source: GRID in one of the trees that `tfav.data.grid` knows, or LRW as `corpus` knows it.
        out: Gets the shards, `index.json`, `prepare_report.json` and a contact sheet.
        layout: "grid" or "lrw".
        box: "follow" the mouth or LRW's "fixed" one; None: what suits the layout.
        crop: Height and width of the crop; None: what the presets `cpu` and `notebook` take.
        speakers: Of GRID, these only; empty: all.
        face_detector: The detector's model file; empty: `$TFAV_FACE_DETECTOR`, else it is fetched.
        workers: Processes; None is one per core.
        backend: As in `tfav.io.parallel.run_units`.
        address: As in `tfav.io.parallel.run_units`.
        quiet: No progress bar.

    Returns:
        What became of each recording; a broken alignment, a video without sound or face, or one that cannot be read is
        a failure of that recording alone.

    Raises:
        UsageError: A wrong option or folder.
        DataError: There are no videos, or none could be used.
        FetchError: The face detector cannot be fetched.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"the layout (--from) must be one of {', '.join(LAYOUTS)}. Received: {layout}")
    box = box or _BOXES[layout]
    if box not in crops.BOXES:
        raise UsageError(f"box must be one of {', '.join(crops.BOXES)}. Received: box={box}")
    preset = Config.preset(_PRESETS[layout])
    size = tuple(crop or (preset.prepared_height, preset.prepared_width))
    if len(size) != 2 or min(size) < 8:
        raise UsageError(f"crop must be a height and a width of 8 pixels or more. Received: crop={size}")
    detector = "" if box == "fixed" else str(Path(detector_file(face_detector or None)).absolute())
    facts = (_FORMAT, box, size)
    if layout == "grid":
        make, jobs, failures, warnings, words = *_grid_jobs(source, out, speakers, facts, detector), grid.WORDS
    else:
        if speakers:
            raise UsageError("LRW has no speakers to choose. Leave out: speakers.")
        make, jobs, failures, warnings, words = _lrw_jobs(source, out, facts, detector)
    report, index = prepare_shards(
        make,
        jobs,
        out,
        failures=failures,
        warnings=warnings,
        settings={
            "system": SYSTEM,
            "format": _FORMAT,
            "layout": layout,
            "box": box,
            "size": list(size),
            "words": list(words),
        },
        workers=workers,
        backend=backend,
        address=address,
        quiet=quiet,
        label="recordings",
    )
    if report.done or not (Path(out) / SHEET_NAME).exists():
        draw_contact_sheet(index)
    return report


def _grid_jobs(source, out, speakers, facts, detector):
    _, box, size = facts
    clips, failures, warnings = grid.find_clips(source, exclude=out)
    there, speakers = {clip.speaker for clip in clips}, [same_form(speaker) for speaker in speakers]
    if unknown := [speaker for speaker in speakers if speaker not in there]:
        raise UsageError(f"{source}: no speaker {', '.join(unknown)}. There are: {', '.join(sorted(there))}.")
    failures = {name: why for name, why in failures.items() if not speakers or name.split("/")[0] in speakers}
    jobs = {}
    for clip in clips:
        if speakers and clip.speaker not in speakers:
            continue
        try:
            text, words = grid.describe_speech(clip)
        except TfavError as error:
            failures[clip.id] = str(error)
            continue
        if not words:
            failures[clip.id] = (
                f"{clip.path}: there is no {clip.path.stem}.align, so it is not known when its words are said. Add "
                f"align/{clip.speaker}/{clip.path.stem}.align, or remove the video."
            )
            continue
        words = [tuple(word) for word in words]
        mark = example_files.fingerprint(*facts, clip.path, text, words)
        jobs[clip.id] = ((str(clip.path.absolute()), clip.id, text, words, box, size, detector), mark)
    return crops.make_sentence, jobs, failures, warnings


def _lrw_jobs(source, out, facts, detector):
    _, box, size = facts
    clips, failures, warnings = corpus.find_clips(source, exclude=out)
    jobs = {}
    for clip in clips:
        mark = example_files.fingerprint(*facts, *clip.paths)
        paths = tuple(str(path.absolute()) for path in clip.paths)
        jobs[clip.id] = ((paths, clip.id, clip.word, box, size, detector), mark)
    return crops.make_word, jobs, failures, warnings, sorted({clip.word for clip in clips})


def export_npz(index: Index, out: Path | str, *, part: str = "test") -> int:
    """Writes every word of a shard folder as the course notebook keeps LRW's: two arrays, LRW's folders.

    Args:
        index: Made by `prepare`.
        out: Gets `video/WORD/PART/NAME.npz` `[29, H, W]` uint8 and `audio/WORD/PART/NAME.npz` `[19456]` float32, both
            under the key `data`.
        part: The folder's name for recordings that come from no part of LRW.

    Returns:
        How many words were written.
    """
    from tfav.systems.av_words import windows

    decode, count = shards.decoder(index), 0
    entries = shards.in_stored_order(index, [entry.id for entry in index.entries])
    decoded = shards.read_rows(index, entries).map(decode)
    for entry, record in zip(entries, decoded.as_numpy_iterator(), strict=True):
        *folders, name = entry.id.split("/")
        is_lrw = len(folders) == 2 and folders[1] in corpus.PARTS
        per_frame = windows.samples_per_frame(entry.audio_rate_hz)
        times = np.reshape(entry.word_times_sec, (-1, 2))
        for number, (word, (start, end)) in enumerate(zip(entry.words, times, strict=True)):
            first = windows.first_frame(start, end, corpus.NUM_FRAMES)
            frames, samples = windows.cut_window(
                record["frames"], record["audio"], first, corpus.NUM_FRAMES, corpus.NUM_SAMPLES, per_frame
            )
            own = name if is_lrw else "_".join([*folders, name, str(number)])
            place = Path(word) / (folders[1] if is_lrw else part) / f"{own}.npz"
            corpus.write_npz(Path(out) / "video" / place, frames.numpy()[..., 0])
            corpus.write_npz(Path(out) / "audio" / place, samples.numpy().astype(np.float32) / 32768)
            count += 1
    return count
