"""From videos to batches of words: recordings prepared once, windows, noise, and parts to score."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from tfav.data import pipeline, shards
from tfav.data.pipeline import Datasets
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, UsageError
from tfav.io.mouth import WIDE
from tfav.io.parallel import PrepareReport
from tfav.speech import grid, lrw, recordings
from tfav.speech import noise as noises
from tfav.speech.corpus import MAX_SECONDS
from tfav.speech.mouth_crops import LRW_PLACE, SAMPLES_PER_FRAME, Crop, Cut
from tfav.speech.recordings import Recordings
from tfav.speech.splits import NamedSplit, by_hash, by_lists, check_parts
from tfav.speech.windows import cut_window, list_said, list_windows, read_windows
from tfav.systems.av_words import augment as augmentation
from tfav.systems.av_words.config import LAYOUTS, MIN_COUNT, SYSTEM, Config

RECORD_FORMAT = 1  # of the records; those of another one are made anew
STREAMS = ("audio", "video")
# Windows are kept in memory up to this many bytes, else read from the shards in each epoch.
_MEMORY_CACHE_BYTES = 2 * 1024**3
_EVALUATION_CACHE_BYTES = 512 * 1024**2
_MOUTH_CROPS = {"grid": "tracked", "recordings": "tracked", "lrw": "fixed"}
_PRESETS = {"grid": "cpu", "recordings": "cpu", "lrw": "notebook"}  # whose sizes are taken where none are given


class Data(Recordings):
    """The recordings of a configuration, opened once: index, split, words.

    Attributes:
        config: What it was opened by.
        labels: The words in the order of their numbers.
        index: The prepared recordings.
        failed: Those that could not be prepared, name to reason.
        split: Names of the recordings of each part.
    """

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """The words in the order of their numbers."""
        return words(self.config, self.index)

    def dataset(self, part: str) -> tf.data.Dataset | None:
        """The batches of `train`, `val` or `test`, as `build_datasets` describes; `None` for an empty part."""
        names, training = getattr(self.split, part), part == "train"
        return build_dataset(self.config, self.index, names, training=training, known=self.labels) if names else None


def open_data(config: Config) -> Data:
    """Opens `config.data_dir` once, for all that asks about it; videos are prepared into the cache first.

    Example:
        >>> data = open_data(config)
        >>> model.fit(data.dataset("train"), validation_data=data.dataset("val"))

    Raises:
        UsageError: The folder is not there, or was prepared otherwise.
        DataError: More than one recording in a hundred cannot be used, or the split cannot be made.
    """
    index, failed = prepared_index(config)
    recordings.check_failed(config.data_dir, index, failed)
    return Data(config, index, failed, make_split([entry.id for entry in index.entries], config))


# Preparing ----------------------------------------------------------------------------------------------------------


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    layout: str = "grid",
    mouth_crop: str | None = None,
    crop_size: tuple[int, int] | None = None,
    speakers: Sequence[str] = (),
    transcripts: Path | str | None = None,
    min_count: int = MIN_COUNT,
    **workers,
) -> PrepareReport:
    """Cuts mouth and sound out of every video, once, in parallel, into compressed shards; resumable.

    GRID's sentences are kept whole, with their words and times, and cut into windows when they are read, so that a
    window can move and babble has other sentences to be made from.

    Args:
        source: GRID in one of the trees that `tfav.speech.grid` knows, or LRW as `tfav.speech.lrw` knows it.
        out: Gets the shards, `index.json`, `prepare_report.json` and a contact sheet.
        layout: "grid"; "recordings", any with word times, as `tfav.speech.corpus` finds them; or "lrw".
        mouth_crop: `tracked` follows the mouth, `fixed` is LRW's place; None: what suits the layout.
        crop_size: Height and width of the crop; None: what the presets `cpu` and `notebook` take.
        speakers: Of sentences, these only; empty: all.
        transcripts: Of "recordings": a table or a folder, as in `find_spoken`; None: they lie beside the videos.
        min_count: Of "recordings": a word that is said so often is one to tell apart.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

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
    mouth_crop = mouth_crop or _MOUTH_CROPS[layout]
    size = tuple(crop_size or Config.preset(_PRESETS[layout]).prepared_size)
    if len(size) != 2 or min(size) < 8:
        raise UsageError(f"crop_size must be a height and a width of 8 pixels or more. Received: crop_size={size}")
    crop = crop_of(mouth_crop, size)
    cut = Cut(crop, recordings.find_detector(crop), needs_sound=True, max_seconds=MAX_SECONDS)
    rare: list[str] = []
    if layout in ("grid", "recordings"):
        options = {"record_format": RECORD_FORMAT, "speakers": speakers, "needs_times": True}
        jobs, known = recordings.find_sentences(source, out, cut, transcripts=transcripts, **options), grid.WORDS
        if layout == "recordings":
            known, rare = _frequent_words(jobs, min_count, source)
    else:
        if speakers:
            raise UsageError("LRW has no speakers to choose. Leave out: speakers.")
        jobs = recordings.find_words(source, out, cut, record_format=RECORD_FORMAT)
        known = sorted({name.split("/")[0] for name in jobs.jobs})
    settings = {"system": SYSTEM, "format": RECORD_FORMAT, "layout": layout, "mouth_crop": mouth_crop}
    settings |= {"size": list(size), "words": list(known)} | ({"rare_words": rare} if rare else {})
    return recordings.prepare(jobs, out, settings, **workers)


def _frequent_words(jobs: recordings.Jobs, min_count: int, source: Path | str) -> tuple[list[str], list[str]]:
    """Words that are said often enough, and the others."""
    said = Counter(word for arguments, _ in jobs.jobs.values() for word, *_ in arguments[3])
    known = sorted(word for word, count in said.items() if count >= min_count)
    if len(known) < 2:
        most = ", ".join(f"{word} {count}x" for word, count in said.most_common(5)) or "none with times"
        raise DataError(
            f"{source}: {len(known)} words are said min_count={min_count} times or more ({most}). Lower it."
        )
    rare = sorted(said.keys() - set(known))
    if rare:
        jobs.warnings.append(f"{len(rare)} words are said less than min_count={min_count} times and are not learnt.")
    return known, rare


def crop_of(mouth_crop: str, size: tuple[int, int]) -> Crop:
    """What is cut out of videos.

    Raises:
        UsageError: An unknown mouth crop.
    """
    crops = {"tracked": WIDE, "fixed": LRW_PLACE}
    if mouth_crop not in crops:
        raise UsageError(f"mouth_crop must be one of {', '.join(crops)}. Received: mouth_crop={mouth_crop}")
    return crops[mouth_crop]._replace(height=size[0], width=size[1])


def prepared_index(config: Config) -> tuple[Index, dict[str, str]]:
    """The shards of `config.data_dir`, and the recordings that could not be prepared, name to reason.

    Raises:
        UsageError: The folder is not there, or was prepared otherwise.
        DataError: Nothing in it can be used.
    """
    options = {"layout": config.layout, "mouth_crop": config.mouth_crop, "crop_size": config.prepared_size}
    kind = (config.layout, config.prepared_size)
    return recordings.open_prepared(config, SYSTEM, kind, lambda videos, out: prepare(videos, out, **options))


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
        return lrw.read_words(config.words)
    index = index or prepared_index(config)[0]
    found = tuple(index.settings.get("words", ()))
    if not found:
        raise DataError(f"{index.folder}: its words are not known. Give a file of them with --words.")
    return found


def make_split(names: Sequence[str], config: Config) -> NamedSplit:
    """Divides recordings by lists, by LRW's folders or by fraction, by what there is, in this order.

    All words of a sentence stay together. By fraction a recording's side follows from its name and the seed alone.
    Copies of a speaker's recordings in other folders (`s1_mpg/bbaf2n` of `s1/bbaf2n`) go where the first goes.

    Args:
        names: `speaker/name` of GRID, or `WORD/part/name` of LRW.
        config: Lists, shares and seed.

    Raises:
        UsageError: A list that cannot be read.
        DataError: A listed recording that is not there (counted), one on two sides, an empty training part.
    """
    folders = {name: name.split("/")[1] for name in names if name.count("/") == 2}
    if config.train_list:
        split = by_lists(names, config)
    elif len(folders) == len(names) and set(folders.values()) <= set(lrw.PARTS):
        split = NamedSplit(*([name for name in names if folders[name] == part] for part in lrw.PARTS))
    else:
        split = by_hash(
            names,
            val=config.val_fraction,
            test=config.test_fraction,
            seed=config.seed,
            key=lambda name: re.sub(r"^(s\d{1,2})_[^/]*/", r"\1/", name),
        )
    return check_parts(split, "Lower the shares, or add recordings.")


# Data sets ----------------------------------------------------------------------------------------------------------


def build_datasets(
    config: Config,
    *,
    streams: Sequence[str] = STREAMS,
    said: bool = False,
    learn_from: str = "train",
    opened: Data | None = None,
) -> Datasets:
    """Training, validation and test data of `config.data_dir`, each as `build_dataset` describes.

    Validation and test data are clean.

    Args:
        config: The configuration.
        streams: As in `build_dataset`.
        said: As in `build_dataset`.
        learn_from: The part whose windows are given for training, `train` or `val`; there is no validation by windows
            that are learnt from.
        opened: What `open_data` gave, where that was called before.

    Raises:
        UsageError: The folder is not there, or was prepared otherwise; there is no validation part to learn from.
        DataError: Recordings or words that cannot be used, counted, with the first one's reason.
    """
    opened = opened or open_data(config)
    split = opened.split
    learnt, val = (part_of_fusion(split), []) if learn_from == "val" else (split.train, split.val)
    make = functools.partial(build_dataset, config, opened.index, streams=streams, said=said, known=opened.labels)
    return Datasets(make(learnt, training=True), make(val) if val else None, make(split.test) if split.test else None)


def part_of_fusion(split: NamedSplit) -> list[str]:
    """The validation part, for the fusion to learn from.

    Raises:
        UsageError: There is none.
    """
    if not split.val:
        raise UsageError(
            "fusion_split=val needs a validation part. Give --val-list or --val-fraction, or --fusion-split train."
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
            `list_windows(shards.in_stored_order(index, names), known, 29)[i]`.
        streams: `audio`, `video` or both: what is not asked for costs nothing.
        said: Tell also what is being said at each step.
        snr_db: Not in training: add noise at this ratio in dB; it repeats itself, and is the same at every ratio. None:
            clean.
        noise: Its kind: `white`, `pink`, `babble` or `folder`.
        corrupt_video: Not in training: `black`, `frozen` or `blurred` frames; None: as they are.
        known: The words in the order of their numbers; None: `words(config, index)`.
        voices: What babble is mixed from; None: in training the named recordings, else those of the index that are not
            named, or if these are too few the named ones; never a window's own recording.

    Returns:
        Batches of `({"waveform": [B, num_samples] float32, "frames": [B, num_frames, H, W, 1] float32}, labels)`,
        labels `[B]` int32, as `augment` describes, and only those inputs that `streams` ask for. With `said` the labels
        are a dict of `word`, as above, and `said` `[B, num_frames]` int32, in which the number of words stands for
        nothing.

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
    windows = list_windows(entries, known, config.num_frames, index.settings.get("rare_words", ()))
    has_audio, has_video = (name in streams for name in STREAMS)
    kinds = () if not has_audio else config.noise if training else (noise,) if snr_db is not None else ()
    source = None
    if kinds:
        if "babble" in kinds and voices is None:
            voices = choose_voices(config, index, names, training)
        source = noises.build_source(config, kinds, voices)
    margin = augmentation.margin(config) if training else 0
    num_frames, num_samples = config.num_frames + 2 * margin, config.num_samples + 2 * margin * SAMPLES_PER_FRAME
    decode = shards.decoder(index)

    def load(row):
        record = decode(row)
        frames, samples = cut_window(
            record["frames"], record["audio"], row["first_frame"] - margin, num_frames, num_samples, SAMPLES_PER_FRAME
        )
        frames = tf.ensure_shape(frames, [num_frames, entries[0].height, entries[0].width, 1])
        inputs = {"own": row["own"], "number": row["number"]}
        inputs |= {"frames": frames} if has_video else {}
        inputs |= {"samples": samples} if has_audio else {}
        return inputs, {"word": row["label"], "said": row["said"]} if "said" in row else row["label"]

    line = list_said(entries, windows, known, config.num_frames, margin) if said else None
    voice_ids = voices.ids if voices else ()
    rows = read_windows(index, entries, windows, voice_ids, line, parallel=2 if training else 1)
    if training:
        pictures = num_frames * entries[0].height * entries[0].width
        size = len(windows) * (has_video * pictures + has_audio * 2 * num_samples)
        return pipeline.for_training(
            rows,
            load,
            batch_size=config.batch_size,
            augment=augmentation.augment_window(config, SAMPLES_PER_FRAME, source),
            cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
            seed=config.seed,
        )
    finish = augmentation.center(config, source, snr_db, corrupt_video)
    # The few recordings to validate on lie scattered over all shards, so what was unpacked once is kept.
    pictures = num_frames * config.crop_size[0] * config.crop_size[1]
    size = 4 * len(windows) * (has_video * pictures + has_audio * num_samples)
    return pipeline.for_evaluation(
        rows,
        lambda row: finish(*load(row)),
        batch_size=config.batch_size,
        cache="memory" if size <= _EVALUATION_CACHE_BYTES else None,
    )


def _check_entries(config: Config, index: Index, entries: Sequence[Entry]) -> None:
    if not entries:
        raise DataError(f"{index.folder}: there are no recordings to make a data set of. Check the split.")
    recordings.check_crop(config, index)
    wrong = [entry.id for entry in entries if entry.audio_rate_hz != config.sample_rate or not entry.audio_samples]
    if wrong:
        raise DataError(
            f"{index.folder}: {len(wrong)} of {len(entries)} recordings have no sound of {config.sample_rate} Hz, "
            f"first {wrong[0]}. Prepare the videos with tfav prepare av_words."
        )


def choose_voices(config: Config, index: Index, names: Sequence[str], training: bool) -> noises.Voices:
    """What babble is mixed from, as `build_dataset` says."""
    named = set(names)
    others = [] if training else [entry.id for entry in index.entries if entry.id not in named]
    return noises.read_voices(index, others if len(others) > config.babble_voices else list(names))
