"""A run's model for use without tfav: a mouth's grey pictures in, probabilities of symbols out."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfav.systems.lipnet.augment import to_input
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.inference import load_model, open_run
from tfav.training.export_spec import Exported, made_pictures, portable

_SHARES = (1.0, 0.8, 0.6)  # of an example's frames that are real


def export(run_dir: Path | str) -> Exported:
    """The run's best model from the crops on.

    Returns:
        `mouths` `[B, num_frames, H, W, 1]` uint8 grey and `frame_count` `[B]` int32 to `labels` `[B, num_frames, K]`
        float32, probabilities of each frame, and with a word head `words` `[B, num_frames, 52]`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir)
    model = portable(load_model(run.dir, config))

    def serve(mouths, frame_count):
        height, width = config.crop_height, config.crop_width
        if tuple(mouths.shape[2:4]) != (height, width):
            top, left = (tf.shape(mouths)[2] - height) // 2, (tf.shape(mouths)[3] - width) // 2
            mouths = mouths[:, :, top : top + height, left : left + width]
            mouths = tf.ensure_shape(mouths, [None, config.num_frames, height, width, 1])
        frames = standardized(config, mouths, frame_count)
        answer = model({"frames": frames, "frame_count": frame_count}, training=False)
        return {name: tf.nn.softmax(logits) for name, logits in answer.items()}

    shape = (1, config.num_frames, config.crop_height, config.crop_width, 1)
    counts = [np.array([max(1, round(share * config.num_frames))], np.int32) for share in _SHARES]
    symbols = config.symbols()
    return Exported(
        serve,
        {
            "mouths": tf.TensorSpec([None, config.num_frames, None, None, 1], tf.uint8, name="mouths"),
            "frame_count": tf.TensorSpec([None], tf.int32, name="frame_count"),
        },
        [{"mouths": made_pictures(seed, shape), "frame_count": count} for seed, count in enumerate(counts)],
        "Inside: the crop's middle, standardising over the real frames, softmax. Left to the "
        "caller: finding the mouth (YuNet in OpenCV), and decoding, greedily or by a beam or a grammar.",
        {"symbols": symbols.symbols, "first_symbol": symbols.first, "blank": symbols.blank},
        # On pictures that are no mouths, as these examples, whose probabilities hang on the last digits: of the shipped
        # weights 1.4e-4 in ONNX, and 8e-6 on three clips of GRID.
        amplifies=10.0,
    )


def standardized(config: Config, frames: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """`augmentation.to_input` of a batch.

    Args:
        config: `normalize`.
        frames: `[B, num_frames, H, W, 1]` uint8, of the model's size.
        counts: `[B]` int32, frames that are real.

    Returns:
        Like `frames`, float32.
    """
    if config.normalize == "wrapped":  # its means in uint8 have no batched form
        spec = tf.TensorSpec([config.num_frames, config.crop_height, config.crop_width, 1], tf.float32)
        return tf.map_fn(lambda clip: to_input(config, *clip), (frames, counts), fn_output_signature=spec)
    values = tf.cast(frames, tf.float32)
    real = tf.cast(tf.range(config.num_frames)[None] < counts[:, None], tf.float32)[:, :, None, None, None]
    total = tf.cast(counts, tf.float32)[:, None, None, None, None] * config.crop_height * config.crop_width
    mean = tf.reduce_sum(values * real, axis=[1, 2, 3, 4], keepdims=True) / total
    off = (values - mean) * real
    variance = tf.reduce_sum(off**2, axis=[1, 2, 3, 4], keepdims=True) / total
    return off * tf.math.rsqrt(variance + 1.0)
