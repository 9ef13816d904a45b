"""From GRID's videos to batches: crops prepared once, splits that never mix, data sets of graph operations alone.

How the corpus lies on disk and how sentences are found is in `tfav.speech.grid`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.data import pipeline, shards
from tfav.data.augment import on_rows, split_seed
from tfav.data.pipeline import Buckets, Datasets
from tfav.data.shards import Entry, Index
from tfav.errors import DataError, UsageError
from tfav.io.console import say
from tfav.io.mouth import CLOSE, WIDE
from tfav.io.parallel import PrepareReport
from tfav.io.text_files import same_form
from tfav.ranges import check_number
from tfav.speech import grid, log_mel, recordings
from tfav.speech.corpus import MAX_SECONDS
from tfav.speech.mouth_crops import GRID_PLACE, Crop, Cut
from tfav.speech.recordings import Recordings, of_speakers, speaker_of
from tfav.speech.self_alignment import cached_labels, label_frames, wants_own_times
from tfav.speech.splits import NamedSplit, by_hash, by_lists, check_parts
from tfav.speech.text_normalization import Digits
from tfav.speech.tokenizer import LEARNT, LEARNT_WORDS, learn, required_frames, store
from tfav.speech.word_splicing import splice_batch
from tfav.systems.lipnet import augment as augmentation
from tfav.systems.lipnet.config import SYSTEM, Config

CROPS: dict[str, Crop] = {"tracked": WIDE, "tight": CLOSE, "fixed": GRID_PLACE}
RECORD_FORMAT = 2  # of the records; those of another one are made anew
# Crops are kept in memory up to this many bytes, else read from the shards in each epoch.
_MEMORY_CACHE_BYTES = 2 * 1024**3
# Share of the frames; with more, clips of similar length make a batch, which is cut off behind the longest.
_MOST_PADDING = 0.2


class Data(Recordings):
    """The clips of a configuration, opened once: index, split, symbols, words.

    Attributes:
        config: What it was opened by, with the symbols and words that the training part has.
        index: The prepared clips.
        failed: Clips that could not be prepared, name to reason.
        split: Names of the clips of each part.
    """

    @functools.cached_property
    def own_labels(self) -> dict[str, np.ndarray]:
        """What is said in each frame of those clips of the training part whose word times had to be found."""
        entries = shards.in_stored_order(self.index, self.split.train)
        own = [entry for entry in entries if wants_own_times(entry, self.config.times)]
        if not self.config.word_loss_weight or not own:
            return {}
        labels = cached_labels(self.config.cache_path(), self.index, own, self.config.known_words())
        return {entry.id: one for entry, one in zip(own, labels, strict=True)}

    @property
    def labels(self) -> str | tuple[str, ...]:
        """Symbols of the sentences, in the order of their class numbers."""
        return self.config.symbols().symbols

    def dataset(self, part: str) -> tf.data.Dataset | None:
        """The batches of `train`, `val` or `test`, as `build_dataset` describes; `None` for an empty part."""
        names = getattr(self.split, part)
        if not names:
            return None
        if part != "train":
            return build_dataset(self.config, self.index, names)
        return build_dataset(self.config, self.index, names, training=True, own_labels=self.own_labels)


def open_data(config: Config) -> Data:
    """Opens `config.data_dir` once, for all that asks about it; videos are prepared into the cache first.

    Example:
        >>> data = open_data(config)
        >>> model.fit(data.dataset("train"), validation_data=data.dataset("val"))

    Raises:
        UsageError: The folder is not there, or was prepared with another mouth crop.
        DataError: More than one clip in a hundred cannot be used, or the split cannot be made.
    """
    index, failed = prepared_index(config)
    recordings.check_failed(config.data_dir, index, failed)
    split = make_split([entry.id for entry in index.entries], config)
    by_id = index.by_id()
    return Data(_learn(config, tuple(by_id[name] for name in split.train)), index, failed, split)


def resolved(config: Config) -> Config:
    """The configuration with the symbols and words that are learnt from its data.

    Raises:
        UsageError: The data are not there.
        DataError: They cannot be used.
    """
    return config if config.is_learnt else open_data(config).config


@functools.lru_cache(maxsize=4)
def _learn(config: Config, entries: tuple[Entry, ...]) -> Config:
    """Symbols and words of the training part; what is too rare to be learnt is told, once."""
    texts, changes = [entry.text for entry in entries], {}
    if config.tokenizer in LEARNT:
        symbols = learn(texts, config.tokenizer, config.min_count)
        if len(symbols.kept) < 2:
            raise DataError(f"{config.data_dir}: no symbol is there min_count={config.min_count} times. Lower it.")
        if symbols.rare:
            told = ", ".join(f"{symbol!r} ({count})" for symbol, count in symbols.rare.most_common(10))
            say(f"left out, since training has them less than min_count={config.min_count} times: {told}")
        kept = symbols.kept if config.tokenizer == "words" else "".join(symbols.kept)
        changes["tokenizer"] = store(kept)
    if config.words == LEARNT_WORDS:
        changes["words"] = store(learn(texts, "words", config.min_word_count).kept)
    config = dataclasses.replace(config, **changes)
    if config.mel_loss_weight and not any(map(recordings.has_usable_sound, entries)):
        say(f"mel_loss_weight is 0 in this run: no clip has sound beside {grid.FPS} frames a second")
        config = dataclasses.replace(config, mel_loss_weight=0.0)
    has_times = config.times in ("auto", "self") or any(entry.words for entry in entries)
    if config.word_loss_weight and not (has_times and config.times != "none" and config.known_words()):
        # Without times, or without words that are frequent enough, there is nothing to learn from.
        config = dataclasses.replace(config, word_loss_weight=0.0, words="none")
    return config


def build_datasets(config: Config, *, opened: Data | None = None) -> Datasets:
    """Training, validation and test data of `config.data_dir`, each as `build_dataset` describes.

    Args:
        config: Names the data and what becomes of them.
        opened: What `open_data(config)` gave, where that was called before.

    Raises:
        UsageError: The folder is not there, or was prepared with another mouth crop.
        DataError: Clips that cannot be used, counted, with the first one's reason.
    """
    opened = opened or open_data(config)
    return Datasets(*map(opened.dataset, Datasets._fields))


# Preparing ----------------------------------------------------------------------------------------------------------


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    mouth_crop: str = "tracked",
    speakers: Sequence[str] = (),
    transcripts: Path | str | None = None,
    fps: float = grid.FPS,
    max_seconds: float = MAX_SECONDS,
    digits: Digits = "keep",
    **workers,
) -> PrepareReport:
    """Cuts the mouth out of every video, once, in parallel, into compressed shards; resumable.

    Args:
        source: Videos with what is said in them: GRID in one of the trees that `tfav.speech.grid` knows, or transcripts
            that `tfav.speech.corpus` finds. A recording with several subtitles becomes as many clips.
        out: Gets the shards, `index.json`, `prepare_report.json` and a contact sheet.
        mouth_crop: `tracked` `[T, 56, 104, 1]` or `tight` `[T, 64, 96, 1]`, around the mouth with a margin for
            augmentation; `fixed`, the course notebook's `[T, 46, 140, 1]`.
        speakers: These only; empty: all.
        transcripts: A table or a folder, as in `find_spoken`; None: they lie beside the videos.
        fps: Frames per second of the clips, taken by time. The sound of others than 25 is not learnt from.
        max_seconds: Longer utterances are divided at their pauses, or fail.
        digits: `keep` or `refuse` them in transcripts.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Returns:
        What became of each clip; broken transcripts and videos that cannot be read are failures of those alone.

    Raises:
        UsageError: A wrong option or folder.
        DataError: There are no videos, or none could be used.
        FetchError: The face detector cannot be fetched.
    """
    if mouth_crop not in CROPS:
        raise UsageError(f"mouth_crop must be one of {', '.join(CROPS)}. Received: mouth_crop={mouth_crop}")
    check_number("fps", fps, gt=0, le=120)
    check_number("max_seconds", max_seconds, gt=0)
    crop = CROPS[mouth_crop]
    cut = Cut(crop, recordings.find_detector(crop), fps, max_seconds=max_seconds)
    jobs = recordings.find_sentences(
        source, out, cut, record_format=RECORD_FORMAT, speakers=speakers, transcripts=transcripts, digits=digits
    )
    settings = {"system": SYSTEM, "format": RECORD_FORMAT, "mouth_crop": mouth_crop, "fps": fps}
    return recordings.prepare(jobs, out, settings, **workers)


def prepared_index(config: Config) -> tuple[Index, dict[str, str]]:
    """The shards of `config.data_dir`, and the clips that could not be prepared, name to reason.

    Raises:
        UsageError: The folder is not there, or was prepared with another mouth crop.
        DataError: Nothing in it can be used.
    """
    return recordings.open_prepared(
        config, SYSTEM, (), lambda videos, out: prepare(videos, out, mouth_crop=config.mouth_crop)
    )


def make_split(names: Sequence[str], config: Config) -> NamedSplit:
    """Divides clips (`speaker/name`) by lists, by speaker or by fraction, by what is given, in this order.

    By fraction a clip's side follows from its name and the seed alone, so clips that come or go never move another one
    to the other side; the shares are met on average.

    Raises:
        UsageError: A list that cannot be read, or a speaker that does not occur.
        DataError: A listed clip that is not there (counted), a clip on two sides, an empty training part.
    """
    names = list(names)
    if config.train_list:
        parts = by_lists(names, config)
    elif config.val_speakers or config.test_speakers:
        held = tuple(map(same_form, config.val_speakers)), tuple(map(same_form, config.test_speakers))
        val, test = (of_speakers(names, some, speaker_of, config.data_dir) if some else [] for some in held)
        parts = NamedSplit([name for name in names if speaker_of(name) not in sum(held, ())], val, test)
    else:
        parts = by_hash(names, val=config.val_fraction, test=config.test_fraction, seed=config.seed)
    return check_parts(parts, "Lower the shares, or hold out fewer speakers.")


# Data sets ----------------------------------------------------------------------------------------------------------


def build_dataset(
    config: Config,
    index: Index,
    names: Sequence[str],
    *,
    training: bool = False,
    own_labels: Mapping[str, np.ndarray] | None = None,
) -> tf.data.Dataset:
    """One data set of the named clips.

    Args:
        config: With its symbols and words, as `open_data` gives it.
        index: The prepared clips.
        names: Which of them.
        training: Shuffle and augment.
        own_labels: What is said in each frame of some clips, in place of the word times that they were given.

    Returns:
        Batches of `(inputs, targets)`. Inputs: `frames` `[B, T, H, W, 1]` float32, standardised, 0 in padding, T being
        `num_frames`; `frame_count` `[B]` int32, frames that are real. Targets: `labels` `[B, T]` int32, class numbers
        of the tokenizer, blank in padding; with `word_loss_weight` also `words` `[B, T]` int32, what is said in each
        frame: 0 silence, 1 + place in `config.known_words()`, -1 in padding and where it is not known; with
        `mel_loss_weight` also `sound` `[B, T, 80]` float32, see `log_mel`, NaN in padding. Training is shuffled and
        augmented; otherwise row `i` is `shards.in_stored_order(index, names)[i]`. Where more than 20 % of the frames
        would be padding, T is that of the batch's longest clip, and clips of similar length make a training batch.

    Raises:
        UsageError: The model's picture is larger than the prepared one; audio is wanted and none was prepared.
        DataError: Clips that are too short for their sentence, too long, or hold a symbol unknown to the tokenizer.
    """
    entries = shards.in_stored_order(index, names)
    columns = encode_entries(config, entries, own_labels)
    recordings.check_crop(config, index)
    if config.mel_loss_weight and not any(map(recordings.has_usable_sound, entries)):
        raise UsageError(
            f"{index.folder}: mel_loss_weight={config.mel_loss_weight} needs clips with sound. Prepare the videos "
            "again, or set mel_loss_weight=0."
        )
    decode = shards.decoder(index)

    def load(row):
        record = decode(row)
        frames = record["frames"]
        frames = tf.pad(frames, [[0, config.num_frames - tf.shape(frames)[0]], [0, 0], [0, 0], [0, 0]])
        frames = tf.ensure_shape(frames, [config.num_frames, None, None, 1])
        targets = {name: row[name] for name in ("labels", "words")}
        if config.mel_loss_weight:
            targets["sound"] = log_mel.describe_sound(record["audio"], config.num_frames)
        return {"frames": frames, "frame_count": row["frame_count"]}, targets

    def for_model(inputs, targets):
        # Frame labels go through the augmentation in any case: they say when somebody speaks.
        return inputs, targets if config.word_loss_weight else {n: t for n, t in targets.items() if n != "words"}

    lengths = [entry.num_frames for entry in entries]
    is_uneven = config.model != "notebook" and 1 - np.mean(lengths) / config.num_frames > _MOST_PADDING

    buckets = Buckets(lambda loaded: loaded[0]["frame_count"], lengths)

    def finish_batch(inputs, targets):
        inputs, targets = for_model(inputs, targets)
        return _without_padding(inputs, targets) if is_uneven else (inputs, targets)

    rows = shards.read_rows(index, entries, columns, parallel=2 if training else 1)
    if training:
        size = len(entries) * config.num_frames * entries[0].height * entries[0].width
        augment = augmentation.augment_clip(config)
        return pipeline.for_training(
            rows,
            load,
            batch_size=config.batch_size,
            augment=None if config.word_splice_prob else augment,
            augment_batch=_splice_and_augment(config, augment) if config.word_splice_prob else None,
            cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
            seed=config.seed,
            buckets=buckets if is_uneven else None,
        ).map(finish_batch)
    finish = augmentation.center(config)
    # Its clips lie scattered over the shards: to read 50 of them, 200 MB may have to be unpacked, so once is enough.
    size = 4 * len(entries) * config.num_frames * config.crop_size[0] * config.crop_size[1]
    return pipeline.for_evaluation(
        rows,
        lambda row: finish(*load(row)),
        batch_size=config.batch_size,
        cache="memory" if size <= _MEMORY_CACHE_BYTES else None,
    ).map(finish_batch)


def _without_padding(inputs: dict, targets: dict) -> tuple[dict, dict]:
    """A batch cut off behind its longest clip."""
    longest = tf.reduce_max(inputs["frame_count"])
    cut = {name: column[:, :longest] for name, column in targets.items()}
    return inputs | {"frames": inputs["frames"][:, :longest]}, cut


def _splice_and_augment(config: Config, augment: Callable) -> Callable:
    """A function of `(inputs, targets, seed)` on batches; a spliced clip is augmented as one."""
    splice = splice_batch(config.symbols(), config.word_splice_prob, config.num_frames)

    def apply(inputs, targets, seed):
        inputs, targets = splice(inputs, targets, split_seed(seed, 0))
        specs = tf.nest.map_structure(lambda column: tf.TensorSpec(column.shape[1:], column.dtype), (inputs, targets))
        specs[0]["frames"] = tf.TensorSpec((config.num_frames, *config.crop_size, 1), tf.float32)
        return on_rows(augment, specs)(inputs, targets, seed)

    return apply


def encode_entries(
    config: Config, entries: Sequence[Entry], own_labels: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """Labels, frame labels and frame counts of clips, a row each; refuses those that CTC cannot align.

    Raises:
        DataError: As `build_dataset`; names the first clip and counts them all.
    """
    symbols = config.symbols()
    labels = np.full((len(entries), config.num_frames), symbols.blank, np.int32)
    words = np.full((len(entries), config.num_frames), grid.UNKNOWN, np.int32)
    wrong = []
    for row, entry in enumerate(entries):
        try:
            classes = symbols.encode(entry.text)
        except DataError as error:
            wrong.append(f"{entry.id}: {error}")
            continue
        needed = required_frames(classes)
        if not len(classes):
            wrong.append(f"{entry.id}: the tokenizer knows no symbol of {entry.text!r}.")
        elif entry.num_frames < needed:
            wrong.append(f"{entry.id}: {entry.num_frames} frames are too few for {entry.text!r}, which needs {needed}.")
        elif entry.num_frames > config.num_frames:
            wrong.append(
                f"{entry.id}: {entry.num_frames} frames are more than num_frames={config.num_frames}. Set "
                f"num_frames={entry.num_frames}."
            )
        else:
            labels[row, : len(classes)] = classes
            given = label_frames(entry, config.times, config.known_words())
            words[row, : entry.num_frames] = (own_labels or {}).get(entry.id, given)
    if wrong:
        raise DataError(f"{len(wrong)} of {len(entries)} clips cannot be learnt from; first {wrong[0]}")
    frame_counts = np.array([entry.num_frames for entry in entries], np.int32)
    return {"labels": labels, "words": words, "frame_count": frame_counts}
