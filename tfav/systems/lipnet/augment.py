"""What changes at random from epoch to epoch, one draw for all frames of a clip, and how pixels become model input.

All in TensorFlow operations. Time is changed by one row of frame numbers, which frames, frame labels and sound all
follow, so that they stay together.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfav.data import augment
from tfav.speech import mouth_augment
from tfav.speech.grid import SILENCE, UNKNOWN
from tfav.systems.lipnet.config import Config

_SHIFT_FRAMES = 3  # largest shift in time of a clip whose speed is changed


def draw_frames(config: Config, labels: tf.Tensor, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Which frame of a clip stands at each place of the changed one.

    Speed and shift are drawn once, and each frame is left out or doubled with probability
    `config.frame_drop_rate`. At either end the first or last frame stands still. What is spoken is not pushed out of
    the clip; where it is not known when that is, the clip is only ever made faster.

    Args:
        config: `speed_perturb`, `frame_drop_rate`.
        labels: `[T]` int32 frame labels.
        count: Scalar int32, frames that are real.
        seed: `[2]` int64.

    Returns:
        `[count]` int32, never decreasing, 0 to count-1.
    """
    length = tf.cast(count, tf.float32)
    spoken = tf.not_equal(labels[:count], SILENCE)
    places = tf.cast(tf.where(spoken)[:, 0], tf.float32)
    known = tf.reduce_all(tf.not_equal(labels[:count], UNKNOWN))
    silent = tf.equal(tf.size(places), 0)
    first = tf.cond(silent, lambda: length / 2, lambda: tf.reduce_min(places))
    last = tf.cond(silent, lambda: length / 2, lambda: tf.reduce_max(places))
    most, rate = config.speed_perturb, config.frame_drop_rate
    shift = _SHIFT_FRAMES if most else 0
    speed = tf.random.stateless_uniform([], augment.split_seed(seed, 0), 1 - most, 1 + most)
    speed = tf.where(known, speed, tf.maximum(speed, 2 - speed))
    chance = tf.random.stateless_uniform([count], augment.split_seed(seed, 1))
    steps = 1.0 - tf.cast(chance < rate, tf.float32) + tf.cast(chance > 1 - rate, tf.float32)
    shift = tf.random.stateless_uniform([], augment.split_seed(seed, 2), -shift, shift + 1e-6)
    positions = tf.cumsum(speed * steps)
    positions += (length - 1) / 2 - positions[count // 2] + shift
    positions -= tf.maximum(positions[0] - first, 0.0)
    positions += tf.maximum(last - positions[-1], 0.0)
    return tf.cast(tf.clip_by_value(tf.round(positions), 0.0, length - 1), tf.int32)


def augment_clip(config: Config) -> Callable:
    """A function of `(inputs, targets, seed)` for `pipeline.for_training`: all random changes, then `to_input`.

    It takes `frames` `[T, H, W, 1]` uint8 as stored, and gives them as the model wants them.
    """
    crop_and_flip = mouth_augment.crop_and_flip(config)
    in_time = bool(config.speed_perturb or config.frame_drop_rate)

    def apply(inputs, targets, seed):
        frames, count, words = inputs["frames"], inputs["frame_count"], targets["words"]
        frames = crop_and_flip(frames, augment.split_seed(seed, 0), augment.split_seed(seed, 1))
        if in_time:
            chosen = draw_frames(config, words, count, augment.split_seed(seed, 2))
            padding = config.num_frames - count
            frames = tf.pad(tf.gather(frames, chosen), [[0, padding], [0, 0], [0, 0], [0, 0]])
            words = tf.pad(tf.gather(words, chosen), [[0, padding]], constant_values=UNKNOWN)
            words = tf.ensure_shape(words, [config.num_frames])
            if "sound" in targets:
                heard = tf.pad(
                    tf.gather(targets["sound"], chosen), [[0, padding], [0, 0]], constant_values=float("nan")
                )
                targets = {**targets, "sound": tf.ensure_shape(heard, targets["sound"].shape)}
        if config.brightness:
            frames = _apply_gamma(frames, mouth_augment.draw_gamma(config.brightness, augment.split_seed(seed, 3)))
        return {"frames": to_input(config, frames, count), "frame_count": count}, {**targets, "words": words}

    return apply


def _apply_gamma(frames: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:
    """`255 (frames / 255) ** gamma` of uint8, as float32."""
    # Logarithm and exponential go over many pixels at once; a power takes five times as long, a table more, too.
    return tf.exp(gamma * tf.math.log(tf.cast(frames, tf.float32)) + (1 - gamma) * math.log(255))


def center(config: Config) -> Callable:
    """The same without anything random, for evaluation and prediction: a function of `(inputs, targets)`."""
    cut = augment.center_crop(*config.crop_size)

    def apply(inputs, targets):
        frames = to_input(config, cut(inputs["frames"]), inputs["frame_count"])
        return {"frames": frames, "frame_count": inputs["frame_count"]}, targets

    return apply


def to_input(config: Config, frames: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Standardises a clip over its real frames; padding becomes 0.

    Args:
        config: `normalize`.
        frames: `[T, H, W, 1]` uint8, or float32 in the same range, of the model's size.
        count: Scalar int32, frames that are real, from the front.

    Returns:
        `[num_frames, H, W, 1]` float32.
    """
    real = frames[:count]
    if config.normalize == "wrapped":
        # As the notebook has it: mean and difference in uint8, so that what is darker than the mean becomes bright.
        real = tf.cast(tf.round(real), tf.uint8)
        deviation = tf.math.reduce_std(tf.cast(real, tf.float32))
        values = tf.cast(real - tf.reduce_mean(real), tf.float32) / tf.maximum(deviation, 1e-3)
    else:
        values = mouth_augment.standardize(real)
    padded = tf.pad(values, [[0, config.num_frames - count], [0, 0], [0, 0], [0, 0]])
    return tf.ensure_shape(padded, [config.num_frames, *config.crop_size, 1])
