"""What a stream says of each sample of each video, kept on disk: its features and its probabilities.

A file `NAME-STAMP.npz` holds `features` `[n, D]` float16 and `probabilities` `[n, K]` float32, of one video's `n`
samples. Its folder is named by a hash of the network's weights and of all that decides the samples, so nothing is taken
for what it is not, and the fusion, however often it is trained, runs no network twice. Here is also what a fusion's run
asks of its two streams: whether they go together, and the weight of each one's probabilities.
"""

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfav.data import pipeline
from tfav.data.class_folders import Example
from tfav.data.classification import check_known_classes
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import partial_file, remove_partials
from tfav.io.cache import keyed_path
from tfav.io.flow_extraction import FlowFolders
from tfav.io.isolate_errors import answers_of
from tfav.io.listing import file_state
from tfav.io.npz import ArraysError, read_npz
from tfav.io.output_names import short_name
from tfav.systems.two_stream import sampling
from tfav.systems.two_stream.config import Config
from tfav.systems.two_stream.model import choose_weight
from tfav.systems.two_stream.stream import Stream, agree_on_labels, load_stream, with_features

FUSION_FILE = "fusion.json"  # in the run folder: the weight chosen on its validation part
_SECONDS_BEFORE_BAR = 2.0
_FORMAT = 2  # of how samples are made; 1 resized them otherwise


class Stored(NamedTuple):
    """Of `N` videos in order.

    Attributes:
        features: `[N, samples_per_video, D]` float32; a video of fewer samples repeats its last one.
        probabilities: `[N, K]` float32, the mean over each video's own samples.
    """

    features: np.ndarray
    probabilities: np.ndarray


class Usable(NamedTuple):
    """The `examples` that can be used, what each kind of stream says of them, and the `failed` `{"path", "reason"}`."""

    examples: list[Example]
    stored: dict[str, Stored]
    failed: list[dict]


def compute(stream: Stream, config: Config, examples: Sequence[Example], *, progress: bool = True) -> Stored:
    """Makes sure that all of a stream's answers are on disk, and reads them.

    Args:
        stream: A trained stream.
        config: Where the videos are, and how many samples each gives; how samples are made is the stream's own affair.
        examples: The videos.
        progress: Show a bar if it takes long.

    Raises:
        DataError: Videos that cannot be used, counted.
    """
    files, failed = _answer(stream, config, examples, progress)
    if failed:
        raise DataError(
            f"{config.data_dir}: {len(failed)} of {len(examples)} videos cannot be used; first: "
            f"{next(iter(failed.values()))}"
        )
    return _read([files[example.path] for example in examples], config.samples_per_video)


def compute_usable(
    streams: Sequence[Stream], config: Config, examples: Sequence[Example], *, progress: bool = True
) -> Usable:
    """As `compute`, for the videos that every one of the streams can use; the others are named with their reasons.

    Raises:
        DataError: Not one video can be used.
    """
    files, failed = {}, {}
    for stream in streams:
        kept = [example for example in examples if example.path not in failed]
        if kept:
            files[stream.kind], more = _answer(stream, config, kept, progress)
            failed |= more
    kept = [example for example in examples if example.path not in failed]
    if not kept:
        reason = next(iter(failed.values()))
        raise DataError(f"{config.data_dir}: none of {len(failed)} videos can be used; first: {reason}")
    stored = {
        kind: _read([found[example.path] for example in kept], config.samples_per_video)
        for kind, found in files.items()
    }
    return Usable(kept, stored, [{"path": str(e.path), "reason": failed[e.path]} for e in examples if e.path in failed])


def compute_both(config: Config, examples: Sequence[Example], *, progress: bool = True) -> dict[str, Stored]:
    """`compute` for both streams of a fusion's configuration: `{"spatial": ..., "motion": ...}`."""
    return {s.kind: compute(s, config, examples, progress=progress) for s in both_streams(config)}


def feature_size(config: Config) -> int:
    """Features of one step of the fusion: both streams' side by side."""
    return sum(with_features(stream.model).output_shape[0][-1] for stream in both_streams(config))


def config_of(stream: Stream, config: Config) -> Config:
    """How a stream's samples are made: as its run did, for a file as `config` says; data and cache are `config`'s."""
    return dataclasses.replace(
        stream.config or config,
        stream=stream.kind,
        image_size=stream.image_size,
        stack_length=stream.stack_length if stream.kind == "motion" else config.stack_length,
        samples_per_video=config.samples_per_video,
        data_dir=config.data_dir,
        cache_dir=config.cache_dir,
    )


def both_streams(config: Config) -> tuple[Stream, Stream]:
    """The streams of a fusion's configuration."""
    return _open(config.spatial, "spatial"), _open(config.motion, "motion")


def _open(path: str, kind: str) -> Stream:
    model = Path(path) / "best.keras" if Path(path).is_dir() else Path(path)
    return _opened(path, kind, model.stat().st_mtime_ns if model.exists() else 0)


@functools.lru_cache(maxsize=2)
def _opened(path: str, kind: str, changed_ns: int) -> Stream:
    """Each part of a data set asks for both streams anew; opening them takes seconds."""
    return load_stream(path, kind)


def _answer(stream, config, examples, progress: bool) -> tuple[dict[Path, Path], dict[Path, str]]:
    """Writes what is not on disk; returns the file of each video by its path, and the reasons of those without one."""
    config = config_of(stream, config)
    opened = sampling.open_pictures(config, examples)
    folder = _folder(stream, config, opened.root)
    files = {path: folder / _file_name(pictures.folders) for path, pictures in opened.pictures.items()}
    failed = dict(opened.failed)
    missing = [example for example in examples if example.path in files and not files[example.path].exists()]
    if not missing:
        return files, failed
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    run = tf.function(with_features(stream.model), reduce_retracing=True)
    ask = functools.partial(_answers, run, config, opened)
    answers = tqdm(
        answers_of(missing, ask, lambda example: example.path),
        total=len(missing),
        desc=f"{stream.kind} features",
        unit="video",
        delay=_SECONDS_BEFORE_BAR,
        disable=not progress,
    )
    for example, answer in answers:
        if isinstance(answer, TfavError):
            failed[example.path] = str(answer)
            continue
        found, probabilities = answer
        with partial_file(files[example.path]) as partial, partial.open("wb") as file:
            np.savez(file, features=found.astype(np.float16), probabilities=probabilities)
    return files, failed


def _answers(run, config, opened, examples) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features `[n, D]` and probabilities `[n, K]` of each video in turn."""
    labels = sorted({example.label for example in examples})
    counts = [
        len(sampling.sample_starts(opened.pictures[example.path].num_starts, config.samples_per_video))
        for example in examples
    ]
    columns = sampling.columns_of(config, examples, labels, opened=opened)
    batches = pipeline.for_evaluation(columns, sampling.reader(config, len(labels)), batch_size=config.batch_size)
    waiting = [np.zeros((0, 0)), np.zeros((0, 0))]
    for batch, _ in _named(batches):
        new = [output.numpy() for output in run(batch, training=False)]
        waiting = [np.concatenate([old, more]) if len(old) else more for old, more in zip(waiting, new, strict=True)]
        while counts and len(waiting[0]) >= counts[0]:
            count = counts.pop(0)
            yield waiting[0][:count], waiting[1][:count]
            waiting = [array[count:] for array in waiting]


def _named(batches) -> Iterator[tuple]:
    with pipeline.naming_bad_pictures():
        yield from batches


def _read(files: Sequence[Path], num_samples: int) -> Stored:
    all_features, all_probabilities = [], []
    for file in files:
        try:
            stored = read_npz(file, ("features", "probabilities"))
        except ArraysError as error:
            raise DataError(f"{file}: damaged. Remove it: what was in it is computed again.") from error
        found = stored["features"].astype(np.float32)
        all_features.append(found[np.minimum(np.arange(num_samples), len(found) - 1)])
        all_probabilities.append(stored["probabilities"].mean(axis=0))
    return Stored(np.stack(all_features), np.stack(all_probabilities))


def _file_name(folders: FlowFolders) -> str:
    states = [file_state(folder) for folder in folders]
    return f"{keyed_path(Path(), short_name(folders.frames.name), *states).name}.npz"


def _folder(stream: Stream, config: Config, root: Path) -> Path:
    settings = (_FORMAT, root, stream.kind, config.image_size, config.samples_per_video)
    return keyed_path(config.cache_path(), "features", *settings, weights=stream.model.get_weights())


def check_streams(config: Config, labels: list[str]) -> None:
    """Refuses streams that are not there, differ in their classes, or know others than these.

    Raises:
        UsageError: Naming what is missing or differs.
        DataError: A class that the streams do not know.
    """
    for kind in ("spatial", "motion"):
        if not getattr(config, kind):
            raise UsageError(f"the fusion needs both streams. Give --{kind} a run folder or a .h5 file.")
    agreed = agree_on_labels(load_stream(config.spatial, "spatial"), load_stream(config.motion, "motion"))
    check_known_classes(config.data_dir, labels, agreed)
    if agreed != labels:
        raise UsageError(
            f"{config.data_dir}: holds {len(labels)} of the {len(agreed)} classes the streams know, all needed here."
        )


def choose_run_weight(config: Config, examples: Sequence[Example], labels: list[str]) -> dict:
    """What `fusion.json` holds: the weight of the spatial stream that is best on these examples, and their number."""
    stored = compute_both(config, examples)
    truth = np.array([labels.index(example.label) for example in examples])
    weight = choose_weight(truth, stored["spatial"].probabilities, stored["motion"].probabilities)
    return {"spatial_weight": weight, "chosen_on": len(examples)}


def stored_weight(run_dir: Path) -> float:
    """The weight of the spatial stream, 0-1."""
    return json.loads((run_dir / FUSION_FILE).read_bytes())["spatial_weight"]
