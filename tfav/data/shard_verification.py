"""`tfav shards verify`: every shard and every example of a folder looked at, and all that is wrong with it named."""

import concurrent.futures
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from tfav.data.shard_index import Entry, Index, damage, parse_index
from tfav.data.shards import decoder

_THREADS = 2
_LOOSE_NAMES = "shard-*.tfrecord.gz"


class Verification(NamedTuple):
    """What was found; `problems` from the name of a file to what is wrong with it, in one line."""

    folder: Path
    num_shards: int
    num_examples: int
    num_bytes: int
    problems: dict[str, str]

    def summary(self) -> str:
        """The counts in one line, and under it each problem."""
        state = f"{len(self.problems)} problems" if self.problems else "all of it as it was written"
        head = f"{self.folder}: {self.num_shards} shards, {self.num_examples} examples, {self.num_bytes} bytes; {state}"
        return "\n".join([head, *(f"  {name}: {reason}" for name, reason in self.problems.items())])

    def as_dict(self) -> dict:
        """JSON-ready."""
        return self._asdict() | {"folder": str(self.folder)}


def verify_shards(folder: Path | str) -> Verification:
    """Compares every shard with the index: size, checksum, number of records, and each record with its entry.

    Args:
        folder: Holds `index.json`.

    Raises:
        UsageError: There is no index.
        DataError: The index itself cannot be used.
    """
    index = parse_index(folder)
    by_shard = {name: {} for name in index.shards}
    for entry in index.entries:
        by_shard[entry.shard][entry.position] = entry
    # As a graph: done at once, TensorFlow's comparison of texts fails to say that they differ.
    decode = tf.function(decoder(index))
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        reasons = list(
            pool.map(
                lambda name: damage(index, name) or _wrong_records(index, name, by_shard[name], decode), index.shards
            )
        )
    problems = {name: reason for name, reason in zip(index.shards, reasons, strict=True) if reason}
    for path in sorted(index.folder.glob(_LOOSE_NAMES)):
        if path.name not in index.shards:
            problems[path.name] = "not in the index"
    num_bytes = sum(shard["bytes"] for shard in index.shards.values())
    return Verification(index.folder, len(index.shards), len(index.entries), num_bytes, problems)


def _wrong_records(index: Index, name: str, by_position: Mapping[int, Entry], decode: Callable) -> str:
    position = -1
    try:
        for position, serialized in enumerate(tf.data.TFRecordDataset(str(index.folder / name), "GZIP")):
            entry = by_position.get(position)
            if entry is None:
                continue  # left out of the index when its source changed or went
            record = decode({"serialized": serialized, "id": tf.constant(os.fsencode(entry.id))})
            shape = (entry.num_frames, entry.height, entry.width, entry.channels)
            if tuple(record["frames"].shape) != shape:
                return f"{entry.id}: frames {tuple(record['frames'].shape)}, in the index {shape}"
            if record["text"].numpy().decode("utf-8", "surrogateescape") != entry.text:
                return f"{entry.id}: another text than in the index"
            if len(record.get("audio", ())) != entry.audio_samples:
                return f"{entry.id}: sound of another length than in the index"
    except (tf.errors.OpError, ValueError) as error:
        text = " ".join(str(error).split())
        return f"record {position + 1}: " + text[max(0, text.find("assertion failed")) :][:150]
    if position + 1 != index.shards[name]["examples"]:
        return f"{position + 1} records, in the index {index.shards[name]['examples']}"
    return ""
