"""`index.json` of a shard folder: what is in which shard. Whatever it says is checked before it is believed.

Loads no TensorFlow.
"""

import json
import math
import re
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.checksums import hash_file
from tfav.io.text_files import write_json_text

SCHEMA = 2  # a reader refuses any other
INDEX_NAME = "index.json"
KINDS = ("raw", "jpeg")
AUDIO_TYPES = ("float32", "int16")
_SHARD_NAME = re.compile(r"shard-\d{5}\.tfrecord\.gz")
_MAX_EXAMPLES = 100_000  # in a shard; what reading sets aside memory for
_MAX_SIDE = 1 << 20  # of frames, in pixels, and their number


class Entry(NamedTuple):
    """What the index tells of one example; fields as in `Record`, and where it lies."""

    id: str
    shard: str
    position: int
    fingerprint: str
    num_frames: int
    height: int
    width: int
    channels: int
    fps: float
    text: str
    words: tuple[str, ...]
    word_times_sec: tuple[float, ...]  # start and end in turn
    audio_samples: int
    audio_rate_hz: int


class Index(NamedTuple):
    """A shard folder: `settings` as given by who wrote it, `shards` from name to bytes, sha256 and count, `entries`."""

    folder: Path
    kind: str  # of `KINDS`
    audio_type: str  # of `AUDIO_TYPES`, "" without sound
    settings: dict
    shards: dict[str, dict]
    entries: list[Entry]

    def by_id(self) -> dict[str, Entry]:
        """Entries by name."""
        return {entry.id: entry for entry in self.entries}


def read_index(folder: Path | str, *, check_content: bool = False) -> Index:
    """What a shard folder holds; makes sure that its shards are there in full.

    Args:
        folder: Holds `index.json`.
        check_content: Compare checksums as well as sizes, which reads all of it. Reading examples finds damage too.

    Raises:
        UsageError: There is no index.
        DataError: The index cannot be read or is of another version; a shard is missing, cut off or altered.
    """
    index = parse_index(folder)
    for name in index.shards:
        if reason := damage(index, name, check_content=check_content):
            raise DataError(
                f"{index.folder / name}: {reason}. Remove {index.folder / INDEX_NAME} and prepare the folder again."
            )
    return index


def damage(index: Index, name: str, *, check_content: bool = True) -> str:
    """What is wrong with a shard as a file, or nothing."""
    path, shard = index.folder / name, index.shards[name]
    if not path.is_file() or path.stat().st_size != shard["bytes"]:
        return "missing or cut off"
    if check_content and hash_file(path) != shard["sha256"]:
        return "altered since it was written"
    return ""


def parse_index(folder: Path | str) -> Index:
    """Reads the index alone.

    Raises:
        UsageError: There is none.
        DataError: It is none of ours, or of another version.
    """
    folder = Path(folder)
    path = folder / INDEX_NAME
    try:
        content = json.loads(path.read_bytes())
        schema = content["schema"]
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file. Make the shards with tfav prepare.") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: not an index of shards. Prepare the folder again.") from error
    if schema != SCHEMA:
        raise DataError(
            f"{path}: of version {str(schema)[:20]}, this program reads {SCHEMA}. Prepare the folder again."
        )
    try:
        return _checked(folder, content)
    except (_Wrong, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f" ({error})" if isinstance(error, _Wrong) else ""
        raise DataError(f"{path}: not an index of shards{reason}. Prepare the folder again.") from error


def write_index(index: Index) -> None:
    """Writes `index.json`, an example a line; beside and renamed in.

    Raises:
        DiskFullError: No space was left.
    """
    content = {
        "schema": SCHEMA,
        "kind": index.kind,
        "audio_type": index.audio_type,
        "settings": index.settings,
        "counts": {"shards": len(index.shards), "examples": len(index.entries)},
        "shards": index.shards,
        "fields": Entry._fields,
    }
    head = json.dumps(content, indent=1)[:-2]
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in index.entries)
    with partial_file(index.folder / INDEX_NAME) as partial:
        write_json_text(partial, f'{head},\n "examples": [\n{rows}\n]\n}}\n')


class _Wrong(Exception):
    """What is wrong with an index, in a few words."""


def _checked(folder: Path, content: dict) -> Index:
    _require(content["kind"] in KINDS, "its kind is unknown")
    _require(content["audio_type"] in ("", *AUDIO_TYPES), "its type of sound is unknown")
    _require(isinstance(content["settings"], dict), "its settings are none")
    shards = content["shards"]
    _require(isinstance(shards, dict), "it lists no shards")
    for name, shard in shards.items():
        # A name with a folder in it would be read from anywhere.
        _require(_SHARD_NAME.fullmatch(name), "a shard's name is none")
        _require(_is_count(shard["bytes"], 1 << 62) and isinstance(shard["sha256"], str), f"{name} is not described")
        _require(_is_count(shard["examples"], _MAX_EXAMPLES), f"{name} has an impossible count")
    fields = content["fields"]
    _require(sorted(fields) == sorted(Entry._fields), "its columns are others")
    entries, names, places = [], set(), set()
    for row in content["examples"]:
        entry = _entry(dict(zip(fields, row, strict=True)), shards)
        entries.append(entry)
        names.add(entry.id)
        places.add((entry.shard, entry.position))
    _require(len(names) == len(places) == len(entries), "an example stands in it twice")
    return Index(folder, content["kind"], content["audio_type"], content["settings"], shards, entries)


def _entry(row: dict, shards: dict) -> Entry:
    words, times = row["words"], row["word_times_sec"]
    _require(isinstance(words, list) and isinstance(times, list), "an example's words are no list")
    entry = Entry(**{**row, "words": tuple(words), "word_times_sec": tuple(times)})
    texts = (entry.id, entry.shard, entry.fingerprint, entry.text, *words)
    _require(all(isinstance(text, str) for text in texts), "an example's text is none")
    _require(len(times) == 2 * len(words), "an example's words and times differ in number")
    _require(all(_is_number(number) for number in (entry.fps, *times)), "an example's time is no number")
    sizes = (entry.num_frames, entry.height, entry.width, entry.channels)
    _require(all(_is_count(size, _MAX_SIDE) and size for size in sizes), "an example's frames have no size")
    _require(_is_count(entry.audio_samples, 1 << 40) and _is_count(entry.audio_rate_hz, 1 << 30), "sound without size")
    _require(entry.shard in shards, "an example lies in no shard")
    _require(_is_count(entry.position, shards[entry.shard]["examples"] - 1), "an example lies beyond its shard")
    return entry


def _require(condition, what: str) -> None:
    if not condition:
        raise _Wrong(what)


def _is_count(value, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_number(value) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
