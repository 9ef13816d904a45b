"""A trained stream, from a run folder or from a legacy `.h5`, checked for what it is before anything is fed to it."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from tfav.errors import UsageError
from tfav.io.text_files import read_lines
from tfav.keras_private import producer
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
