"""What a stream says of each sample of each video, kept on disk: its features and its probabilities.

A file `NAME-STAMP.npz` holds `features` `[n, D]` float16 and `probabilities` `[n, K]` float32, of one video's `n`
samples. Its folder is named by a hash of the network's weights and of all that decides the samples, so nothing is taken
for what it is not, and the fusion, however often it is trained, runs no network twice.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfav.data import pipeline
from tfav.data.folders import Example
from tfav.errors import DataError
from tfav.io.arrays import ArraysError, read_npz
from tfav.io.flow_folders import folders_of
from tfav.io.listing import file_state
from tfav.io.partial import partial_file, remove_partials
from tfav.io.result_names import short_name
from tfav.systems.two_stream import samples
from tfav.systems.two_stream.config import Config
from tfav.systems.two_stream.stream import Stream, load_stream, with_features

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


def compute(stream: Stream, config: Config, examples: Sequence[Example], *, progress: bool = True) -> Stored:
    """Makes sure that all of a stream's answers are on disk, and reads them.

    Args:
        stream: A trained stream.
        config: Where the videos are, and how many samples each gives; how samples are made is the stream's own affair.
        examples: The videos.
        progress: Show a bar if it takes long.

    Raises:
        DataError: Videos that cannot be used, counted.
        MediaError: A picture is cut short.
    """
    config = config_of(stream, config)
    root = samples.pictures_root(config, examples)
    folder = config.cache_path() / f"features-{_key(stream, config, root)}"
    files = [folder / _file_name(root, example) for example in examples]
    missing = [(example, file) for example, file in zip(examples, files, strict=True) if not file.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        remove_partials(folder)
        answers = _answers(stream, config, [example for example, _ in missing])
        bar = tqdm(
            answers,
            total=len(missing),
            desc=f"{stream.kind} features",
            unit="video",
            delay=_SECONDS_BEFORE_BAR,
            disable=not progress,
        )
        for (_, file), (found, probabilities) in zip(missing, bar, strict=True):
            with partial_file(file) as partial, partial.open("wb") as opened:
                np.savez(opened, features=found.astype(np.float16), probabilities=probabilities)
    return _read(files, config.samples_per_video)


def compute_both(config: Config, examples: Sequence[Example], *, progress: bool = True) -> dict[str, Stored]:
    """`compute` for both streams of a fusion's configuration: `{"spatial": ..., "motion": ...}`."""
    return {s.kind: compute(s, config, examples, progress=progress) for s in _both(config)}


def feature_size(config: Config) -> int:
    """Features of one step of the fusion: both streams' side by side."""
    return sum(with_features(stream.model).output_shape[0][-1] for stream in _both(config))


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


def _both(config: Config) -> tuple[Stream, Stream]:
    return _open(config.spatial, "spatial"), _open(config.motion, "motion")


def _open(path: str, kind: str) -> Stream:
    model = Path(path) / "best.keras" if Path(path).is_dir() else Path(path)
    return _opened(path, kind, model.stat().st_mtime_ns if model.exists() else 0)


@functools.lru_cache(maxsize=2)
def _opened(path: str, kind: str, changed_ns: int) -> Stream:
    """Each part of a data set asks for both streams anew; opening them takes seconds."""
    return load_stream(path, kind)


def _answers(stream, config, examples) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features `[n, D]` and probabilities `[n, K]` of each video in turn."""
    labels = sorted({example.label for example in examples})
    root = samples.pictures_root(config, examples)
    counts = [
        len(samples.sample_starts(num_starts, config.samples_per_video))
        for num_starts in samples.count_starts(config, root, examples)
    ]
    columns = samples.columns_of(config, examples, labels)
    batches = pipeline.for_evaluation(columns, samples.reader(config, len(labels)), batch_size=config.batch_size)
    run = tf.function(with_features(stream.model), reduce_retracing=True)
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


def _file_name(root: Path, example: Example) -> str:
    states = json.dumps([file_state(folder) for folder in folders_of(root, example.name)])
    return f"{short_name(example.name)}-{hashlib.sha256(states.encode()).hexdigest()[:8]}.npz"


def _key(stream: Stream, config: Config, root: Path) -> str:
    digest = hashlib.sha256()
    digest.update(
        repr((_FORMAT, str(root.resolve()), stream.kind, config.image_size, config.samples_per_video)).encode()
    )
    for weight in stream.model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]
