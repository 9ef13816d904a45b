"""One example of a prepared data set as NumPy arrays, and its way into a shard folder by way of one file each.

Loads no TensorFlow: the processes that make examples have no use for it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.errors import DataError
from tfav.io.atomic_write import partial_file
from tfav.io.listing import file_state
from tfav.io.npz import ArraysError, read_npz
from tfav.io.output_names import short_name

STAGING_DIR = "staging"


class Record(NamedTuple):
    """One example.

    Attributes:
        id: Its name in the data set, such as `s1/bbaf2n`.
        frames: `[T, H, W, C]` uint8.
        fps: Frames per second.
        text: What is said, or the name of the class.
        words: What is said when: the words, and
        word_times_sec: `[len(words), 2]` float32, start and end of each.
        audio: `[S]` float32 in -1 to 1 or int16; None without sound.
        audio_rate_hz: Samples per second.
    """

    id: str
    frames: np.ndarray
    fps: float = 25.0
    text: str = ""
    words: tuple[str, ...] = ()
    word_times_sec: np.ndarray = np.zeros((0, 2), np.float32)
    audio: np.ndarray | None = None
    audio_rate_hz: int = 0


def check_record(record: Record) -> None:
    """Refuses arrays that are not what `Record` says.

    Raises:
        DataError: Naming the record and what is wrong with it.
    """
    if record.frames.ndim != 4 or record.frames.dtype != np.uint8 or len(record.frames) < 1:
        raise DataError(
            f"{record.id}: frames must be [T, H, W, C] uint8, T 1 or more. Received: shape={record.frames.shape}, "
            f"dtype={record.frames.dtype}"
        )
    if np.shape(record.word_times_sec) != (len(record.words), 2):
        raise DataError(
            f"{record.id}: {len(record.words)} words need as many pairs of times. "
            f"Received: shape={np.shape(record.word_times_sec)}"
        )
    if record.audio is not None and (record.audio.ndim != 1 or record.audio.dtype not in (np.float32, np.int16)):
        raise DataError(
            f"{record.id}: audio must be [S] float32 or int16. Received: shape={record.audio.shape}, "
            f"dtype={record.audio.dtype}"
        )


def fingerprint(*parts) -> str:
    """A short name for what an example was made from, the same for the same parts; files count by size and change time.

    Args:
        *parts: Whatever JSON can hold; a `Path` stands for the name, sizes and times of a file or of a folder's files.
    """

    def plain(part):
        return [part.name, *file_state(part)] if isinstance(part, Path) else part

    return hashlib.sha256(json.dumps([plain(part) for part in parts], sort_keys=True).encode()).hexdigest()[:16]


def staging_path(out_dir: Path | str, record_id: str) -> Path:
    """Where a finished example waits for its shard."""
    *folders, name = record_id.split("/")
    return Path(out_dir, STAGING_DIR, *folders, f"{short_name(name)}.npz")


def stage_record(
    make: Callable[..., tuple[Record, str]], args: Sequence, out_dir: str, name: str, fingerprint: str
) -> str | None:
    """Makes one example and keeps it in a file of its own; the work of one unit of `io.parallel.run_units`.

    Args:
        make: Maps `args` to a record and a warning, "" for none.
        args: For `make`.
        out_dir: The shard folder.
        name: The record's `id`.
        fingerprint: Fingerprint of what it is made from.

    Returns:
        The warning, or None.
    """
    record, warning = make(*args)
    if record.id != name:
        raise DataError(f"{name}: its record is called {record.id}.")
    check_record(record)
    metadata = record._replace(frames=None, audio=None, word_times_sec=np.asarray(record.word_times_sec).tolist())
    arrays = {"frames": record.frames} | ({} if record.audio is None else {"audio": record.audio})
    with partial_file(staging_path(out_dir, record.id)) as partial, partial.open("wb") as file:
        np.savez(file, fingerprint=np.array(fingerprint), metadata=np.array(json.dumps(metadata._asdict())), **arrays)
    return warning or None


def is_staged(make: Callable, args: Sequence, out_dir: str, name: str, fingerprint: str) -> bool:
    """Whether what `stage_record` makes of the same arguments waits already."""
    return staged_fingerprint(out_dir, name) == fingerprint


def staged_fingerprint(out_dir: Path | str, record_id: str) -> str:
    """The fingerprint of a waiting example, "" where there is none."""
    try:
        return str(read_npz(staging_path(out_dir, record_id), ["fingerprint"])["fingerprint"])
    except ArraysError:
        return ""


def load_staged(out_dir: Path | str, record_id: str) -> Record:
    """Reads a waiting example.

    Raises:
        TfavError: It cannot be read, or is none.
    """
    path = staging_path(out_dir, record_id)
    stored = read_npz(path)
    try:
        metadata = json.loads(str(stored["metadata"]))
        metadata["words"] = tuple(metadata["words"])
        metadata["word_times_sec"] = np.array(metadata["word_times_sec"], np.float32).reshape(-1, 2)
        metadata |= {name: stored[name] for name in ("frames", "audio") if name in stored}
        return Record(**metadata)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not an example. Remove it and run tfav prepare again.") from error
