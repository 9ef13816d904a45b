"""A run's model for use without tfav: pixels in, class probabilities out."""

from pathlib import Path

import tensorflow as tf

from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.predict import Networks, class_probabilities, open_networks
from tfav.training.export_spec import Exported, made_pictures, portable, resized
from tfav.training.run_folder import open_run

_NUM_EXAMPLES = 3


def export(run_dir: Path | str) -> Exported:
    """The run's best model from frames on.

    Returns:
        `frames` `[B, N, H, W, 3]` uint8 RGB, from which the model's number is chosen evenly, to `class`
        `[B, num_classes]` float32 probabilities. Of a run on kept features `views` `[B, V, N, H, W, 3]`.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    networks = open_networks(run.dir, config)
    networks = networks._replace(**{name: portable(part) for name, part in networks._asdict().items() if part})
    metadata = {"labels": run.metadata["labels"]}
    if config.cache_features:
        return _from_views(networks, config, metadata)

    def serve(frames):
        frames, mask = _choose(frames, config.num_frames, axis=1)
        clip = tf.cast(resized(frames, (config.image_size,) * 2), tf.uint8)
        return {"class": class_probabilities(networks.model({"clip": clip, "mask": mask}, training=False))}

    shape = (1, config.num_frames, config.image_size, config.image_size, 3)
    return Exported(
        serve,
        {"frames": tf.TensorSpec([None, None, None, None, 3], tf.uint8, name="frames")},
        [{"frames": made_pictures(seed, shape)} for seed in range(_NUM_EXAMPLES)],
        "Inside: choosing frames evenly, resizing, scaling. Left to the caller: decoding the video.",
        metadata,
    )


def _from_views(networks: Networks, config: Config, metadata: dict) -> Exported:
    num_views = len(config.views)

    def serve(views):
        views, mask = _choose(views, config.num_frames, axis=2)
        pixels = resized(views, (config.image_size,) * 2)
        answers = [answer(side, mask) for side in ([pixels, pixels[..., ::-1, :]] if config.flip else [pixels])]
        return {"class": tf.add_n(answers) / len(answers)}

    def answer(pixels, mask):
        size = config.image_size
        flat = networks.backbone(tf.reshape(pixels, [-1, size, size, 3]), training=False)
        features = tf.reshape(flat, [-1, num_views, config.num_frames, flat.shape[-1]])
        features = tf.transpose(features, [0, 2, 1, 3])
        features = tf.reshape(features, [-1, config.num_frames, num_views * flat.shape[-1]]) * mask[..., None]
        inputs = {"features": features, "mask": mask}
        if networks.pca is not None:
            inputs["features"] = networks.pca(inputs, training=False)
        return class_probabilities(networks.model(inputs, training=False))

    shape = (1, num_views, config.num_frames, config.image_size, config.image_size, 3)
    return Exported(
        serve,
        {"views": tf.TensorSpec([None, num_views, None, None, None, 3], tf.uint8, name="views")},
        [{"views": made_pictures(seed, shape)} for seed in range(_NUM_EXAMPLES)],
        f"Inside: choosing frames evenly, resizing, scaling, the backbone, both orientations. Left to the caller: "
        f"decoding the video and drawing its views ({', '.join(config.views)}), which OpenCV does.",
        metadata,
    )


def _choose(frames, num_frames: int, axis: int):
    """`num_frames` frames evenly along an axis as `tfav.io.sampling` does, padded with black, and their mask `[B, T]`.

    Nothing is added to a graph whose frames are as many.
    """
    if frames.shape[axis] == num_frames:
        return frames, tf.ones([tf.shape(frames)[0], num_frames])
    count = tf.shape(frames)[axis]
    kept = tf.minimum(count, num_frames)
    steps = tf.range(kept)
    spans = tf.maximum(kept - 1, 1)
    indices = (2 * steps * (count - 1) + spans) // (2 * spans)
    indices = tf.where(kept > 1, indices, (count - 1) // 2)
    padding = [[0, 0]] * len(frames.shape)
    padding[axis] = [0, num_frames - kept]
    frames = tf.pad(tf.gather(frames, indices, axis=axis), padding)
    mask = tf.repeat(tf.sequence_mask([kept], num_frames, tf.float32), tf.shape(frames)[0], axis=0)
    shape = frames.shape.as_list()
    return tf.ensure_shape(frames, [*shape[:axis], num_frames, *shape[axis + 1 :]]), mask
