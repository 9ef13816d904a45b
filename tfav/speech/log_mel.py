"""What a clip sounds like in each frame: for training, where telling it from the lips is one more thing to learn.

Words share sounds: `s`, `six`, `set` and `please` have one of them in common, which labels of words never say.
"""

import tensorflow as tf

from tfav.speech.mouth_crops import SAMPLE_RATE, SAMPLES_PER_FRAME

BANDS = 20
STEPS = 4  # spectra in a frame of a video, 10 ms apart
SIZE = STEPS * BANDS
_WINDOW, _FFT = 400, 512  # samples: 25 ms
_HERTZ = (60.0, 7600.0)
_FLOOR = 0.01  # of the mean energy; what is softer counts as silence


def describe_sound(samples: tf.Tensor, num_frames: int) -> tf.Tensor:
    """Logarithms of mel spectra, each band with zero mean and unit deviation over the clip.

    Args:
        samples: `[S]` int16 at 16 kHz from the first frame on; empty where a clip has no sound.
        num_frames: Of the clip in the model.

    Returns:
        `[num_frames, SIZE]` float32; NaN in frames that the sound does not cover in full.
    """
    known = tf.minimum(tf.size(samples) // SAMPLES_PER_FRAME, num_frames)
    samples = tf.cast(samples[: known * SAMPLES_PER_FRAME], tf.float32) / 32768
    samples = tf.pad(samples, [[0, (num_frames - known) * SAMPLES_PER_FRAME + _WINDOW]])
    spectra = tf.abs(tf.signal.stft(samples, _WINDOW, SAMPLES_PER_FRAME // STEPS, _FFT)) ** 2
    mel = tf.signal.linear_to_mel_weight_matrix(BANDS, _FFT // 2 + 1, SAMPLE_RATE, *_HERTZ)
    energies = (spectra @ mel)[: num_frames * STEPS]
    real = energies[: known * STEPS]
    mean = tf.math.divide_no_nan(tf.reduce_sum(real, axis=0), tf.cast(known * STEPS, tf.float32))
    logs = tf.math.log(energies + _FLOOR * mean + 1e-9)
    center, variance = tf.nn.moments(logs[: known * STEPS], axes=[0])
    values = tf.reshape((logs - center) * tf.math.rsqrt(variance + 1e-3), [num_frames, SIZE])
    return tf.where(tf.range(num_frames)[:, None] < known, values, float("nan"))
