"""What is drawn anew for each training sample: flipping that minds what flow means, and imgaug at three strengths."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tfav.data.augment import from_imgaug, split_seed
from tfav.old_packages import import_imgaug
from tfav.systems.two_stream.config import Config


class Strength(NamedTuple):
    """How strong, and how often, each of imgaug's three steps is; the notebook's numbers.

    Attributes:
        crop_share: Share of samples that are cropped.
        crop: Most that a side loses, as a share; a number, or `(deviation, limit)` of a clipped normal distribution.
        noise_share: Share of samples that are blurred, sharpened and embossed.
        blur: Largest sigma of the Gaussian blur, in pixels.
        sharpen: Largest share of sharpening.
        lightness: Range of the sharpened picture's lightness.
        emboss: Largest share of embossing.
        emboss_strength: Range of its strength.
        add_share: Share of samples whose channels are shifted, each by a draw of its own.
        add: Largest shift, in grey levels.
    """

    crop_share: float
    crop: float | tuple[float, float]
    noise_share: float
    blur: float
    sharpen: float
    lightness: tuple[float, float]
    emboss: float
    emboss_strength: tuple[float, float]
    add_share: float
    add: int


STRENGTHS = {
    "simple": Strength(0.6, 0.1, 0.35, 0.17, 0.07, (0.35, 1), 0.7, (0.1, 0.7), 0.45, 7),
    "medium": Strength(0.9, 0.15, 0.5, 0.25, 0.1, (0.5, 1.25), 1.0, (0.05, 0.1), 0.7, 10),
    "heavy": Strength(0.9, (0.5, 0.6), 0.9, 0.3, 0.15, (0.5, 1.5), 1.0, (0.1, 0.2), 0.9, 12),
}


def build_augmenter(name: str):
    """An imgaug augmenter of one of `STRENGTHS`; its steps come in random order.

    Raises:
        TfavError: imgaug is not there, or broken.
    """
    import_imgaug()  # after this, a plain import works on today's NumPy
    from imgaug import augmenters as iaa
    from imgaug import parameters as iap

    strength = STRENGTHS[name]
    crop = (0.0, strength.crop)
    if isinstance(strength.crop, tuple):
        deviation, limit = strength.crop
        crop = iap.Clip(iap.Normal(0, deviation), 0, limit)
    noise = [
        iaa.GaussianBlur(sigma=(0, strength.blur)),
        iaa.Sharpen(alpha=(0.0, strength.sharpen), lightness=strength.lightness),
        iaa.Emboss(alpha=(0.0, strength.emboss), strength=strength.emboss_strength),
    ]
    steps = [
        iaa.Sometimes(strength.crop_share, iaa.Crop(percent=(crop,) * 4)),
        iaa.Sometimes(strength.noise_share, noise),
        iaa.Sometimes(strength.add_share, iaa.Add((-strength.add, strength.add), per_channel=1)),
    ]
    return iaa.Sequential(steps, random_order=True)


def build(config: Config) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The operation on one sample `[S, S, channels]` uint8 and a seed, with one draw for all of its channels."""
    apply_imgaug = None
    if config.augmentation != "none":
        apply_imgaug = from_imgaug(build_augmenter(config.augmentation))

    def augment(sample, seed):
        if config.flip:
            flip = flip_flow if config.stream == "motion" else flip_picture
            sample = tf.cond(
                tf.random.stateless_uniform([], split_seed(seed, 0)) < 0.5, lambda: flip(sample), lambda: sample
            )
        if apply_imgaug is not None:
            # To imgaug, a clip of one frame, however many channels that has.
            sample = apply_imgaug(sample[None], split_seed(seed, 1))[0]
        return sample

    return augment


def flip_picture(sample: tf.Tensor) -> tf.Tensor:
    """`[H, W, C]`, left for right."""
    return tf.reverse(sample, axis=[1])


def flip_flow(sample: tf.Tensor) -> tf.Tensor:
    """`[H, W, 2 L]` uint8 flow as if the scene had been filmed in a mirror: u also changes its sign, v does not."""
    length = sample.shape[-1] // 2
    flipped = flip_picture(sample)
    u = 254 - tf.minimum(flipped[..., :length], 254)  # 127 is no motion
    return tf.concat([u, flipped[..., length:]], axis=-1)
