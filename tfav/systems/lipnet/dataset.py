"""From GRID's videos to batches: crops prepared once, splits that never mix, data sets of graph operations alone.

How the corpus lies on disk and how sentences are found is in `corpus`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import example_files, ops, pipeline, shards
from tfav.data.recording_splits import NamedSplit as Split
from tfav.data.recording_splits import by_hash, by_lists, check_parts, report_unusable
from tfav.data.shard_writing import SHEET_NAME, draw_contact_sheet, prepare_shards
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.cache import keyed_path
from tfav.io.lock import locked_folder
from tfav.io.parallel import PrepareReport
from tfav.io.text_files import same_form
from tfav.systems.lipnet import augment as augmentation
from tfav.systems.lipnet import corpus, crops, log_mel, splicing
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.tokenizer import required_frames

_FORMAT = 2  # of the records; those of another one are made anew
# Crops are kept in memory up to this many bytes, else read from the shards in each epoch.
_MEMORY_CACHE_BYTES = 2 * 1024**3


class Datasets(NamedTuple):
    """Batches as `build_dataset` gives them; `None` where a part is empty."""

    train: tf.data.Dataset
    val: tf.data.Dataset | None
    test: tf.data.Dataset | None


# Preparing ----------------------------------------------------------------------------------------------------------


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    box: str = "follow",
    speakers: Sequence[str] = (),
    face_detector: str = "",
    workers: int | None = None,
    backend: str = "loky",
    address: str | None = None,
    quiet: bool = False,
) -> PrepareReport:
    """Cuts the mouth out of every video, once, in parallel, into compressed shards; resumable.

    Args:
        source: GRID in one of the trees that `corpus` knows.
        out: Gets the shards, `index.json`, `prepare_report.json` and a contact sheet.
        box: "follow", "close" or "fixed", see `crops.crop_clip`.
        speakers: These only; empty: all.
        face_detector: The detector's model file; empty: `$TFAV_FACE_DETECTOR`, else it is fetched.
        workers: Processes; None is one per core.
        backend: As in `tfav.io.parallel.run_units`.
        address: As in `tfav.io.parallel.run_units`.
        quiet: No progress bar.

    Returns:
        What became of each clip; broken alignments, names that spell no sentence and videos that cannot be read are
        failures of that clip alone.

    Raises:
        UsageError: A wrong option or folder.
        DataError: There are no videos, or none could be used.
        FetchError: The face detector cannot be fetched.
    """
    if box not in crops.BOXES:
        raise UsageError(f"box must be one of {', '.join(crops.BOXES)}. Received: box={box}")
    clips, failures, warnings = corpus.find_clips(source, exclude=out)
    clips = _of_speakers(clips, speakers, lambda clip: clip.speaker, source)
    failures = {name: why for name, why in failures.items() if not speakers or name.split("/")[0] in speakers}
    detector = "" if box == "fixed" else str(Path(crops.to_path(face_detector)).absolute())
    jobs = {}
    for clip in clips:
        try:
            text, words = corpus.describe_speech(clip)
        except TfavError as error:
            failures[clip.id] = str(error)
            continue
        words = [tuple(word) for word in words]
        mark = example_files.fingerprint(_FORMAT, clip.path, text, words, box)
        jobs[clip.id] = ((str(clip.path.absolute()), clip.id, text, words, box, detector), mark)
    report, index = prepare_shards(
        crops.crop_clip,
        jobs,
        out,
        failures=failures,
        warnings=warnings,
        settings={"system": "lipnet", "format": _FORMAT, "box": box},
        workers=workers,
        backend=backend,
        address=address,
        quiet=quiet,
        label="mouths",
    )
    if report.done or not (Path(out) / SHEET_NAME).exists():
        draw_contact_sheet(index)
    return report


def prepared_index(config: Config) -> tuple[Index, dict[str, str]]:
    """The shards of `config.data_dir`; videos are prepared into the cache first.

    Returns:
        The index, and the clips that could not be prepared, name to reason.

    Raises:
        UsageError: The folder is not there, or was prepared with another box.
        DataError: Nothing in it can be used.
    """
    if not config.data_dir:
        raise UsageError("data_dir is not set. Give --data-dir a folder made by tfav prepare lipnet, or GRID's videos.")
    folder, failed = Path(config.data_dir), {}
    if not (folder / shards.INDEX_NAME).exists():
        out = keyed_path(config.cache_path(), "mouths", folder, config.box, config.speakers)
        with locked_folder(out.parent, f".{out.name}.lock"):
            report = prepare(folder, out, box=config.box, speakers=config.speakers, face_detector=config.face_detector)
        folder, failed = out, report.failed
    index = shards.read_index(folder)
    if index.settings.get("system") != "lipnet" or index.settings.get("box") != config.box:
        raise UsageError(
            f"{folder}: prepared as {index.settings}, and box={config.box} is wanted. Prepare the videos again with "
            f"--box {config.box}."
        )
    return index, failed


# Splits -------------------------------------------------------------------------------------------------------------


def make_split(names: Sequence[str], config: Config) -> Split:
    """Divides clips (`speaker/name`) by lists, by speaker or by fraction.

    By fraction a clip's side follows from its name and the seed alone, so clips that come or go never move another one
    to the other side; the shares are met on average.

    Raises:
        UsageError: A list that cannot be read, or a speaker that does not occur.
        DataError: A listed clip that is not there (counted), a clip on two sides, an empty training part.
    """
    names = _of_speakers(list(names), config.speakers, _speaker_of, config.data_dir)
    kind = config.split
    if kind == "auto":
        kind = (
            "lists" if config.train_list else "speaker" if config.val_speakers or config.test_speakers else "fraction"
        )
    if kind == "lists":
        lists = config.train_list, config.val_list, config.test_list
        parts = by_lists(
            names, lists, val_fraction=config.val_fraction, max_missing=config.max_unusable, seed=config.seed
        )
    elif kind == "speaker":
        held = [_of_speakers(names, held, _speaker_of, config.data_dir) if held else [] for held in _held(config)]
        parts = Split([name for name in names if _speaker_of(name) not in sum(_held(config), ())], *held)
    else:
        parts = by_hash(names, val=config.val_fraction, test=config.test_fraction, seed=config.seed)
    return check_parts(parts, "Lower the shares, or hold out fewer speakers.")


def _held(config: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(map(same_form, config.val_speakers)), tuple(map(same_form, config.test_speakers))


def _speaker_of(name: str) -> str:
    return name.split("/")[0]


def _of_speakers(items: list, speakers: Sequence[str], speaker_of: Callable, where) -> list:
    speakers = [same_form(speaker) for speaker in speakers]
    there = {speaker_of(item) for item in items}
    unknown = [speaker for speaker in speakers if speaker not in there]
    if unknown:
        raise UsageError(f"{where}: no speaker {', '.join(unknown)}. There are: {', '.join(sorted(there))}.")
    return [item for item in items if not speakers or speaker_of(item) in speakers]


# Data sets ----------------------------------------------------------------------------------------------------------


def build_datasets(config: Config) -> Datasets:
    """Training, validation and test data of `config.data_dir`, each as `build_dataset` describes.

    Raises:
        UsageError: The folder is not there, or was prepared with another box.
        DataError: Clips that cannot be used, counted, with the first one's reason.
    """
    index, failed = prepared_index(config)
    if failed:
        name, reason = next(iter(failed.items()))
        total = len(failed) + len(index.entries)
        report_unusable(
            f"{config.data_dir}: {len(failed)} of {total} clips cannot be used; first {name}: {reason} Mend or remove "
            "them, or raise max_unusable.",
            allowed=len(failed) <= config.max_unusable * total,
        )
    split = make_split([entry.id for entry in index.entries], config)
    return Datasets(
        build_dataset(config, index, split.train, training=True),
        build_dataset(config, index, split.val) if split.val else None,
        build_dataset(config, index, split.test) if split.test else None,
    )


def build_dataset(config: Config, index: Index, names: Sequence[str], *, training: bool = False) -> tf.data.Dataset:
    """One data set of the named clips.

    Returns:
        Batches of `(inputs, targets)`. Inputs: `frames` `[B, num_frames, H, W, 1]` float32, standardised, 0 in padding;
        `frame_count` `[B]` int32, frames that are real. Targets: `labels` `[B, max_labels]` int32, class numbers of
        the alphabet, blank in padding; with `word_weight` also `words` `[B, num_frames]` int32, what is said in each
        frame: 0 silence, 1 + place in `corpus.WORDS`, -1 in padding and where it is not known; with `sound_weight` also
        `sound` `[B, num_frames, 80]` float32, see `sound.describe_sound`, NaN in padding. Training is shuffled and
        augmented; otherwise row `i` is `shards.in_stored_order(index, names)[i]`.

    Raises:
        UsageError: The model's picture is larger than the prepared one; sound is wanted and none was prepared.
        DataError: Clips that are too short for their sentence, too long, or hold a symbol unknown to the alphabet.
    """
    entries = shards.in_stored_order(index, names)
    columns = encode_entries(config, entries)
    height, width = entries[0].height, entries[0].width
    if config.crop_height > height or config.crop_width > width:
        raise UsageError(
            f"the prepared crops are {height}x{width}. Received: crop_height={config.crop_height}, "
            f"crop_width={config.crop_width}"
        )
    if config.sound_weight and not any(entry.audio_rate_hz == crops.SAMPLE_RATE for entry in entries):
        raise UsageError(
            f"{index.folder}: sound_weight={config.sound_weight} needs clips with sound. Prepare the videos again, or "
            "set sound_weight=0."
        )
    decode = shards.decoder(index)

    def load(row):
        record = decode(row)
        frames = record["frames"]
        frames = tf.pad(frames, [[0, config.num_frames - tf.shape(frames)[0]], [0, 0], [0, 0], [0, 0]])
        frames = tf.ensure_shape(frames, [config.num_frames, None, None, 1])
        targets = {name: row[name] for name in ("labels", "words")}
        if config.sound_weight:
            targets["sound"] = log_mel.describe_sound(record["audio"], config.num_frames)
        return {"frames": frames, "frame_count": row["frame_count"]}, targets

    def for_model(inputs, targets):
        # Frame labels go through the augmentation in any case: they say when somebody speaks.
        return inputs, targets if config.word_weight else {n: t for n, t in targets.items() if n != "words"}

    rows = shards.read_rows(index, entries, columns, parallel=2 if training else 1)
    if training:
        size = len(entries) * config.num_frames * height * width
        return pipeline.for_training(
            rows,
            load,
            batch_size=config.batch_size,
            augment=None if config.splice else augmentation.augment_clip(config),
            augment_batch=_splice_and_augment(config) if config.splice else None,
            cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
            seed=config.seed,
        ).map(for_model)
    finish = augmentation.center(config)
    # Its clips lie scattered over the shards: to read 50 of them, 200 MB may have to be unpacked, so once is enough.
    size = 4 * len(entries) * config.num_frames * config.crop_height * config.crop_width
    return pipeline.for_evaluation(
        rows,
        lambda row: finish(*load(row)),
        batch_size=config.batch_size,
        cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
    ).map(for_model)


def _splice_and_augment(config: Config) -> Callable:
    """A function of `(inputs, targets, seed)` on batches; a spliced clip is augmented as one."""
    splice, augment = splicing.splice_batch(config), augmentation.augment_clip(config)

    def apply(inputs, targets, seed):
        inputs, targets = splice(inputs, targets, ops.split_seed(seed, 0))
        specs = tf.nest.map_structure(lambda column: tf.TensorSpec(column.shape[1:], column.dtype), (inputs, targets))
        specs[0]["frames"] = tf.TensorSpec((config.num_frames, config.crop_height, config.crop_width, 1), tf.float32)
        return ops.on_rows(augment, specs)(inputs, targets, seed)

    return apply


def encode_entries(config: Config, entries: Sequence[Entry]) -> dict[str, np.ndarray]:
    """Labels, frame labels and frame counts of clips, a row each; refuses those that CTC cannot align.

    Raises:
        DataError: As `build_dataset`; names the first clip and counts them all.
    """
    symbols = config.symbols()
    labels = np.full((len(entries), config.max_labels), symbols.blank, np.int32)
    words = np.full((len(entries), config.num_frames), corpus.UNKNOWN, np.int32)
    wrong = []
    for row, entry in enumerate(entries):
        try:
            classes = symbols.encode(entry.text)
        except DataError as error:
            wrong.append(f"{entry.id}: {error}")
            continue
        needed = required_frames(classes)
        if entry.num_frames < needed:
            wrong.append(f"{entry.id}: {entry.num_frames} frames are too few for {entry.text!r}, which needs {needed}.")
        elif entry.num_frames > config.num_frames:
            wrong.append(f"{entry.id}: {entry.num_frames} frames are more than num_frames={config.num_frames}.")
        elif len(classes) > config.max_labels:
            wrong.append(f"{entry.id}: {len(classes)} symbols are more than max_labels={config.max_labels}.")
        else:
            labels[row, : len(classes)] = classes
            words[row, : entry.num_frames] = label_frames(entry)
    if wrong:
        raise DataError(f"{len(wrong)} of {len(entries)} clips cannot be learnt from; first {wrong[0]}")
    frame_counts = np.array([entry.num_frames for entry in entries], np.int32)
    return {"labels": labels, "words": words, "frame_count": frame_counts}


def label_frames(entry: Entry) -> np.ndarray:
    """What is said in the middle of each frame, `[num_frames]` int32 as `build_dataset` describes."""
    if not entry.words:
        return np.full(entry.num_frames, corpus.UNKNOWN, np.int32)
    numbers = {word: number for number, word in enumerate(corpus.WORDS, 1)}
    return shards.word_numbers(entry, numbers, silence=corpus.SILENCE, unknown=corpus.UNKNOWN)
