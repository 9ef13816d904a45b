"""What a system hands out to be used without tfav: a function of tensors, pictures in and answers out."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfav.layers import BidirectionalGRU

_GRID = 4  # bright and dark places of a made picture, on a side


class Exported(NamedTuple):
    """A trained model from the pixels on.

    Attributes:
        serve: Takes the tensors of `inputs` by name and gives a dict of tensors; TensorFlow operations alone.
        inputs: Name to `tf.TensorSpec`; None in a shape stands for what SavedModel leaves open and other formats fix
            as in `examples`.
        examples: Three, each from name to array with a batch axis of 1.
        inside: What of the preparation is part of `serve`, and what is left to the caller, in a sentence or two.
        metadata: What is needed to read the answers, such as `labels`; JSON-ready.
        amplifies: How many times larger than a format's tolerance the differences may be, for a model that makes more
            of the last digit than others do.
    """

    serve: Callable[..., dict[str, tf.Tensor]]
    inputs: dict[str, tf.TensorSpec]
    examples: list[dict[str, np.ndarray]]
    inside: str
    metadata: dict
    amplifies: float = 1.0


def portable(model: keras.Model) -> keras.Model:
    """The same model with the same weights, as converters of other runtimes take it.

    It computes in float32 throughout: others know bfloat16 badly or not at all, and float16 not on every processor.
    Recurrent layers run as Keras has them, and what layers hold as tensors stands in the graph as numbers.
    """
    stored = keras.saving.serialize_keras_object(model)
    plain = keras.saving.deserialize_keras_object(_without_mixed_policies(stored))
    plain.set_weights(model.get_weights())
    for layer in _all_layers(plain):
        if isinstance(layer, BidirectionalGRU):
            layer.as_keras = True
        if isinstance(layer, keras.layers.Normalization):  # a tensor would become one more input of the model
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    return plain


def resized(frames: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Frames `[..., H, W, C]` uint8 at the model's size, float32, 0-255, rounded; nothing is added where they have it.

    Args:
        frames: Of any size.
        size: Height and width.
    """
    if tuple(frames.shape[-3:-1]) == tuple(size):
        return tf.cast(frames, tf.float32)
    shape = tf.shape(frames)
    flat = tf.reshape(frames, tf.concat([[-1], shape[-3:]], 0))
    flat = tf.clip_by_value(tf.round(tf.image.resize(flat, size, antialias=True)), 0.0, 255.0)
    out = tf.reshape(flat, tf.concat([shape[:-3], size, shape[-1:]], 0))
    return tf.ensure_shape(out, [*frames.shape[:-3], *size, frames.shape[-1]])


def made_pictures(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Soft blots that drift, `[..., T, H, W, C]` uint8: something to look at for any model, wherever its data are.

    Args:
        seed: Same seed, same pictures.
        shape: What is wanted; axes before the last four are pictures of their own.
    """
    rng = np.random.default_rng(seed)
    *before, num_frames, height, width, channels = shape
    clips = []
    for _ in range(int(np.prod(before, dtype=int))):
        grid = rng.uniform(0, 255, (_GRID, _GRID, channels)).astype(np.float32)
        big = tf.image.resize(grid, (height, width), method="bicubic").numpy()
        step = rng.integers(-2, 3, 2)
        frames = [np.roll(big, step * number, axis=(0, 1)) for number in range(num_frames)]
        clips.append(np.stack(frames) + rng.normal(0, 8, (num_frames, height, width, channels)))
    return np.clip(np.rint(np.stack(clips)), 0, 255).astype(np.uint8).reshape(shape)


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _without_mixed_policies(stored):
    if isinstance(stored, dict):
        if stored.get("class_name") == "DTypePolicy" and str(stored["config"]["name"]).startswith("mixed_"):
            return {**stored, "config": {**stored["config"], "name": "float32"}}
        return {key: _without_mixed_policies(value) for key, value in stored.items()}
    if isinstance(stored, list | tuple):
        return type(stored)(_without_mixed_policies(value) for value in stored)
    return stored
