"""What changes at random from epoch to epoch, and how pictures and sound become model input. TensorFlow operations.

A window comes with `margin` frames more at either end, sound likewise, and one draw moves both; a crop, a mirror image
and a gamma are drawn once for all frames.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from tfav.data import augment
from tfav.speech import mouth_augment
from tfav.speech import noise as noises
from tfav.systems.av_words.config import Config

CORRUPTIONS = ("black", "frozen", "blurred")
LRW_MEAN, LRW_DEVIATION = 0.413621, 0.1700239  # of grey 0-1, over LRW's training part
_BLUR_SHARE = 8  # a blurred picture is as sharp as one of an eighth of its width


def augment_window(config: Config, per_frame: int, source: noises.Source | None) -> Callable:
    """A function of `(inputs, label, seed)` for `pipeline.for_training`.

    It takes `frames` `[num_frames + 2 * margin, H, W, 1]` uint8, `samples` `[num_samples + 2 * margin * per_frame]`
    int16 or both, and `own` (see `noise.babble`), and gives `waveform` and `frames`, or the one that there is, as the
    model wants them. Of labels that tell what is said in each frame it takes those of the frames that are left.
    """
    crop_and_flip = mouth_augment.crop_and_flip(config)

    def change_frames(frames, seeds):
        frames = crop_and_flip(frames, seeds[1], seeds[2])
        if config.brightness:
            gamma = mouth_augment.draw_gamma(config.brightness, seeds[3])
            # A table of 256 values: a power of every pixel would cost more than all the rest.
            table = tf.cast(tf.round(255 * (tf.range(256, dtype=tf.float32) / 255) ** gamma), tf.uint8)
            frames = tf.gather(table, tf.cast(frames, tf.int32))
        return pictures_to_input(config, frames)

    def add_noise(waveform, own, seed):
        chance = tf.random.stateless_uniform([], augment.split_seed(seed, 0))
        snr_db = tf.random.stateless_uniform([], augment.split_seed(seed, 1), *config.snr_range)
        noisy = lambda: noises.mix(waveform, source(augment.split_seed(seed, 2), own), snr_db)  # noqa: E731
        return tf.cond(chance < config.noise_clean, lambda: waveform, noisy)

    def apply(inputs, label, seed):
        seeds = [augment.split_seed(seed, number) for number in range(5)]
        first, speed = _draw_move(config, seeds[0])
        places = _frame_places(config, first, speed)
        if isinstance(label, dict):
            label = {**label, "said": tf.gather(label["said"], places)}
        given = {}
        if "samples" in inputs:
            waveform = _take_samples(config, per_frame, inputs["samples"], first, speed)
            waveform = waveform if source is None else add_noise(waveform, inputs["own"], seeds[4])
            given["waveform"] = sound_to_input(config, waveform)
        if "frames" in inputs:
            given["frames"] = change_frames(tf.gather(inputs["frames"], places), seeds)
        return given, label

    return apply


def margin(config: Config) -> int:
    """Frames that a window needs at either end so that it can be shifted and slowed down or sped up."""
    # Two beyond the middle of the pictures, since sound goes on for 1.4 frames after their last.
    return config.shift_frames + math.ceil(config.speed_perturb * (config.num_frames / 2 + 2))


# One straight line for both, from places in the window to places in what is there; the middle stays in the middle.


def _draw_move(config: Config, seed):
    """The frame to begin with, whole or between two, and the speed."""
    offset = tf.random.stateless_uniform([], seed, -config.shift_frames, config.shift_frames + 1, tf.int32)
    first = tf.cast(margin(config) + offset, tf.float32)
    if not config.speed_perturb:
        return first, None
    speed = tf.random.stateless_uniform(
        [], augment.split_seed(seed, 1), 1 - config.speed_perturb, 1 + config.speed_perturb
    )
    return first + (1 - speed) * (config.num_frames - 1) / 2, speed


def _frame_places(config: Config, first, speed):
    steps = tf.range(config.num_frames, dtype=tf.float32)
    return tf.cast(tf.round(first + (steps if speed is None else speed * steps)), tf.int32)


def _take_samples(config: Config, per_frame: int, samples, first, speed):
    if speed is None:
        start = tf.cast(first, tf.int32) * per_frame
        return to_float(samples[start : start + config.num_samples])
    exact = first * per_frame + speed * tf.range(config.num_samples, dtype=tf.float32)
    before = tf.floor(exact)
    left, share = tf.cast(before, tf.int32), exact - before
    samples = to_float(samples)
    return (1 - share) * tf.gather(samples, left) + share * tf.gather(samples, left + 1)


def center(
    config: Config, source: noises.Source | None = None, snr_db: float | None = None, corrupt_video: str | None = None
) -> Callable:
    """The same with nothing random but noise, which repeats itself: a function of `(inputs, label)`.

    It takes `frames` `[num_frames, H, W, 1]` uint8, `samples` `[num_samples]` int16 or both, `own` and `number`, which
    the seed of the noise goes by: a window has the same noise at every ratio.
    """
    cut = augment.center_crop(*config.crop_size)

    def apply(inputs, label):
        given = {}
        if "samples" in inputs:
            waveform = to_float(inputs["samples"])
            if snr_db is not None:
                seed = tf.stack([tf.constant(config.seed, tf.int64), tf.cast(inputs["number"], tf.int64)])
                waveform = noises.mix(waveform, source(seed, inputs["own"]), snr_db)
            given["waveform"] = sound_to_input(config, waveform)
        if "frames" in inputs:
            given["frames"] = pictures_to_input(config, corrupt(cut(inputs["frames"]), corrupt_video))
        return given, label

    return apply


def to_float(samples: tf.Tensor) -> tf.Tensor:
    """Stored samples `[S]` int16 as -1 to 1, float32."""
    return tf.cast(samples, tf.float32) / 32768.0


def sound_to_input(config: Config, waveform: tf.Tensor) -> tf.Tensor:
    """Sound of a window as the model wants it.

    Args:
        config: `num_samples`.
        waveform: `[num_samples]` float32, of any loudness.

    Returns:
        The same with zero mean and unit deviation, 0 where it is silent.
    """
    return tf.ensure_shape(noises.standardise(waveform), [config.num_samples])


def pictures_to_input(config: Config, frames: tf.Tensor) -> tf.Tensor:
    """Pictures of a window as the model wants them.

    Args:
        config: `num_frames`, the size of the crop, `normalize`.
        frames: `[num_frames, H, W, 1]` uint8.

    Returns:
        The same in float32, normalised as `config.normalize` says.
    """
    if config.normalize == "lrw":
        values = (tf.cast(frames, tf.float32) / 255.0 - LRW_MEAN) / LRW_DEVIATION
    else:
        values = mouth_augment.standardize(frames)
    return tf.ensure_shape(values, [config.num_frames, *config.crop_size, 1])


def corrupt(frames: tf.Tensor, kind: str | None) -> tf.Tensor:
    """Pictures as a bad camera gives them.

    Args:
        frames: `[T, H, W, 1]` uint8.
        kind: `black`; `frozen`, the middle frame throughout; `blurred`; None: as they are.
    """
    if kind is None:
        return frames
    if kind == "black":
        return tf.zeros_like(frames)
    if kind == "frozen":
        middle = frames.shape[0] // 2
        return tf.repeat(frames[middle : middle + 1], frames.shape[0], axis=0)
    height, width = frames.shape[1:3]
    small = tf.image.resize(frames, (max(1, height // _BLUR_SHARE), max(1, width // _BLUR_SHARE)), antialias=True)
    blurred = tf.image.resize(small, (height, width), "bicubic")
    return tf.saturate_cast(tf.round(blurred), tf.uint8)
