"""A run's model for use without tfav: frames in, the frames that follow out."""

from pathlib import Path

import tensorflow as tf

from tfav.systems.next_frame.evaluate import load_model
from tfav.systems.next_frame.rollout import rollout_function
from tfav.systems.next_frame.train import open_run
from tfav.training.export_spec import Exported, made_pictures, portable, resized

_NUM_EXAMPLES = 3


def export(run_dir: Path | str) -> Exported:
    """The run's best model and its rollout.

    Returns:
        `frames` `[B, input_frames, H, W, C]` uint8 to `next_frames` `[B, output_frames, S, S, C]` float32, 0-1.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir)
    roll = rollout_function(portable(load_model(run.dir, config)))
    size = (config.image_size, config.image_size)

    def serve(frames):
        seen = resized(frames, size) / 255.0
        return {"next_frames": tf.clip_by_value(roll(seen, config.output_frames), 0.0, 1.0)}

    shape = (1, config.input_frames, *size, config.channels)
    return Exported(
        serve,
        {"frames": tf.TensorSpec([None, shape[1], None, None, shape[-1]], tf.uint8, name="frames")},
        [{"frames": made_pictures(seed, shape)} for seed in range(_NUM_EXAMPLES)],
        f"Inside: resizing, scaling to 0-1, the rollout of {config.output_frames} frames. Left to the caller: decoding "
        f"the video{', grey values' if config.channels == 1 else ''}.",
        {"input_frames": config.input_frames, "output_frames": config.output_frames},
    )
