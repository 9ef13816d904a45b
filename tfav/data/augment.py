"""Clip operations as TensorFlow graph ops: one random draw per clip, the same for all of its frames.

Each function here takes its settings and returns an operation `clip -> clip` on a `[T, H, W, C]` tensor, so that a
chain reads `chain(random_crop(112, 112), random_flip(), color_jitter(0.2))`. Operations keep the dtype: uint8 stays
0-255, float32 stays in the range it came in.

An operation also takes a `seed`, `[2]` int64, and then repeats itself for it. Give it one wherever the global seed is
set: TensorFlow starts the draws of a data set's functions anew with every epoch then, and all epochs would be augmented
    alike.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfav.errors import UsageError

ClipOp = Callable[[tf.Tensor], tf.Tensor]


def chain(*operations: ClipOp) -> ClipOp:
    """One operation that applies the given ones in order."""

    def apply(clip, seed=None):
        for index, operation in enumerate(operations):
            clip = operation(clip, split_seed(seed, index))
        return clip

    return apply


def on_rows(function: Callable, signature) -> Callable:
    """A function of `(inputs, targets, seed)` on batches, out of one on single examples.

    Args:
        function: Takes and gives an example; its seed is another one in each row, split off from 1 on.
        signature: Of what it gives, `tf.TensorSpec`s in the structure of `(inputs, targets)`.
    """

    def apply(inputs, targets, seed):
        numbers = tf.range(tf.shape(tf.nest.flatten(inputs)[0])[0])
        return tf.map_fn(
            lambda row: function(row[0], row[1], split_seed(seed, 1 + row[2])),
            (inputs, targets, numbers),
            fn_output_signature=signature,
        )

    return apply


def resize(height: int, width: int) -> ClipOp:
    """Stretches every frame to `height` x `width` (bilinear, antialiased), whatever the aspect ratio was."""
    return lambda clip, seed=None: _keep_dtype(clip, tf.image.resize(clip, (height, width), antialias=True))


def letterbox(height: int, width: int) -> ClipOp:
    """Fits every frame into `height` x `width` without distortion; the rest is black."""
    return lambda clip, seed=None: _keep_dtype(clip, tf.image.resize_with_pad(clip, height, width, antialias=True))


def center_crop(height: int, width: int) -> ClipOp:
    """Cuts `height` x `width` from the middle.

    Raises:
        tf.errors.InvalidArgumentError: The clip is smaller than the crop.
    """

    def apply(clip, seed=None):
        top, left = _free_space(clip, height, width)
        return _crop(clip, top // 2, left // 2, height, width)

    return apply


def random_crop(height: int, width: int) -> ClipOp:
    """Cuts `height` x `width` at one random place, the same in all frames."""

    def apply(clip, seed=None):
        top, left = _free_space(clip, height, width)
        return _crop(
            clip, _draw_int(top + 1, split_seed(seed, 0)), _draw_int(left + 1, split_seed(seed, 1)), height, width
        )

    return apply


def random_shift(pixels: int) -> ClipOp:
    """Moves the whole picture by up to `pixels` in each direction; what enters at the edge is mirrored."""

    def apply(clip, seed=None):
        height, width = clip.shape[1], clip.shape[2]
        padded = tf.pad(clip, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], "SYMMETRIC")
        return random_crop(height, width)(padded, seed)

    return apply


def random_flip(probability: float = 0.5) -> ClipOp:
    """Mirrors the whole clip left to right with the given probability."""

    def apply(clip, seed=None):
        return tf.cond(_draw(0, 1, seed) < probability, lambda: tf.reverse(clip, axis=[2]), lambda: clip)

    return apply


def color_jitter(brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.0) -> ClipOp:
    """Shifts colours by one draw per clip.

    Args:
        brightness: Largest shift, as a share of the full range.
        contrast: Contrast is multiplied by a factor from `1 - contrast` to `1 + contrast`.
        saturation: Likewise for saturation; needs 3 channels.
        hue: Largest shift of hue, 0-0.5; needs 3 channels.
    """

    def apply(clip, seed=None):
        image = tf.image.convert_image_dtype(clip, tf.float32)
        if saturation:
            image = tf.image.adjust_saturation(image, _draw(1 - saturation, 1 + saturation, split_seed(seed, 0)))
        if hue:
            image = tf.image.adjust_hue(image, _draw(-hue, hue, split_seed(seed, 1)))
        if contrast:
            image = tf.image.adjust_contrast(image, _draw(1 - contrast, 1 + contrast, split_seed(seed, 2)))
        if brightness:
            image += _draw(-brightness, brightness, split_seed(seed, 3))
        return tf.image.convert_image_dtype(tf.clip_by_value(image, 0.0, 1.0), clip.dtype, saturate=True)

    return apply


def mixup(strength: float) -> Callable:
    """Blends each example of a batch with another one, targets likewise (Zhang et al., 2018, mixup, section 2).

    Args:
        strength: Both parameters of the beta distribution the share is drawn from.

    Returns:
        A function of a batch `(inputs, target)` and a seed; masks become the union of both.
    """

    def blend(values, other, share):
        values = tf.cast(values, tf.float32)
        share = tf.reshape(share, [-1] + [1] * (values.shape.rank - 1))
        return share * values + (1 - share) * tf.gather(values, other)

    def apply(inputs, target, seed):
        batch = tf.shape(tf.nest.flatten(target)[0])[0]
        draws = [tf.random.stateless_gamma([batch], split_seed(seed, index), strength) for index in range(2)]
        share = draws[0] / tf.maximum(draws[0] + draws[1], 1e-9)
        share = tf.maximum(share, 1 - share)  # the first stays the greater part, so that no pair is drawn twice
        other = tf.argsort(tf.random.stateless_uniform([batch], split_seed(seed, 2)))
        mixed = {
            name: tf.maximum(value, tf.gather(value, other)) if name == "mask" else blend(value, other, share)
            for name, value in inputs.items()
        }
        return mixed, tf.nest.map_structure(lambda values: blend(values, other, share), target)

    return apply


def from_imgaug(augmenter) -> ClipOp:
    """Applies any imgaug augmenter, with one draw per clip.

    The draw comes from TensorFlow's generator, so a seeded data set repeats itself. imgaug runs in Python: parallel map
    calls wait for one another here, so prefer the operations above where they do the same.

    Args:
        augmenter: An `imgaug.augmenters.Augmenter`; it must keep the frame's size.

    Raises:
        UsageError: The object cannot be made deterministic, so it is no augmenter.
    """
    if not hasattr(augmenter, "to_deterministic"):
        raise UsageError(f"from_imgaug needs an imgaug augmenter. Received: {type(augmenter).__name__}")

    def augment(frames: np.ndarray, seed: int) -> np.ndarray:
        fixed = augmenter.deepcopy()
        fixed.seed_(int(seed))
        fixed = fixed.to_deterministic()
        return np.stack([fixed.augment_image(frame) for frame in frames])

    def apply(clip, seed=None):
        # Through uint8, since that is what imgaug's augmenters are all tested on.
        pixels = tf.image.convert_image_dtype(clip, tf.uint8, saturate=True)
        draw = _draw_int(2**31 - 1, seed)
        out = tf.ensure_shape(tf.numpy_function(augment, [pixels, draw], tf.uint8, stateful=True), clip.shape)
        return tf.image.convert_image_dtype(out, clip.dtype)

    return apply


def pad_time(num_frames: int) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Brings a clip to `num_frames` and says which frames are real.

    Returns:
        An operation that maps `[T, ...]` to `[num_frames, ...]`, padded with zeros at the end or cut, and a
        `[num_frames]` bool mask, true for real frames. A mask, and not the search for zeros, since a real frame may
        well be black.
    """

    def apply(clip, seed=None):
        clip = clip[:num_frames]
        length = tf.shape(clip)[0]
        padding = [[0, num_frames - length]] + [[0, 0]] * (clip.shape.rank - 1)
        padded = tf.ensure_shape(tf.pad(clip, padding), [num_frames, *clip.shape[1:]])
        return padded, tf.sequence_mask(length, num_frames)

    return apply


def _keep_dtype(clip, resized):
    if clip.dtype.is_integer:
        resized = tf.saturate_cast(tf.round(resized), clip.dtype)
    return tf.cast(resized, clip.dtype)


def _free_space(clip, height, width):
    shape = tf.shape(clip)
    top, left = shape[1] - height, shape[2] - width
    message = f"crop of {height} x {width} is larger than the clip"
    with tf.control_dependencies([tf.debugging.assert_non_negative(tf.minimum(top, left), message)]):
        return tf.identity(top), tf.identity(left)


def _crop(clip, top, left, height, width):
    cropped = clip[:, top : top + height, left : left + width]
    return tf.ensure_shape(cropped, [clip.shape[0], height, width, clip.shape[3]])


def _draw_int(limit, seed):
    if seed is None:
        return tf.random.uniform([], 0, limit, tf.int32)
    return tf.random.stateless_uniform([], seed, 0, limit, tf.int32)


def _draw(low, high, seed):
    if seed is None:
        return tf.random.uniform([], low, high)
    return tf.random.stateless_uniform([], seed, low, high)


def split_seed(seed: tf.Tensor | None, index: int) -> tf.Tensor | None:
    """A seed of its own for each of several draws; none where there is none."""
    return None if seed is None else tf.random.fold_in(seed, index)
