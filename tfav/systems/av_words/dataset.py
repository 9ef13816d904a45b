"""From prepared recordings to batches of words: windows, noise, and parts to score.

How recordings are made is in `preparation`, how they are divided and which words are in them in `recordings`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import pipeline, shards, tf_data_service
from tfav.data.recording_splits import NamedSplit, report_unusable
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, UsageError
from tfav.systems.av_words import augment as augmentation
from tfav.systems.av_words import noise as noises
from tfav.systems.av_words import windows
from tfav.systems.av_words.config import Config
from tfav.systems.av_words.preparation import prepare
from tfav.systems.av_words.recordings import Example, list_examples, list_said, make_split, prepared_index, words

__all__ = [
    "Datasets",
    "Example",
    "Part",
    "build_dataset",
    "build_datasets",
    "list_examples",
    "make_split",
    "open_part",
    "prepare",
    "prepared_index",
    "words",
]

# Windows are kept in memory up to this many bytes, else read from the shards in each epoch.
_MEMORY_CACHE_BYTES = 2 * 1024**3
_EVALUATION_CACHE_BYTES = 512 * 1024**2
STREAMS = ("audio", "video")
PARTS = ("train", "val", "test", "all")


class Datasets(NamedTuple):
    """Batches as `build_dataset` gives them; `None` where a part is empty."""

    train: tf.data.Dataset
    val: tf.data.Dataset | None
    test: tf.data.Dataset | None


# Data sets ----------------------------------------------------------------------------------------------------------


def build_datasets(
    config: Config, *, streams: Sequence[str] = STREAMS, said: bool = False, learn_from: str = "train"
) -> Datasets:
    """Training, validation and test data of `config.data_dir`, each as `build_dataset` describes.

    Validation and test data are clean.

    Args:
        config: The configuration.
        streams: As in `build_dataset`.
        said: Likewise.
        learn_from: The part whose windows are given for training, `train` or `val`; there is no validation by windows
            that are learnt from.

    Raises:
        UsageError: The folder is not there, or was prepared otherwise; there is no validation part to learn from.
        DataError: Recordings or words that cannot be used, counted, with the first one's reason.
    """
    index, failed = prepared_index(config)
    if failed:
        name, reason = next(iter(failed.items()))
        total = len(failed) + len(index.entries)
        report_unusable(
            f"{config.data_dir}: {len(failed)} of {total} recordings cannot be used; first {name}: {reason} Mend or "
            "remove them, or raise max_unusable.",
            allowed=len(failed) <= config.max_unusable * total,
        )
    split = make_split([entry.id for entry in index.entries], config)
    learnt, val = (_part_of_fusion(split), []) if learn_from == "val" else (split.train, split.val)
    return Datasets(
        build_dataset(config, index, learnt, training=True, streams=streams, said=said),
        build_dataset(config, index, val, streams=streams, said=said) if val else None,
        build_dataset(config, index, split.test, streams=streams, said=said) if split.test else None,
    )


def check_fusion(config: Config) -> None:
    """Refuses a split that has nothing for a fusion to learn from: before the streams are trained, not after.

    Raises:
        UsageError: `fusion_on` is `val`, and there is no validation part.
    """
    if config.fusion_on == "val":
        _part_of_fusion(make_split([entry.id for entry in prepared_index(config)[0].entries], config))


def _part_of_fusion(split: NamedSplit) -> list[str]:
    if not split.val:
        raise UsageError(
            "fusion_on=val needs a validation part. Give --val-list or --val-fraction, or --fusion-on train."
        )
    return split.val


def build_dataset(
    config: Config,
    index: Index,
    names: Sequence[str],
    *,
    training: bool = False,
    streams: Sequence[str] = STREAMS,
    said: bool = False,
    snr_db: float | None = None,
    noise: str = "babble",
    corrupt_video: str | None = None,
    known: Sequence[str] | None = None,
    voices: noises.Voices | None = None,
) -> tf.data.Dataset:
    """One data set of every word of the named recordings.

    Args:
        config: What windows, pictures and noise are like.
        index: Of the recordings.
        names: Which of them.
        training: Shuffled, augmented, with noise of the kinds in `config.noise`; otherwise row `i` is
            `list_examples(shards.in_stored_order(index, names), known)[i]`.
        streams: `audio`, `video` or both: what is not asked for costs nothing.
        said: Tell also what is being said at each step.
        snr_db: Not in training: add noise at this ratio in dB; it repeats itself, and is the same at every ratio. None:
            clean.
        noise: Its kind, of `config.NOISES`.
        corrupt_video: Not in training: `black`, `frozen` or `blurred` frames; None: as they are.
        known: The words in the order of their numbers; None: `words(config, index)`.
        voices: What babble is mixed from; None: in training the named recordings, else those of the index that are not
            named, or if these are too few the named ones; never a window's own recording.

    Returns:
        Batches of `({"waveform": [B, num_samples] float32, "frames": [B, num_frames, H, W, 1] float32}, labels)`,
        labels `[B]` int32, as `augmentation` describes, and only those inputs that
        `streams` ask for. With `said` the labels are a dict of `word`, as above,
        and `said` `[B, num_frames]` int32, in which the number of words stands for nothing.

    Raises:
        UsageError: The model's picture is larger than the prepared one, or an unknown kind of noise or corruption.
        DataError: Unknown words, counted; recordings without sound or of another rate; too few for babble.
    """
    if corrupt_video is not None and corrupt_video not in augmentation.CORRUPTIONS:
        valid = ", ".join(augmentation.CORRUPTIONS)
        raise UsageError(f"corrupt_video must be one of {valid}. Received: corrupt_video={corrupt_video}")
    entries = shards.in_stored_order(index, names)
    _check_entries(config, index, entries)
    known = known or words(config, index)
    examples = list_examples(entries, known, config.num_frames)
    has_audio, has_video = (name in streams for name in STREAMS)
    kinds = () if not has_audio else config.noise if training else (noise,) if snr_db is not None else ()
    source = None
    if kinds:
        if "babble" in kinds and voices is None:
            voices = _voices(config, index, names, training)
        source = noises.build_source(config, kinds, voices)
    per_frame = windows.samples_per_frame(config.sample_rate)
    margin = augmentation.margin(config) if training else 0
    num_frames, num_samples = config.num_frames + 2 * margin, config.num_samples + 2 * margin * per_frame
    decode = shards.decoder(index)

    def load(row):
        record = decode(row)
        frames, samples = windows.cut_window(
            record["frames"], record["audio"], row["first_frame"] - margin, num_frames, num_samples, per_frame
        )
        frames = tf.ensure_shape(frames, [num_frames, entries[0].height, entries[0].width, 1])
        inputs = {"own": row["own"], "number": row["number"]}
        inputs |= {"frames": frames} if has_video else {}
        inputs |= {"samples": samples} if has_audio else {}
        return inputs, {"word": row["label"], "said": row["said"]} if "said" in row else row["label"]

    line = list_said(entries, examples, known, config.num_frames, margin) if said else None
    rows = _word_rows(index, entries, examples, voices, line, parallel=2 if training else 1)
    if training:
        pictures = num_frames * entries[0].height * entries[0].width
        size = len(examples) * (has_video * pictures + has_audio * 2 * num_samples)
        return pipeline.for_training(
            rows,
            load,
            batch_size=config.batch_size,
            augment=augmentation.augment_window(config, per_frame, source),
            cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
            seed=config.seed,
        )
    finish = augmentation.center(config, source, snr_db, corrupt_video)
    # The few recordings to validate on lie scattered over all shards, so what was unpacked once is kept.
    pictures = num_frames * config.crop_height * config.crop_width
    size = 4 * len(examples) * (has_video * pictures + has_audio * num_samples)
    return pipeline.for_evaluation(
        rows,
        lambda row: finish(*load(row)),
        batch_size=config.batch_size,
        cache="memory" if size <= _EVALUATION_CACHE_BYTES else None,
    )


def _check_entries(config: Config, index: Index, entries: Sequence[Entry]) -> None:
    if not entries:
        raise DataError(f"{index.folder}: there are no recordings to make a data set of. Check the split.")
    height, width = entries[0].height, entries[0].width
    if config.crop_height > height or config.crop_width > width:
        raise UsageError(
            f"the prepared crops are {height}x{width}. Received: crop_height={config.crop_height}, "
            f"crop_width={config.crop_width}"
        )
    wrong = [entry.id for entry in entries if entry.audio_rate_hz != config.sample_rate or not entry.audio_samples]
    if wrong:
        raise DataError(
            f"{index.folder}: {len(wrong)} of {len(entries)} recordings have no sound of {config.sample_rate} Hz, "
            f"first {wrong[0]}. Prepare the videos with tfav prepare av_words."
        )


def _voices(config: Config, index: Index, names: Sequence[str], training: bool) -> noises.Voices:
    named = set(names)
    others = [] if training else [entry.id for entry in index.entries if entry.id not in named]
    return noises.read_voices(index, others if len(others) > config.babble_voices else list(names))


def _word_rows(index, entries, examples, voices, said, *, parallel: int) -> tf.data.Dataset:
    # A row for each word, out of a row for each recording; words of a recording share its serialised form.
    by_recording: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        by_recording.setdefault(example.recording, []).append(number)
    entries = [entry for entry in entries if entry.id in by_recording]
    places = {name: place for place, name in enumerate(voices.ids if voices else ())}
    numbers = [by_recording[entry.id] for entry in entries]
    columns = {
        "begin": np.array([group[0] for group in numbers], np.int64),
        "end": np.array([group[-1] + 1 for group in numbers], np.int64),
        "own": np.array([places.get(entry.id, -1) for entry in entries], np.int32),
    }
    labels = tf.constant([example.label for example in examples], tf.int32)
    said = None if said is None else tf.constant(said)
    first_frames = tf.constant([example.first_frame for example in examples], tf.int32)

    def of_recording(row):
        def of_word(number):
            shared = {name: row[name] for name in ("id", "serialized", "own")}
            shared |= {} if said is None else {"said": said[number]}
            return {**shared, "number": number, "label": labels[number], "first_frame": first_frames[number]}

        return tf.data.Dataset.range(row["begin"], row["end"]).map(of_word)

    rows = shards.read_rows(index, entries, columns, parallel=parallel).flat_map(of_recording)
    # Each worker of a data service gets some of the shards only.
    return rows if tf_data_service.is_wanted() else rows.apply(tf.data.experimental.assert_cardinality(len(examples)))


# Parts --------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Part:
    """Words to score.

    Attributes:
        config: What windows and noise are like.
        index: Of the recordings.
        recordings: Names of those that are scored.
        known: The words in the order of their numbers.
        voices_of: Recordings that babble is mixed from; None: as `build_dataset` chooses.
        names: One for each window, in their order: `recording:place:word`.
        failed: Recordings that could not be prepared, `path` and `reason` of each.
    """

    config: Config
    index: Index
    recordings: list[str]
    known: tuple[str, ...]
    voices_of: list[str] | None
    names: list[str]
    failed: list[dict]

    @functools.cached_property
    def voices(self) -> noises.Voices:
        """What babble is mixed from, read once for all ratios."""
        if self.voices_of:
            return noises.read_voices(self.index, self.voices_of)
        return _voices(self.config, self.index, self.recordings, training=False)

    def dataset(
        self, *, snr_db: float | None = None, noise: str = "babble", corrupt_video: str | None = None
    ) -> tf.data.Dataset:
        """Its batches, as `build_dataset` gives them; row `i` is `names[i]`."""
        return build_dataset(
            self.config,
            self.index,
            self.recordings,
            snr_db=snr_db,
            noise=noise,
            corrupt_video=corrupt_video,
            known=self.known,
            voices=self.voices if snr_db is not None and noise == "babble" else None,
        )


def open_part(config: Config, data_dir: Path | str | None, part: str, known: Sequence[str]) -> Part:
    """Opens words to score.

    Args:
        config: Of the run.
        data_dir: Another folder than the run's own, of shards or videos; None: the run's own.
        part: `train`, `val` or `test` of the run's split; `all`: everything, and of another folder nothing else.
        known: The run's words in the order of their numbers.

    Raises:
        UsageError: No such folder or part; the run's data have no such part.
        DataError: Nothing in it can be used, or words that are not the run's.
    """
    if part not in PARTS:
        raise UsageError(f"part must be one of {', '.join(PARTS)}. Received: part={part}")
    if data_dir is not None and part != "all":
        raise UsageError(f"part={part} is a part of the run's own data. Leave out part or data_dir.")
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    index, failed = prepared_index(config)
    recordings, voices_of = [entry.id for entry in index.entries], None
    if data_dir is None:
        split = make_split(recordings, config)
        voices_of = split.train if len(split.train) > config.babble_voices else None
        recordings = recordings if part == "all" else getattr(split, part)
        if not recordings:
            raise UsageError(f"the run's split has no {part} part. Choose another, or give --data-dir.")
    entries = shards.in_stored_order(index, recordings)
    examples = list_examples(entries, known, config.num_frames)
    return Part(
        config,
        index,
        [entry.id for entry in entries],
        tuple(known),
        voices_of,
        [f"{example.recording}:{example.place}:{example.word}" for example in examples],
        [{"path": name, "reason": reason} for name, reason in failed.items()],
    )
