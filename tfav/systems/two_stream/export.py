"""A run's network for use without tfav: pictures in, class probabilities out."""

from pathlib import Path

import tensorflow as tf

from tfav.systems.two_stream.config import SYSTEM, Config
from tfav.systems.two_stream.stream import load_stream, with_features
from tfav.training import checkpoints
from tfav.training.export_spec import Exported, made_pictures, portable, resized
from tfav.training.run_folder import open_run

_NUM_EXAMPLES = 3
_INPUTS = {"spatial": "frames", "motion": "flow"}


def export(run_dir: Path | str) -> Exported:
    """The run's best model from pictures on.

    Returns:
        Of a stream: `frames` `[B, H, W, 3]` uint8 RGB, or `flow` `[B, H, W, 2 L]` uint8 (all of u before all of v), to
        `class` `[B, num_classes]` float32 probabilities of that one sample. Of the fusion: both, with an axis of
        `samples_per_video` after the first, to the probabilities of the video.

    Raises:
        UsageError: Not a run of this system, or a fusion whose streams cannot be opened.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    metadata = {"labels": run.metadata["labels"]}
    if config.stream == "fusion":
        return _fusion(run.dir, config, metadata)
    model = portable(load_stream(run.dir, config.stream).model)
    name, size = _INPUTS[config.stream], model.input_shape[1:3]

    def serve(**pictures):
        return {"class": model(resized(pictures[name], size) / 255.0, training=False)}

    shape = (1, *model.input_shape[1:])
    return Exported(
        serve,
        {name: tf.TensorSpec([None, None, None, shape[-1]], tf.uint8, name=name)},
        [{name: made_pictures(seed, shape)} for seed in range(_NUM_EXAMPLES)],
        _left(name, f"a video's answer is the mean over its samples ({config.samples_per_video} in training's scores)"),
        metadata,
    )


def _fusion(run_dir: Path, config: Config, metadata: dict) -> Exported:
    models = {kind: portable(load_stream(getattr(config, kind), kind).model) for kind in _INPUTS}
    streams = {kind: with_features(model) for kind, model in models.items()}
    recurrent = portable(checkpoints.read_model(run_dir / "best.keras"))
    num_samples = config.samples_per_video

    def serve(frames, flow):
        parts = []
        for kind, pictures in (("spatial", frames), ("motion", flow)):
            shape = models[kind].input_shape[1:]
            flat = tf.reshape(resized(pictures, shape[:2]), [-1, *shape]) / 255.0
            features = streams[kind](flat, training=False)[0]
            parts.append(tf.reshape(features, [-1, num_samples, features.shape[-1]]))
        return {"class": recurrent(tf.concat(parts, axis=-1), training=False)}

    shapes = {_INPUTS[kind]: (1, num_samples, *model.input_shape[1:]) for kind, model in models.items()}
    return Exported(
        serve,
        {
            name: tf.TensorSpec([None, num_samples, None, None, shape[-1]], tf.uint8, name=name)
            for name, shape in shapes.items()
        },
        [{name: made_pictures(seed, shape) for name, shape in shapes.items()} for seed in range(_NUM_EXAMPLES)],
        _left("flow", f"the fusion takes {num_samples} samples, evenly over the video"),
        metadata,
    )


def _left(name: str, samples: str) -> str:
    flow = "" if name == "frames" else " and its optical flow, which OpenCV computes"
    return f"Inside: resizing, scaling to 0-1, normalisation. Left to the caller: decoding the video{flow}; {samples}."
