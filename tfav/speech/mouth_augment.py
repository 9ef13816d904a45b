"""Pictures of a mouth as a model takes them: one random crop, flip and gamma for all frames, then standardised."""

from collections.abc import Callable

import tensorflow as tf

from tfav.data import augment


def crop_and_flip(config) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """A function of frames `[T, H, W, 1]` and two seeds `[2]`, for the place of the crop and for the flip.

    Args:
        config: `crop_size`; `crop_jitter`, else the middle is cut out; `flip`, at random.
    """
    cut = augment.random_crop(*config.crop_size) if config.crop_jitter else augment.center_crop(*config.crop_size)
    flip = augment.random_flip() if config.flip else lambda frames, seed: frames
    return lambda frames, crop_seed, flip_seed: flip(cut(frames, crop_seed), flip_seed)


def draw_gamma(strength: float, seed: tf.Tensor) -> tf.Tensor:
    """A gamma whose logarithm is uniform between `-strength` and `strength`, scalar float32."""
    return tf.exp(tf.random.stateless_uniform([], seed, -strength, strength))


def standardize(frames: tf.Tensor) -> tf.Tensor:
    """Zero mean and unit deviation over a clip.

    Args:
        frames: `[T, H, W, 1]` uint8, or float32 in the same range.

    Returns:
        Like `frames`, float32.
    """
    values = tf.cast(frames, tf.float32)
    mean, variance = tf.nn.moments(values, [0, 1, 2, 3])
    return (values - mean) * tf.math.rsqrt(variance + 1.0)  # a picture of one grey must not become noise
