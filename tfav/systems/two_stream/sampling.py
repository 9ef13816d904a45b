"""What is known of the data: videos by class, or pictures and flow in the field's folders; and how samples are drawn.

    data_dir/CLASS/VIDEO.avi                     frames and flow are then extracted into the cache first; or
    data_dir/jpegs_256/VIDEO/frame000001.jpg     made by `tfav prepare two_stream`, or downloaded: the class is read off
    data_dir/tvl1_flow/{u,v}/VIDEO/...           the name (`v_CLASS_g01_c01`), the split lists, or the manifests

A spatial sample is one frame; a motion sample is L flow pictures in a row, all of u before all of v. Training draws
samples at random; evaluation takes 19 of each video, evenly, and averages what the model says of them.
"""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfav.data import pipeline, splits
from tfav.data.augment import split_seed
from tfav.data.folders import Example, failed_examples
from tfav.data.label_tables import is_table, list_examples, read_table, tell_apart, videos_root
from tfav.errors import DataError, MediaError, TfavError, UsageError
from tfav.io import flow_extraction
from tfav.io.cache import keyed_path
from tfav.io.flow_extraction import FLOW_DIR, FRAMES_DIR, FlowFolders, count_pictures, folders_of, picture_path
from tfav.io.frame_folders import check_numbers, list_classes, list_frames
from tfav.io.images import inspect_picture
from tfav.io.isolate_errors import failure_of
from tfav.io.listing import describe_left_out, name_key, natural_key, scan_folder, videos_to_extract
from tfav.io.output_names import clip_name
from tfav.io.text_files import same_form
from tfav.systems.two_stream.augment import build
from tfav.systems.two_stream.config import Config

# UCF101 spells one class differently in its file names than in its folders and lists.
_RESPELT = {"HandStandPushups": "HandstandPushups"}


class Found(NamedTuple):
    """The videos of a data set: `examples`, class names in order, and whether they are files or prepared folders."""

    examples: list[Example]
    labels: list[str]
    kind: str  # "videos" or "prepared"


def find_examples(config: Config) -> Found:
    """The videos of `config.data_dir` and their classes.

    Raises:
        UsageError: The folder is not there, or a split list cannot be read.
        DataError: It holds no videos, or a prepared video's class cannot be told.
    """
    data_dir = Path(config.data_dir)
    if not config.data_dir:
        raise UsageError("data_dir is not set. Give --data-dir a folder of CLASS/VIDEO, or a prepared one.")
    if not (data_dir / FRAMES_DIR).is_dir():
        tree = list_examples(data_dir)
        if is_table(data_dir) and tree.kind == "frames" and _are_prepared(tree.examples):
            return Found(_as_before(tree.examples), _in_order(tree.labels), "prepared")
        if tree.kind != "videos":
            raise DataError(f"{data_dir}: holds folders of frames without flow. Give the videos, or prepare them anew.")
        return Found(tree.examples, _in_order(tree.labels), "videos")
    if not (data_dir / FLOW_DIR).is_dir():
        raise DataError(f"{data_dir}: holds {FRAMES_DIR} but no {FLOW_DIR}. Run tfav prepare two_stream on the videos.")
    listed = {}
    for path in filter(None, (config.train_list, config.test_list)):
        listed |= {same_form(name): same_form(label) for label, name in splits.read_list(path)}
    examples = []
    names = list_classes(data_dir / FRAMES_DIR)
    paths = (data_dir / FRAMES_DIR / entry.name for entry in scan_folder(data_dir / FRAMES_DIR))
    others = sorted((path for path in paths if path.name not in names), key=name_key)
    if line := describe_left_out(data_dir, {"that are no folders of frames": others}):
        warnings.warn(line, stacklevel=1)  # from here, and so once in a process
    pattern = splits.bracket_pattern(config.label_pattern, "label", r"^v_(.+)_g\d+_c\d+$")
    for folder in names:
        name, made_of, _ = flow_extraction.source_of(data_dir, folder)
        match = pattern.search(name)
        spelt = same_form(match[1]) if match and match[1] else None
        label = listed.get(same_form(name)) or _RESPELT.get(spelt, spelt)
        if made_of is not None and (label is None or name != folder):  # of one name there are several then
            label = same_form(made_of)
        if label is None:
            raise DataError(
                f"{data_dir / FRAMES_DIR / folder}: its class stands neither in its name nor in a split list. "
                "Give --label-pattern, --train-list and --test-list, or the table beside it (labels.csv) as --data-dir."
            )
        examples.append(Example(data_dir / FRAMES_DIR / folder, label, name))
    if not examples:
        raise DataError(f"{data_dir / FRAMES_DIR}: holds no videos.")
    labels = sorted({example.label for example in examples}, key=natural_key)
    return Found(examples, _in_order(labels), "prepared")


def _are_prepared(examples: Sequence[Example]) -> bool:
    return all(e.path.parent.name == FRAMES_DIR and (e.path.parents[1] / FLOW_DIR).is_dir() for e in examples)


def _as_before(examples: Sequence[Example]) -> list[Example]:
    """Prepared videos by the names and in the order that they had as files, so that training is the same."""
    sources = [flow_extraction.source_of(e.path.parents[1], e.path.name) for e in examples]
    places = {e.path: Path(source.path or e.path.name) for e, source in zip(examples, sources, strict=True)}
    named = [e._replace(name=source.name) for e, source in zip(examples, sources, strict=True)]
    named.sort(key=lambda e: (natural_key(e.label), name_key(places[e.path]), natural_key(e.path.name)))
    return tell_apart(named, [places[e.path] for e in named])


def ucf101_labels() -> list[str]:
    """The 101 classes of UCF101 in the order of its `classInd.txt`, which the released networks count by."""
    return (Path(__file__).parent / "ucf101_classes.txt").read_text(encoding="utf-8").split()


class Pictures(NamedTuple):
    """The pictures of one example: its folders, at how many places a sample may start, their EXIF orientation."""

    folders: FlowFolders
    num_starts: int
    orientation: int


class Opened(NamedTuple):
    """Videos of which samples can be made, and those of which none can.

    Attributes:
        root: The folder with `jpegs_256/` and `tvl1_flow/`.
        pictures: Of each video that can be used, by the key of its example.
        failed: Of each other one the reason.
    """

    root: Path
    pictures: dict[Path, Pictures]
    failed: dict[Path, str]

    def check(self, data_dir) -> "Opened":
        """Itself, if every video can be used.

        Raises:
            DataError: Videos that cannot be used, counted, the first with its reason.
        """
        if self.failed:
            total = len(self.failed) + len(self.pictures)
            raise DataError(
                f"{data_dir}: {len(self.failed)} of {total} videos cannot be used; first: "
                f"{next(iter(self.failed.values()))}"
            )
        return self


def open_pictures(config: Config, examples: Sequence[Example]) -> Opened:
    """Looks at the pictures of videos; those of video files are extracted first. A bad video stops no other."""
    root, names, unextracted = _extracted(config, examples)
    pictures, failed = {}, {}
    for example in examples:
        clip = example.path, example.span
        if clip in unextracted:
            failed[example.key] = unextracted[clip]
            continue
        try:
            pictures[example.key] = _look_at(config, example, root, names[clip])
        except (TfavError, OSError) as error:
            failed[example.key] = str(failure_of(example.path, error))
    return Opened(root, pictures, failed)


def _extracted(config: Config, examples: Sequence[Example]) -> tuple[Path, dict[tuple, str], dict[tuple, str]]:
    """The folder that holds the pictures, the name in it of each clip, and the reasons of those that have none."""
    if examples[0].path.is_dir():
        return examples[0].path.parent.parent, {(e.path, None): e.path.name for e in examples}, {}
    videos_dir, clips = examples[0].path.parent.parent, None
    settings = (config.flow_method, config.flow_bound, config.frames_size)
    if is_table(config.data_dir):
        # All that the table names, since the names of folders depend on one another; in a tree of the table's own.
        everything = read_table(config.data_dir).examples
        videos_dir = videos_root(config.data_dir, everything)
        clips = [(example.path, example.span) for example in everything]
        settings += (Path(config.data_dir),)
    out_dir = keyed_path(config.cache_path(), "flow", videos_dir, *settings)
    report = flow_extraction.extract_flow(
        videos_dir,
        out_dir,
        method=config.flow_method,
        bound=config.flow_bound,
        size=config.frames_size or None,
        clips=clips,
    )
    failed = report.failed
    if clips is None:
        clips = [(video, None) for video in videos_to_extract(videos_dir, out_dir)[0]]
        failed = failed_examples(videos_dir, failed)
    by_name = {clip_name(video.relative_to(videos_dir).as_posix(), span): (video, span) for video, span in clips}
    unextracted = {by_name[name]: reason for name, reason in failed.items()}
    return out_dir, flow_extraction.name_clips(videos_dir, clips), unextracted


def _look_at(config: Config, example: Example, root: Path, name: str) -> Pictures:
    num_frames, num_flows = count_pictures(root, name, check=False)
    num_starts = num_frames if config.stream == "spatial" else num_flows - config.stack_length + 1
    folders = folders_of(root, name)
    for folder in folders[:1] if config.stream == "spatial" else folders[1:]:
        check_numbers(folder, list_frames(folder, check=False))  # no pictures are opened: there may be millions
        if not picture_path(folder, 1).exists():
            raise DataError(f"{folder}: its pictures are not called frame000001.jpg and so on. Extract the flow again.")
    if num_starts < 1:
        needed = "and one is needed"
        if config.stream != "spatial":
            needed = f"and a stack of {config.stack_length} flow pictures needs {config.stack_length + 1}"
        raise MediaError(example.key, f"{num_frames} frames, {needed}", "Remove it, or lower --stack-length.")
    orientation = _orientation(folders.frames, num_starts) if config.stream == "spatial" else 1
    return Pictures(folders, num_starts, orientation)


def sample_starts(num_starts: int, samples: int) -> np.ndarray:
    """Which places to start at, counted from 0: the published protocol's even steps.

    Args:
        num_starts: How many places there are, 1 or more.
        samples: How many are wanted.

    Returns:
        `[min(samples, num_starts)]` int64, from 0 in steps of `num_starts // samples`.
    """
    step = max(1, num_starts // samples)
    return np.arange(min(samples, num_starts), dtype=np.int64) * step


def columns_of(
    config: Config,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    training: bool = False,
    opened: Opened | None = None,
) -> dict[str, np.ndarray]:
    """One row per sample: its folders, its start (where it is drawn anew the first), the number of starts, the class.

    There is also the `orientation` of its frames where any is not upright.

    Raises:
        DataError: Videos that cannot be used, counted.
    """
    opened = opened or open_pictures(config, examples).check(config.data_dir)
    rows = {"frames": [], "u": [], "v": [], "start": [], "num_starts": [], "label": [], "orientation": []}
    for example in examples:
        folders, num_starts, orientation = opened.pictures[example.key]
        chosen = [0] * config.train_samples if training else sample_starts(num_starts, config.samples_per_video)
        for start in chosen:
            values = (*map(str, folders), start, num_starts, labels.index(example.label), orientation)
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    text = {key: np.array([os.fsencode(path) for path in rows[key]]) for key in ("frames", "u", "v")}
    numbers = ["start", "num_starts", "label"] + ["orientation"] * any(turn != 1 for turn in rows["orientation"])
    return text | {key: np.array(rows[key], np.int32) for key in numbers}


def _orientation(folder: Path, num_frames: int) -> int:
    """EXIF's orientation of a video's frames, by three of them: a header for each of millions would take minutes.

    Raises:
        MediaError: One of the three cannot be read or is cut short.
        DataError: They differ.
    """
    numbers = sorted({1, (num_frames + 1) // 2, num_frames})
    found = [inspect_picture(picture_path(folder, number)).orientation for number in numbers]
    if len(set(found)) > 1:
        raise DataError(
            f"{folder}: frames with different orientations in EXIF, {found} of frames {numbers}. Store them upright."
        )
    return found[0]


def _in_order(labels: list[str]) -> list[str]:
    """UCF101's classes are counted as its own list does, or the released networks would mean others by a number."""
    return ucf101_labels() if set(labels) == set(ucf101_labels()) else labels


def _sample_reader(config: Config):
    """A function, in graph ops, from a row and a start to the sample, `[S, S, channels]` uint8."""
    size = config.image_size

    def read(folder, number, channels):
        name = tf.strings.join([folder, "/frame", tf.strings.as_string(number, width=6, fill="0"), ".jpg"])
        return pipeline.decode_picture(name, channels)

    def read_sample(row, start):
        if config.stream == "spatial":
            sample = read(row["frames"], start + 1, 3)
            if "orientation" in row:
                sample = pipeline.turn_upright(sample, row["orientation"])
        else:
            numbers = [start + 1 + i for i in range(config.stack_length)]
            pictures = [read(row[side], number, 1) for side in ("u", "v") for number in numbers]
            sample = tf.concat(pictures, axis=-1)
        return tf.ensure_shape(pipeline.resize(sample, size, size), [size, size, config.channels()])

    return read_sample


def reader(config: Config, num_classes: int):
    """A function, in graph ops, from a row to `([S, S, channels] float32 0-1, one-hot [num_classes])`."""
    read_sample = _sample_reader(config)

    def load(row):
        return to_unit(read_sample(row, row["start"])), tf.one_hot(row["label"], num_classes)

    return load


def random_reader(config: Config, num_classes: int):
    """As `reader`, with the start drawn at random and the sample augmented; takes `(row, label, seed)`."""
    read_sample, augment = _sample_reader(config), build(config)

    def load(row, label, seed):
        start = row["start"] + tf.random.stateless_uniform([], split_seed(seed, 0), 0, row["num_starts"], tf.int32)
        return to_unit(augment(read_sample(row, start), split_seed(seed, 1))), tf.one_hot(label, num_classes)

    return load


def to_unit(pixels: tf.Tensor) -> tf.Tensor:
    """0-255 to 0-1, float32."""
    return tf.cast(pixels, tf.float32) / 255.0
