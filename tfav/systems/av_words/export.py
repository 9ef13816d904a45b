"""A run's model for use without tfav: sound and a mouth's grey pictures in, probabilities of words out."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.systems.av_words import noise
from tfav.systems.av_words.augment import LRW_DEVIATION, LRW_MEAN
from tfav.systems.av_words.inference import open_recognizer
from tfav.training.export_spec import Exported, made_pictures, portable

_NUM_EXAMPLES = 3


def export(run_dir: Path | str) -> Exported:
    """The run's model from the crops and the samples on.

    Returns:
        `mouths` `[B, 29, H, W, 1]` uint8 grey and `samples` `[B, num_samples]` float32, -1 to 1, those of them that the
        run takes, to `both`, `audio` and `video` `[B, num_classes]` float32, probabilities.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    recognizer = open_recognizer(run_dir)
    config, model = recognizer.config, portable(recognizer.model)
    shape = (config.num_frames, config.crop_height, config.crop_width, 1)
    specs = {
        "waveform": tf.TensorSpec([None, config.num_samples], tf.float32, name="samples"),
        "frames": tf.TensorSpec([None, *shape], tf.uint8, name="mouths"),
    }
    specs = {name: spec for name, spec in specs.items() if name in model.input}

    def serve(samples=None, mouths=None):
        inputs = {}
        if "waveform" in specs:
            off = samples - tf.reduce_mean(samples, axis=1, keepdims=True)
            power = tf.reduce_mean(off**2, axis=1, keepdims=True)
            inputs["waveform"] = off / tf.maximum(tf.sqrt(power), noise.SILENCE)
        if "frames" in specs:
            inputs["frames"] = _normalized(tf.cast(mouths, tf.float32), config.normalize)
        logits = model(inputs, training=False)
        steps = {name: value if len(value.shape) == 3 else value[:, None] for name, value in logits.items()}
        return {name: tf.nn.softmax(tf.reduce_mean(value, axis=1)) for name, value in steps.items()}

    examples = []
    for seed in range(_NUM_EXAMPLES):
        noise_like = np.random.default_rng(seed).normal(0, 0.1, (1, config.num_samples)).astype(np.float32)
        given = {"samples": noise_like, "mouths": made_pictures(seed, (1, *shape))}
        examples.append({spec.name: given[spec.name] for spec in specs.values()})
    return Exported(
        serve,
        {spec.name: spec for spec in specs.values()},
        examples,
        "Inside: sound and pictures standardised, the mean over the steps, softmax. Left to the caller: decoding, "
        f"resampling to {config.sample_rate} Hz, finding the mouth (YuNet in OpenCV), the window around the word.",
        {"labels": list(recognizer.words)},
    )


def _normalized(values, how: str):
    if how == "lrw":
        return (values / 255.0 - LRW_MEAN) / LRW_DEVIATION
    mean, variance = tf.nn.moments(values, [1, 2, 3, 4], keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + 1.0)
