"""Moving MNIST: handwritten digits that drift over a black canvas and bounce off its edges, made on the fly.

The rule is the benchmark's: a canvas of 64 x 64 pixels, digits of 28 x 28 that start anywhere on it and move in any
direction by a tenth of their free way (3.6 pixels) a frame. A digit that would leave is put on the edge and turns back.
Positions are cut to whole pixels, and where digits overlap the brighter pixel counts.

Everything is TensorFlow ops, so it runs in the graph, in parallel, and in a tf.data service. Every sequence is drawn
from a seed of its own, so it does not depend on batches, threads or workers.

Reference:
    N. Srivastava et al., "Unsupervised learning of video representations using LSTMs", ICML 2015.
"""

import hashlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfav.data import epoch_order
from tfav.data.pipeline import served
from tfav.errors import UsageError

CANVAS_SIZE = 64  # pixels
DIGIT_SIZE = 28  # pixels
NUM_FRAMES = 20  # of the benchmark: 10 to look at, 10 to predict
STEP = 0.1  # of the free way a frame; the free way is CANVAS_SIZE - DIGIT_SIZE pixels
MAX_DIGITS = 3

_FREE_WAY = CANVAS_SIZE - DIGIT_SIZE


def sequences(
    digits: np.ndarray,
    *,
    count: int | None = None,
    seed: int,
    batch_size: int,
    start: int = 0,
    num_frames: int = NUM_FRAMES,
    num_digits: int = 2,
    dtype: str = "float32",
    new_each_epoch: bool = False,
) -> tf.data.Dataset:
    """Batches of made sequences.

    Args:
        digits: `[N, 28, 28]` uint8 pictures to draw from, bright on black.
        count: Sequences in the data set; None: without end.
        seed: Of everything that is drawn. Sequences of other digits with the same seed move alike: see `seed_of`.
        batch_size: Sequences per batch; the last one may be smaller.
        start: Number of the first sequence; sequence `i` of a seed is always the same.
        num_frames: Frames of a sequence.
        num_digits: Digits on the canvas, 1-3.
        dtype: `"float32"`, 0-1, or `"uint8"`, 0-255.
        new_each_epoch: Every epoch has sequences that no other one has, and always the same for a seed
            (`tfav.data.epoch_order`). Otherwise all passes are alike.

    Returns:
        A data set of `[B, num_frames, 64, 64, 1]` in `dtype`.

    Raises:
        UsageError: Digits of another shape or type, or a number out of range.
    """
    draw, render = drawing(digits, num_frames=num_frames, num_digits=num_digits, dtype=dtype)
    if (count is not None and count < 1) or batch_size < 1 or start < 0:
        raise UsageError(
            "count and batch_size must be 1 or more, start 0 or more. "
            f"Received: count={count}, batch_size={batch_size}, start={start}"
        )
    numbers = tf.data.Dataset.range(start, np.iinfo(np.int64).max if count is None else start + count)
    seeds = numbers.map(lambda number: tf.stack([tf.constant(seed, tf.int64), number]))
    if new_each_epoch:
        # One key for each pass, and in it the same numbers.
        seeds = epoch_order.each_pass(seed, lambda key: numbers.map(lambda number: tf.stack([key[0], number])))
    dataset = seeds.map(draw, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size)
    dataset = dataset.map(render, num_parallel_calls=tf.data.AUTOTUNE)
    if count is not None:  # which a key per pass hides from Keras
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    return served(dataset)


def seed_of(part: str, seed: int) -> int:
    """The seed of a part of the data, far from those of the other parts: what is learnt must not be tested.

    Args:
        part: `test` keeps the seed itself, since published test sets are known by it; any other name has its own.
        seed: Of all parts together.
    """
    if part == "test":
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{part}".encode()).digest()[:8], "big", signed=True)


def drawing(
    digits: np.ndarray, *, num_frames: int = NUM_FRAMES, num_digits: int = 2, dtype: str = "float32"
) -> tuple[Callable, Callable]:
    """The two halves of `sequences`: what is drawn for one sequence, and the frames of a batch of them.

    Args:
        digits: As for `sequences`, and so are the others.

    Returns:
        `draw(seed)`: `seed` `[2]` int64 to `[num_digits, 4]` float64: start across and down as shares of the free way,
        direction in radians, and a share that chooses the digit. `render(drawn)`: `[B, num_digits, 4]` to
        `[B, num_frames, 64, 64, 1]` in `dtype`.

    Raises:
        UsageError: As in `sequences`.
    """
    digits = np.asarray(digits)
    if digits.ndim != 3 or digits.shape[1:] != (DIGIT_SIZE, DIGIT_SIZE) or digits.dtype != np.uint8 or not len(digits):
        raise UsageError(
            f"digits must be [N, {DIGIT_SIZE}, {DIGIT_SIZE}] uint8. Received: {digits.dtype} {digits.shape}"
        )
    if not 1 <= num_digits <= MAX_DIGITS or num_frames < 1:
        raise UsageError(
            f"num_digits must be 1 to {MAX_DIGITS} and num_frames 1 or more. "
            f"Received: num_digits={num_digits}, num_frames={num_frames}"
        )
    if dtype not in ("float32", "uint8"):
        raise UsageError(f"dtype must be float32 or uint8. Received: dtype={dtype}")
    pictures = tf.constant(digits)
    scale = tf.constant([1.0, 1.0, 2 * np.pi, 1.0], tf.float64)

    def draw(seed):
        return tf.random.stateless_uniform([num_digits, 4], seed, dtype=tf.float64) * scale

    def render(drawn):
        chosen = tf.gather(pictures, tf.cast(drawn[..., 3] * len(digits), tf.int32))
        frames = _place(chosen, *_trajectories(drawn, num_frames))
        return frames / 255 if dtype == "float32" else tf.cast(frames, tf.uint8)

    return draw, render


def _trajectories(drawn: tf.Tensor, num_frames: int) -> tuple[tf.Tensor, tf.Tensor]:
    """`[B, D, 4]` to rows and columns of the digits' corners, `[B, T, D]` int32 each, after 1, 2, ... steps."""
    place = drawn[..., :2]
    step = tf.stack([tf.cos(drawn[..., 2]), tf.sin(drawn[..., 2])], axis=-1) * STEP
    places = []
    for _ in range(num_frames):
        place += step
        step = tf.where((place <= 0) | (place >= 1), -step, step)
        place = tf.clip_by_value(place, 0, 1)
        places.append(place)
    corners = tf.cast(_FREE_WAY * tf.stack(places, axis=1), tf.int32)
    return corners[..., 1], corners[..., 0]


def _place(pictures: tf.Tensor, tops: tf.Tensor, lefts: tf.Tensor) -> tf.Tensor:
    """`[B, D, 28, 28]` uint8 at `[B, T, D]` int32 to `[B, T, 64, 64, 1]` float32 0-255.

    A picture is moved by a matrix of ones and zeros on either side: three times as fast as gathering pixels, and exact,
    since each pixel is one number times one plus zeros.
    """
    canvas, digit = tf.range(CANVAS_SIZE), tf.range(DIGIT_SIZE)
    down = tf.cast(canvas[:, None] == tops[..., None, None] + digit, tf.float32)  # [B, T, D, 64, 28]
    across = tf.cast(canvas == lefts[..., None, None] + digit[:, None], tf.float32)  # [B, T, D, 28, 64]
    moved = tf.matmul(tf.matmul(down, tf.cast(pictures, tf.float32)[:, None]), across)
    return tf.reduce_max(moved, axis=2)[..., None]
