"""The one shard format of all systems: compressed TFRecord files and an index that tells what is in them.

    OUT/index.json               every example: name, shard, place, text, words with times; every shard: checksum
    OUT/shard-00000.tfrecord.gz  examples: frames (raw, or one JPEG each), sound, text, words, times

Files are written beside and renamed in, the index last; so what the index names is complete. Reading is TensorFlow ops
only, with no Python and no lookup table in the way, so that a tf.data service can do it in another process.
"""

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.data import tf_data_service
from tfav.data.example_files import Record, check_record
from tfav.data.shard_index import INDEX_NAME, KINDS, SCHEMA, Entry, Index, read_index, write_index
from tfav.errors import DataError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.checksums import hash_file

__all__ = [
    "INDEX_NAME",
    "Entry",
    "Index",
    "decoder",
    "encode",
    "in_stored_order",
    "read_index",
    "read_rows",
    "write_shards",
]

RECORDS_PER_SHARD = 64
_FAST = 1  # zlib level: level 6 takes four times as long and saves 3 % on grey crops


# Writing ------------------------------------------------------------------------------------------------------------


def write_shards(
    folder: Path | str,
    ids: Sequence[str],
    load: Callable[[str], Record],
    *,
    fingerprints: dict[str, str] | None = None,
    keep: Sequence[Entry] = (),
    settings: dict | None = None,
    kind: str = "raw",
    quality: int = 95,
    threads: int = 2,
) -> Index:
    """Adds examples to a shard folder, as new shards, then writes its index.

    Args:
        folder: Made if need be.
        ids: The new examples, in order.
        load: Gives the record of a name; called from several threads.
        fingerprints: Fingerprint of each, for who decides whether it must be made anew.
        keep: Entries of the folder's present index that stay. Shards of which nothing stays are deleted at the end.
        settings: What the examples were made with.
        kind: "raw" or "jpeg".
        quality: Of the JPEGs, 1-100.
        threads: Shards written at a time.

    Returns:
        The new index.

    Raises:
        UsageError: An unknown kind, or a name given twice.
        DataError: A record is not what it should be, or records with sound of different types.
        DiskFullError: No space was left.
    """
    if kind not in KINDS:
        raise UsageError(f"kind must be one of {', '.join(KINDS)}. Received: kind={kind}")
    all_ids = [entry.id for entry in keep] + list(ids)
    if len(set(all_ids)) < len(all_ids):
        twice = next(name for name in all_ids if all_ids.count(name) > 1)
        raise UsageError(f"the example {twice} is given twice.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    old = read_index(folder) if (folder / INDEX_NAME).exists() and keep else None
    if old and old.kind != kind:
        raise UsageError(f"{folder}: its frames are {old.kind}. Received: kind={kind}")
    kept_shards = {entry.shard for entry in keep}
    shards = {name: shard for name, shard in old.shards.items() if name in kept_shards} if old else {}
    first = 1 + max((int(path.name[6:11]) for path in folder.glob("shard-?????.tfrecord.gz")), default=-1)
    groups = [ids[start : start + RECORDS_PER_SHARD] for start in range(0, len(ids), RECORDS_PER_SHARD)]

    def write(number: int):
        name = f"shard-{first + number:05d}.tfrecord.gz"
        return name, *_write_shard(folder / name, groups[number], load, fingerprints or {}, kind, quality)

    entries, audio_types = list(keep), {old.audio_type} if old else set()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for name, shard, written, types in pool.map(write, range(len(groups))):
            shards[name] = shard
            entries += written
            audio_types |= types
    if len(audio_types) > 1:
        raise DataError(
            f"{folder}: examples with sound as {' and '.join(sorted(audio_types))} cannot lie in one folder."
        )
    index = Index(folder, kind, next(iter(audio_types), ""), settings or {}, shards, entries)
    write_index(index)
    for path in folder.glob("shard-*.tfrecord.gz"):
        if path.name not in shards:
            path.unlink()
    return index


def _write_shard(path: Path, ids, load, fingerprints, kind: str, quality: int):
    entries, types = [], set()
    with partial_file(path) as partial:
        options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=_FAST)
        with tf.io.TFRecordWriter(str(partial), options) as writer:
            for position, name in enumerate(ids):
                record = load(name)
                check_record(record)
                writer.write(encode(record, kind, quality))
                audio = record.audio
                types.add("" if audio is None else str(audio.dtype))
                entries.append(
                    Entry(
                        record.id,
                        path.name,
                        position,
                        fingerprints.get(name, ""),
                        *record.frames.shape,
                        float(record.fps),
                        record.text,
                        tuple(record.words),
                        tuple(round(float(time), 5) for time in np.ravel(record.word_times_sec)),
                        0 if audio is None else len(audio),
                        int(record.audio_rate_hz),
                    )
                )
        shard = {"bytes": partial.stat().st_size, "sha256": hash_file(partial), "examples": len(entries)}
    return shard, entries, types


def encode(record: Record, kind: str = "raw", quality: int = 95) -> bytes:
    """One record as a serialised `tf.train.Example`; `decoder` is the way back."""
    if kind == "raw":
        pictures = [record.frames.tobytes()]
    else:
        pictures = [tf.io.encode_jpeg(frame, quality=quality).numpy() for frame in record.frames]
    texts = {"id": [record.id], "text": [record.text], "words": record.words}
    blobs = {name: [text.encode("utf-8", "surrogateescape") for text in values] for name, values in texts.items()}
    blobs |= {"frames": pictures, "audio": [b"" if record.audio is None else record.audio.tobytes()]}
    numbers = {"schema": [SCHEMA], "shape": record.frames.shape, "audio_rate_hz": [record.audio_rate_hz]}
    floats = {"fps": [record.fps], "word_times_sec": np.ravel(record.word_times_sec)}
    feature = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=value)) for name, value in blobs.items()}
    feature |= {name: tf.train.Feature(int64_list=tf.train.Int64List(value=value)) for name, value in numbers.items()}
    feature |= {name: tf.train.Feature(float_list=tf.train.FloatList(value=value)) for name, value in floats.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


# Reading ------------------------------------------------------------------------------------------------------------


def in_stored_order(index: Index, ids: Sequence[str]) -> list[Entry]:
    """The entries of these names in the order in which they are read.

    Raises:
        DataError: Names that are not there, counted.
    """
    wanted, known = set(ids), {entry.id for entry in index.entries}
    if missing := sorted(wanted - known):
        raise DataError(f"{index.folder}: {len(missing)} of {len(wanted)} examples are not there, first: {missing[0]}.")
    return sorted((e for e in index.entries if e.id in wanted), key=lambda entry: (entry.shard, entry.position))


def word_numbers(entry: Entry, numbers: Mapping[str, int], *, silence: int, unknown: int = -1) -> np.ndarray:
    """What is said in the middle of each frame.

    Args:
        entry: A recording whose words have times.
        numbers: Of the words.
        silence: The number where nothing is said.
        unknown: That of a word that has none.

    Returns:
        `[num_frames]` int32.
    """
    said = np.full(entry.num_frames, silence, np.int32)
    middles = (np.arange(entry.num_frames) + 0.5) / entry.fps
    for word, (start, end) in zip(entry.words, np.reshape(entry.word_times_sec, (-1, 2)), strict=True):
        said[(start <= middles) & (middles < end)] = numbers.get(word, unknown)
    return said


def read_rows(
    index: Index, entries: Sequence[Entry], columns: dict[str, np.ndarray] | None = None, *, parallel: int = 1
) -> tf.data.Dataset:
    """The chosen examples, each with its row of the columns: what `pipeline` takes in place of columns.

    Args:
        index: The folder.
        entries: From `in_stored_order`.
        columns: Name -> `[N, ...]`, row `i` belongs to `entries[i]`.
        parallel: Shards read at a time; with more than 1 the order is no longer that of `entries`.

    Returns:
        A data set of N elements: `id` and `serialized`, scalar strings, `row`, scalar int64, and the columns' rows.
    """
    names = sorted({entry.shard for entry in entries})
    rows = np.full((len(names), max(index.shards[name]["examples"] for name in names)), -1, np.int64)
    stored = [index.shards[name]["examples"] for name in names]
    for row, entry in enumerate(entries):
        rows[names.index(entry.shard), entry.position] = row
    # Which row a record is follows from its place, so nothing is looked up by name.
    columns = {"id": np.array([entry.id.encode("utf-8", "surrogateescape") for entry in entries]), **(columns or {})}
    if any(len(column) != len(entries) for column in columns.values()):
        lengths = {name: len(column) for name, column in columns.items()}
        raise ValueError(f"columns must have {len(entries)} rows. Received: {lengths}")
    tensors = {name: tf.constant(column) for name, column in columns.items()}
    files = tf.data.Dataset.from_tensor_slices(
        ([str(index.folder / name) for name in names], rows, np.array(stored, np.int64))
    )

    def open_shard(path, rows, count):
        records = tf.data.TFRecordDataset(path, compression_type="GZIP", buffer_size=1 << 20)
        # A shard that ends too early would otherwise make a smaller data set, in silence.
        records = records.apply(tf.data.experimental.assert_cardinality(count))
        return tf.data.Dataset.zip(records, tf.data.Dataset.from_tensor_slices(rows[:count]))

    if parallel > 1:
        records = files.interleave(open_shard, cycle_length=parallel, num_parallel_calls=parallel, deterministic=True)
    else:
        records = files.flat_map(open_shard)
    records = records.filter(lambda serialized, row: row >= 0)

    def join(serialized, row):
        return {name: tensor[row] for name, tensor in tensors.items()} | {"serialized": serialized, "row": row}

    records = records.map(join)
    # Each worker of a data service gets some of the shards only, so the whole number is nothing to insist on there.
    return (
        records if tf_data_service.is_wanted() else records.apply(tf.data.experimental.assert_cardinality(len(entries)))
    )


def decoder(index: Index) -> Callable[[dict], dict]:
    """The function, in graph ops, from an element of `read_rows` to the record's tensors.

    Returns:
        A function that gives `frames` `[T, H, W, C]` uint8 (H, W and C known if they are the same everywhere), `fps`
        float32, `text` string, `words` `[N]` string, `word_times_sec` `[N, 2]` float32, and with sound `audio` `[S]`
        and `audio_rate_hz` int64. A record that is not the expected one is an `InvalidArgumentError`.
    """
    sides = {entry[5:8] for entry in index.entries}
    shape = next(iter(sides)) if len(sides) == 1 else (None, None, None)
    features = {
        "schema": tf.io.FixedLenFeature([], tf.int64),
        "id": tf.io.FixedLenFeature([], tf.string),
        "frames": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        "shape": tf.io.FixedLenFeature([4], tf.int64),
        "fps": tf.io.FixedLenFeature([], tf.float32),
        "text": tf.io.FixedLenFeature([], tf.string),
        "words": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        "word_times_sec": tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
        "audio": tf.io.FixedLenFeature([], tf.string),
        "audio_rate_hz": tf.io.FixedLenFeature([], tf.int64),
    }

    def decode(element):
        record = tf.io.parse_single_example(element["serialized"], features)
        checks = [
            tf.debugging.assert_equal(record["schema"], tf.constant(SCHEMA, tf.int64), "another version of shards"),
            tf.debugging.assert_equal(record["id"], element["id"], "the index does not fit the shards"),
        ]
        with tf.control_dependencies(checks):
            if index.kind == "raw":
                frames = tf.reshape(tf.io.decode_raw(record["frames"][0], tf.uint8), record["shape"])
            else:
                channels = shape[2] or 3
                frames = tf.map_fn(
                    lambda data: tf.io.decode_jpeg(data, channels=channels),
                    record["frames"],
                    fn_output_signature=tf.TensorSpec([None, None, channels], tf.uint8),
                )
        decoded = {
            "frames": tf.ensure_shape(frames, [None, *shape]),
            "fps": record["fps"],
            "text": record["text"],
            "words": record["words"],
            "word_times_sec": tf.reshape(record["word_times_sec"], [-1, 2]),
        }
        if index.audio_type:
            decoded["audio"] = tf.io.decode_raw(record["audio"], tf.as_dtype(index.audio_type))
            decoded["audio_rate_hz"] = record["audio_rate_hz"]
        return decoded

    return decode
