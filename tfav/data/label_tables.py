"""Labels as people have them: a table of videos, or of stretches of videos, where else a folder of classes is taken.

    video,label,start_sec,end_sec,group,part          CSV with these columns, of which the first two are needed; or
    a/match1.mp4,serve,3.2,4.7,court1,train           JSON lines: {"video": "a/match1.mp4", "label": "serve", ...}

Paths count from the table's own folder. Several labels of a clip are joined by semicolons. Without `start_sec` a
stretch begins with the video, without `end_sec` it ends with it. A row `none` without times, beside stretches of the
same video, stands for all that lies between them.
"""

import csv
import itertools
import json
import math
import os
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.data.folders import Example, Tree, scan
from tfav.errors import DataError
from tfav.io.atomic_write import partial_file
from tfav.io.container import scan_packets
from tfav.io.listing import name_key, natural_key
from tfav.io.output_names import video_name
from tfav.io.parallel import PrepareReport
from tfav.io.sampling import median_interval_sec
from tfav.io.text_files import read_lines, read_text, same_form, write_text

COLUMNS = ("video", "label", "start_sec", "end_sec", "group", "part")
NONE = "none"  # the class of what lies between the stretches of a video
_PARTS = ("train", "val", "test")
_SUFFIXES = frozenset([".csv", ".json", ".jsonl"])
_MAX_MISSING = 0.1  # share of the rows; beyond it the table is one of other videos
_SLACK_SEC = 0.1  # so far behind the last frame a stretch may end, since people round
_FEW, _UNEVEN = 10, 10  # examples of a class, and times the smallest class


class _Row(NamedTuple):
    where: str
    path: Path
    labels: tuple[str, ...]
    start_sec: float | None
    end_sec: float | None
    group: str
    part: str

    @property
    def is_whole(self) -> bool:
        return self.start_sec is None and self.end_sec is None


def is_table(data_dir: Path | str) -> bool:
    """Whether this is a table of labels rather than a folder: a file, or what is called like one."""
    path = Path(data_dir)
    return path.is_file() or (path.suffix.lower() in _SUFFIXES and not path.is_dir())


def list_examples(data_dir: Path | str, *, multi_label: bool = False) -> Tree:
    """The examples of a folder of classes (`tfav.data.folders.scan`), or of a table (`read_table`)."""
    return read_table(data_dir, multi_label=multi_label) if is_table(data_dir) else scan(data_dir)


def read_table(path: Path | str, *, multi_label: bool = False) -> Tree:
    """Lists the examples of a table, in the order in which `scan` lists those of a folder: by class, then by video.

    Args:
        path: CSV with a header, or JSON lines.
        multi_label: A clip may have several labels, or none.

    Returns:
        As `scan`. A video of several rows is several examples.

    Raises:
        UsageError: The table is not there.
        DataError: It is no table, has a column or value that is unknown, names videos of which more than a tenth are
            missing, or stretches that are empty, overlap or lie beyond the end. Fewer missing ones are a warning.

    Example:
        >>> tree = read_table("labels.csv")
        >>> tree.labels, tree.examples[0].span
        (['rally', 'serve'], (3.2, 4.7))
    """
    path = Path(path)
    rows = [_parse(path, where, values, multi_label) for where, values in _read_rows(path)]
    rows = _without_missing(path, rows)
    if any(row.path.is_absolute() or row.path.parts[:1] == ("..",) for row in rows):
        rows = [row._replace(path=row.path.absolute()) for row in rows]
    for column in ("group", "part"):
        empty = [row.where for row in rows if not getattr(row, column)]
        if 0 < len(empty) < len(rows):
            raise DataError(
                f"{empty[0]}: no {column}, which {len(rows) - len(empty)} other rows have. Give all rows one."
            )
    kinds = {row.path.is_dir(): row.where for row in rows}
    if len(kinds) == 2:
        raise DataError(
            f"{kinds[True]}: a folder of frames, and {kinds[False]} a video file. Use one kind for all rows."
        )
    spans = _spans_of(rows)
    examples = []
    for row, span in spans:
        first, *more = [label for label in row.labels if not (multi_label and label == NONE)] or [""]
        name = video_name(row.path.name) if row.path.is_dir() else row.path.stem
        examples.append(Example(row.path, first, name, tuple(more), span, row.group, row.part))
    labels = sorted({label for example in examples for label in example.labels}, key=natural_key)
    examples.sort(key=lambda e: (natural_key(e.label), name_key(e.path), e.span or (0, 0)))
    root = videos_root(path, examples)
    places = [example.video.relative_to(root) for example in examples]
    return Tree(tell_apart(examples, places), labels, "frames" if True in kinds else "videos")


def videos_root(table: Path | str, examples: Sequence[Example]) -> Path:
    """A folder under which all of a table's videos lie: its own, or that of all files."""
    own = Path(table).parent
    inside = all(example.path.is_relative_to(own) for example in examples)
    return own if inside else Path(examples[0].path.absolute().anchor)


def tell_apart(examples: Sequence[Example], places: Sequence[Path]) -> list[Example]:
    """Puts the folder in front of the names of videos of one class that share a name.

    Args:
        examples: Stretches of one video share its name and its place.
        places: The path of each one's video, from a folder that holds them all.
    """
    videos = defaultdict(set)
    for example, place in zip(examples, places, strict=True):
        videos[example.label, same_form(example.name)].add(place)
    return [
        e._replace(name=f"{place.parent.as_posix()}/{e.name}") if len(videos[e.label, same_form(e.name)]) > 1 else e
        for e, place in zip(examples, places, strict=True)
    ]


def describe_classes(examples: Sequence[Example]) -> tuple[dict[str, int], list[str]]:
    """How many examples each class has, and what of it a person should know: few, uneven, one group only."""
    counts = Counter(label for example in examples for label in example.labels)
    counts = dict(sorted(counts.items(), key=lambda item: natural_key(item[0])))
    told = []
    if few := [f"{label} {count}" for label, count in counts.items() if count < _FEW]:
        told.append(f"{len(few)} of {len(counts)} classes have fewer than {_FEW} examples: {_some(few)}")
    if counts and max(counts.values()) >= _UNEVEN * min(counts.values()):
        least, most = min(counts, key=counts.get), max(counts, key=counts.get)
        told.append(f"classes are uneven: {most} has {counts[most]} examples, {least} {counts[least]} (see --balance)")
    groups = {example.group for example in examples if example.group}
    if len(groups) == 1 and len(examples) > 1:
        told.append(f"all examples are of one group, {next(iter(groups))}: no part can be of another one")
    return counts, told


def with_class_counts(
    report: PrepareReport, out_dir: Path | str, examples: Sequence[Example] | None = None
) -> PrepareReport:
    """Adds `describe_classes` of the examples, or of all `CLASS/VIDEO` it names, to a report and its file."""
    if examples is None:
        names = [Path(name) for name in (*report.done, *report.skipped)]
        examples = [Example(name, name.parts[0], name.stem) for name in names if len(name.parts) == 2]
    report.classes, told = describe_classes(examples)
    report.warnings += told
    report.write(out_dir)
    return report


def write_table(path: Path | str, examples: Sequence[Example]) -> Path:
    """Writes examples as a CSV table whose paths count from its folder; columns that none of them has are left out."""
    path = Path(path)
    rows = []
    for e in examples:
        video = e.path.relative_to(path.parent) if e.path.is_relative_to(path.parent) else e.path.absolute()
        span = e.span or ("", "")
        rows.append(dict(zip(COLUMNS, (video.as_posix(), ";".join(e.labels), *span, e.group, e.part), strict=True)))
    columns = [column for column in COLUMNS if any(row[column] != "" for row in rows)]
    with partial_file(path) as partial:
        lines = _Lines()
        writer = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(partial, "".join(lines))
    return path


class _Lines(list):
    write = list.append


def _read_rows(path: Path) -> list[tuple[str, Mapping]]:
    """Each row's place in the table, for messages, and its values."""
    what = "a table of labels"
    lines = read_lines(path, what)
    if not lines:
        raise DataError(f"{path}: {what} that is empty. Its first line is {','.join(COLUMNS)}.")
    if lines[0][1].startswith("{"):
        rows = [(f"{path}, line {number}", _from_json(path, number, line)) for number, line in lines]
        names = dict.fromkeys(name for _, values in rows for name in values)
    else:
        reader = csv.reader(read_text(path, what).split("\n"))
        rows, names = [], [name.strip() for name in next(reader)]
        for cells in reader:
            if not any(cells):
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) != len(names):
                raise DataError(f"{where}: {len(cells)} cells, and the first line names {len(names)} columns.")
            rows.append((where, dict(zip(names, cells, strict=True))))
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not {"video", "label"} <= set(names):
        fault = f"unknown column {unknown[0]!r}" if unknown else "no column video, or none label"
        raise DataError(f"{path}: {fault}. A table has video and label, and may have {', '.join(COLUMNS[2:])}.")
    if not rows:
        raise DataError(f"{path}: {what} without rows. Add one for each video.")
    return rows


def _from_json(path: Path, number: int, line: str) -> dict:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DataError(f"{path}, line {number}: no JSON ({error}). Each line is an object of its own.") from error
    if not isinstance(values, dict):
        raise DataError(f"{path}, line {number}: no JSON object. Write {{'video': ..., 'label': ...}}.")
    label = values.get("label", "")
    return values | {"label": ";".join(map(str, label)) if isinstance(label, list) else label}


def _parse(path: Path, where: str, values: Mapping, multi_label: bool) -> _Row:
    cells = {name: "" if values.get(name) is None else same_form(str(values[name]).strip()) for name in COLUMNS}
    if not cells["video"]:
        raise DataError(f"{where}: names no video.")
    labels = tuple(dict.fromkeys(label.strip() for label in cells["label"].split(";") if label.strip()))
    if not multi_label and (";" in cells["label"] or not labels):
        fault = "several labels" if ";" in cells["label"] else "no label"
        raise DataError(
            f"{where}: {fault} ({cells['label']!r}), where a clip has one. Set --multi-label, or mend the row."
        )
    if cells["part"] and cells["part"] not in _PARTS:
        raise DataError(f"{where}: part must be one of {', '.join(_PARTS)}. Received: {cells['part']!r}")
    times = [_seconds(where, name, cells[name]) for name in ("start_sec", "end_sec")]
    found = Path(os.path.normpath(path.parent / cells["video"]))
    if not found.exists():  # macOS stores an accented letter of a name in two parts
        parted = Path(unicodedata.normalize("NFD", str(found)))
        found = parted if parted.exists() else found
    return _Row(where, found, labels, *times, cells["group"], cells["part"])


def _seconds(where: str, name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise DataError(f"{where}: {name} must be seconds from the video's start, 0 or more. Received: {text!r}")
    return value


def _without_missing(path: Path, rows: list[_Row]) -> list[_Row]:
    missing = [row for row in rows if not row.path.exists()]
    if missing:
        names = _some([str(row.path) for row in missing])
        told = f"{path}: {len(missing)} of {len(rows)} rows name videos that are not there: {names}"
        if len(missing) > _MAX_MISSING * len(rows):
            raise DataError(f"{told}. Paths count from the table's folder.")
        warnings.warn(f"{told}; they are left out.", stacklevel=1)  # from here, and so once in a process
    return [row for row in rows if row.path.exists()]


def _spans_of(rows: list[_Row]) -> list[tuple[_Row, tuple[float, float] | None]]:
    """Each row with its stretch of the video; a row `none` without times becomes what lies between the others."""
    by_video = defaultdict(list)
    for row in rows:
        by_video[row.path].append(row)
    found = []
    for members in by_video.values():
        for column in ("group", "part"):
            if len({getattr(row, column) for row in members}) > 1:
                raise DataError(
                    f"{members[-1].where}: another {column} than other rows of this video. Give all the same."
                )
        timed = [row for row in members if not row.is_whole]
        whole = [row for row in members if row.is_whole]
        rest = [row for row in whole if timed and row.labels == (NONE,)]
        if len(whole) - len(rest) + bool(timed) > 1 or len(rest) > 1:
            raise DataError(
                f"{members[-1].where}: names its video once more. Give times to tell rows of one video apart."
            )
        found += [(row, None) for row in whole if row not in rest]
        if timed:
            length_sec = _length_sec(timed[0])
            spans = sorted(((row, _span(row, length_sec)) for row in timed), key=lambda item: item[1])
            for (_, before), (row, after) in itertools.pairwise(spans):
                if after[0] < before[1]:
                    raise DataError(
                        f"{row.where}: its stretch from {after[0]:g} s overlaps the one until {before[1]:g} s. Cut "
                        "one, or give one stretch both labels."
                    )
            found += spans
            found += [(row, gap) for row in rest for gap in _gaps([span for _, span in spans], length_sec)]
    return found


def _span(row: _Row, length_sec: float) -> tuple[float, float]:
    start_sec = row.start_sec or 0.0
    end_sec = length_sec if row.end_sec is None else row.end_sec
    if start_sec >= length_sec or end_sec > length_sec + _SLACK_SEC:
        raise DataError(
            f"{row.where}: {start_sec:g} to {end_sec:g} s, beyond the end of the video at {length_sec:.2f} s."
        )
    if end_sec <= start_sec:
        fault = "empty" if end_sec == start_sec else "backwards"
        raise DataError(f"{row.where}: the stretch from {start_sec:g} to {end_sec:g} s is {fault}.")
    return start_sec, min(end_sec, length_sec)


def _length_sec(row: _Row) -> float:
    if row.path.is_dir():
        raise DataError(f"{row.where}: a folder of frames has no times. Give the video, or cut the folder.")
    return video_length_sec(row.path)


def video_length_sec(path: Path) -> float:
    """The length of a video by its packets, without decoding it."""
    times_sec = scan_packets(path).times_sec
    return float(times_sec[-1]) + median_interval_sec(times_sec) if len(times_sec) else 0.0


def _gaps(spans: Sequence[tuple[float, float]], length_sec: float) -> list[tuple[float, float]]:
    """What lies between stretches, in pieces about as long as the stretches themselves, none under half of that."""
    usual = sorted(end - start for start, end in spans)[len(spans) // 2]
    borders = [0.0, *(border for span in spans for border in span), length_sec]
    pieces = []
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        count = round((end - start) / usual)
        step = (end - start) / max(count, 1)
        pieces += [(round(start + i * step, 3), round(start + (i + 1) * step, 3)) for i in range(count)]
    return pieces


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def describe_data(data_dir: Path | str) -> list[str]:
    """What `tfav doctor --data-dir` says of a data set: its counts, a line for each thing to know.

    Raises:
        TfavError: It cannot be used as it stands.
    """
    examples = list_examples(data_dir, multi_label=True).examples
    counts, told = describe_classes(examples)
    videos = len({example.path for example in examples})
    listed = ", ".join(f"{label} {count}" for label, count in counts.items())
    return [f"{len(examples)} examples of {videos} videos in {len(counts)} classes: {listed}", *told]
