"""A trained stream, from a run folder or from a legacy `.h5`, and what it says of samples, kept on disk.

Whatever is opened is checked for what it is before anything is fed to it. A file `NAME-STAMP.npz` holds `features`
`[n, D]` float16 and `probabilities` `[n, K]` float32, of one video's `n` samples. Its folder is named by a hash of the
network's weights and of all that decides the samples, so nothing is taken for what it is not, and the fusion, however
often it is trained, runs no network twice.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tqdm import tqdm

from tfav.data import pipeline
from tfav.data.folders import Example
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import partial_file, remove_partials
from tfav.io.cache import keyed_path
from tfav.io.isolate_errors import answers_of
from tfav.io.listing import file_state
from tfav.io.npz import ArraysError, read_npz
from tfav.io.output_names import short_name
from tfav.io.text_files import read_lines
from tfav.keras_private import producer
from tfav.systems.two_stream import sampling
from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.sampling import ucf101_labels
from tfav.training import checkpoints
from tfav.training.run_folder import open_run
from tfav.weights import load_legacy_model

STACK_LENGTH = 10  # L of the released motion network
_NUM_UCF101 = 101


class Stream(NamedTuple):
    """A trained network of one stream.

    Attributes:
        kind: `spatial` or `motion`.
        model: `[B, S, S, channels]` float32 0-1 to `[B, num_classes]` probabilities.
        source: The file or folder it came from.
        labels: Its class names, None where a `.h5` file does not tell them.
        config: Of its run, None for a `.h5` file.
    """

    kind: str
    model: keras.Model
    source: Path
    labels: list[str] | None
    config: Config | None

    @property
    def image_size(self) -> int:
        """Height and width of its input, in pixels."""
        return self.model.input_shape[1]

    @property
    def stack_length(self) -> int:
        """L: flow pictures of each direction in its input (motion)."""
        return self.model.input_shape[-1] // 2

    @property
    def num_classes(self) -> int:
        """How many classes it tells apart."""
        return self.model.output_shape[-1]

    def build_scorer(self):
        """A compiled function from a batch `[B, S, S, channels]` uint8, 0-255, to `[B, num_classes]` float32."""
        signature = [tf.TensorSpec([None, *self.model.input_shape[1:]], tf.uint8)]

        @functools.partial(tf.function, input_signature=signature)
        def score(pixels):
            return self.model(tf.cast(pixels, tf.float32) / 255.0, training=False)

        return lambda pixels: score(pixels).numpy()


def load_stream(path, kind: str, *, stack_length: int | None = None) -> Stream:
    """Opens a trained stream.

    Args:
        path: A run folder, a legacy Keras `.h5` file with a whole model, or a `.keras` file.
        kind: `spatial` or `motion`: what it is to be used as.
        stack_length: L that a motion network must have; None: what its run says, or 10, the released one's, for a file.

    Raises:
        UsageError: There is nothing there, it is the other stream, or its L is another one.
        WeightsError: The `.h5` file is none (a zip, a web page), truncated, damaged or not to be translated.
        TfavError: The run has no readable model.
    """
    path = Path(path)
    labels, config = None, None
    if path.is_dir():
        run, config = open_run(path, SYSTEM, Config)
        if config.stream != kind:
            raise UsageError(f"{path}: a run of the {config.stream} stream, given as the {kind} one. Swap them.")
        labels = run.metadata["labels"]
        model = checkpoints.read_model(path / "best.keras")
    elif not path.exists():
        raise UsageError(
            f"{path}: no such file. Give --{kind} a run folder, or a .h5 file (tfav fetch two-stream-weights)."
        )
    elif path.suffix == ".keras":
        model = checkpoints.read_model(path)
    else:
        model = load_legacy_model(path)
    if stack_length is None:
        stack_length = config.stack_length if config else STACK_LENGTH
    _check_shape(path, model, kind, stack_length)
    return Stream(kind, model, path, labels, config)


def agree_on_labels(spatial: Stream, motion: Stream, labels: Sequence[str] | None = None) -> list[str]:
    """The class names both streams go by.

    Args:
        spatial: The one stream.
        motion: The other.
        labels: The caller's own; None: those of the runs, or UCF101's where a file has 101 classes, else numbers.

    Raises:
        UsageError: The two have other classes, or the list is not as long as their heads.
    """
    if spatial.num_classes != motion.num_classes:
        raise UsageError(
            f"the streams do not go together: {spatial.source} tells {spatial.num_classes} classes apart, "
            f"{motion.source} {motion.num_classes}."
        )
    if spatial.labels and motion.labels and spatial.labels != motion.labels:
        raise UsageError(
            f"the streams do not go together: {spatial.source} knows {', '.join(spatial.labels[:4])}, ..., "
            f"{motion.source} {', '.join(motion.labels[:4])}, ..."
        )
    chosen = labels or spatial.labels or motion.labels
    if chosen is None:
        chosen = ucf101_labels() if spatial.num_classes == _NUM_UCF101 else range(spatial.num_classes)
    chosen = [str(label) for label in chosen]
    if len(chosen) != spatial.num_classes:
        raise UsageError(
            f"the class list names {len(chosen)} classes, the networks tell {spatial.num_classes} apart. "
            "Give the list they were trained with, one name a line."
        )
    return chosen


def read_labels(path) -> list[str]:
    """Reads a class list: one name a line, or `number name` as in UCF101's `classInd.txt`.

    Raises:
        UsageError: It cannot be read, or is empty.
        DataError: It is no text.
    """
    names = [line for _, line in read_lines(path, "a class list, one name a line")]
    numbered = [name.split(maxsplit=1) for name in names]
    if all(len(parts) == 2 and parts[0].isdecimal() for parts in numbered):
        names = [parts[1] for parts in numbered]
    if not names:
        raise UsageError(f"{path}: an empty class list.")
    return names


def with_features(model: keras.Model) -> keras.Model:
    """The same network with two outputs: what its last `Dense` takes, `[B, D]`, and the probabilities.

    Raises:
        UsageError: Its last layer is no `Dense`.
    """
    last, call = producer(model.output)
    (entering,) = call.input_tensors
    if isinstance(last, keras.Model):  # the released motion network keeps its classifier inside the backbone
        return keras.Model(model.input, with_features(last)(entering))
    if not isinstance(last, layers.Dense):
        raise UsageError(f"{model.name}: ends in {type(last).__name__}, and the fusion needs a Dense classifier there.")
    return keras.Model(model.input, [entering, model.output])


def _check_shape(path: Path, model: keras.Model, kind: str, stack_length: int) -> None:
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    shape = shapes[0]
    if len(shapes) != 1 or len(shape) != 4 or None in shape[1:] or shape[1] != shape[2]:
        raise UsageError(f"{path}: no stream; it must take one square picture of known size. Received: {shapes}")
    if len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise UsageError(f"{path}: no stream; it must give one row of probabilities. Received: {model.output_shape}")
    channels, wanted = shape[-1], 3 if kind == "spatial" else 2 * stack_length
    if channels == wanted:
        return
    if kind == "spatial":
        raise UsageError(
            f"{path}: takes {channels} channels, so it is a motion network, given as the spatial one, which takes 3. "
            "Swap --spatial and --motion."
        )
    if channels == 3:
        raise UsageError(
            f"{path}: takes 3 channels, so it is a spatial network, given as the motion one, which takes {wanted}. "
            "Swap --spatial and --motion."
        )
    hint = f" Give stack_length={channels // 2} if that is meant." if channels % 2 == 0 else ""
    raise UsageError(
        f"{path}: takes {channels} channels, and a stack of L={stack_length} flow pictures has {wanted} "
        f"(L of u, L of v).{hint}"
    )


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
    return _read([files[example.key] for example in examples], config.samples_per_video)


def compute_usable(
    streams: Sequence[Stream], config: Config, examples: Sequence[Example], *, progress: bool = True
) -> Usable:
    """As `compute`, for the videos that every one of the streams can use; the others are named with their reasons.

    Raises:
        DataError: Not one video can be used.
    """
    files, failed = {}, {}
    for stream in streams:
        kept = [example for example in examples if example.key not in failed]
        if kept:
            files[stream.kind], more = _answer(stream, config, kept, progress)
            failed |= more
    kept = [example for example in examples if example.key not in failed]
    if not kept:
        reason = next(iter(failed.values()))
        raise DataError(f"{config.data_dir}: none of {len(failed)} videos can be used; first: {reason}")
    stored = {
        kind: _read([found[example.key] for example in kept], config.samples_per_video) for kind, found in files.items()
    }
    return Usable(kept, stored, [{"path": str(e.path), "reason": failed[e.key]} for e in examples if e.key in failed])


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
    """Writes what is not on disk; returns the file of each video by its key, and the reasons of those without one."""
    config = config_of(stream, config)
    opened = sampling.open_pictures(config, examples)
    folder = _folder(stream, config, opened.root)
    files = {key: folder / _file_name(pictures) for key, pictures in opened.pictures.items()}
    failed = dict(opened.failed)
    missing = [example for example in examples if example.key in files and not files[example.key].exists()]
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
            failed[example.key] = str(answer)
            continue
        found, probabilities = answer
        with partial_file(files[example.key]) as partial, partial.open("wb") as file:
            np.savez(file, features=found.astype(np.float16), probabilities=probabilities)
    return files, failed


def _answers(run, config, opened, examples) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Features `[n, D]` and probabilities `[n, K]` of each video in turn."""
    labels = sorted({example.label for example in examples})
    counts = [
        len(sampling.sample_starts(opened.pictures[example.key].num_starts, config.samples_per_video))
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


def _file_name(pictures: sampling.Pictures) -> str:
    states = map(file_state, pictures.folders)
    return f"{keyed_path(Path(), short_name(pictures.folders.frames.name), *states).name}.npz"


def _folder(stream: Stream, config: Config, root: Path) -> Path:
    settings = (_FORMAT, root, stream.kind, config.image_size, config.samples_per_video)
    return keyed_path(config.cache_path(), "features", *settings, weights=stream.model.get_weights())
