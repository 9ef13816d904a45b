"""The one window that pictures and sound of a word are cut by: which frames, and with them which samples.

Frame `k` and sample `640 * k` are the same moment (25 frames a second, 16 kHz), in the recording and in the window.
"""

import math

import tensorflow as tf

from tfav.data.grid import FPS
from tfav.errors import UsageError


def samples_per_frame(sample_rate: int) -> int:
    """Samples that belong to one frame.

    Raises:
        UsageError: The rate is no multiple of the frame rate, so that no sample would begin with each frame.
    """
    if sample_rate % FPS:
        raise UsageError(f"sample_rate must be a multiple of {FPS}. Received: sample_rate={sample_rate}")
    return sample_rate // FPS


def first_frame(start_sec: float, end_sec: float, num_frames: int) -> int:
    """First frame of the window centred on a word; negative where it begins before the recording does.

    Args:
        start_sec: Of the word, in the recording.
        end_sec: Likewise.
        num_frames: Length of the window.
    """
    middle = (start_sec + end_sec) / 2 * FPS
    return math.floor(middle - num_frames / 2 + 0.5)


def cut_window(
    frames, samples, first, num_frames: int, num_samples: int, per_frame: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts frames and samples by one window; beyond the recording the last frame stands still and sound is silent.

    Args:
        frames: `[T, H, W, C]`, T 1 or more.
        samples: `[S]`, of the moment at which the first frame begins.
        first: Scalar int32, the window's first frame; any, also outside.
        num_frames: Length in frames.
        num_samples: Length in samples; need not be that of the frames.
        per_frame: Samples of a frame.

    Returns:
        `[num_frames, H, W, C]` and `[num_samples]`, of the same types.
    """
    frames, samples = tf.convert_to_tensor(frames), tf.convert_to_tensor(samples)
    first = tf.cast(first, tf.int32)
    numbers = tf.clip_by_value(first + tf.range(num_frames), 0, tf.shape(frames)[0] - 1)
    count = tf.shape(samples)[0]
    start = first * per_frame
    begin = tf.clip_by_value(start, 0, count)
    end = tf.clip_by_value(start + num_samples, begin, count)
    before = tf.clip_by_value(-start, 0, num_samples)
    after = num_samples - before - (end - begin)
    window = tf.pad(samples[begin:end], [[before, after]])
    return tf.gather(frames, numbers), tf.ensure_shape(window, [num_samples])
