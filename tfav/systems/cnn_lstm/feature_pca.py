"""Between extractor and head: features and how much they change, projected to a few hundred numbers per frame.

Fitted to the training part once, like the scaling of inputs, and frozen: the head then trains on small tensors, and a
few dozen videos need not teach it which of some thousand features vary together.
"""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from tfav.layers import AbsoluteDifference, PrincipalComponents
from tfav.systems.cnn_lstm import feature_cache
from tfav.systems.cnn_lstm.backbone import feature_size
from tfav.systems.cnn_lstm.config import Config

_CHANGE_STEPS = 3  # of the model's frames: half a second in a clip of four
_WHITEN = 0.5
_MAX_VIDEOS = 256  # to fit to; more say nothing new


def head_size(config: Config) -> int:
    """Numbers per frame that the head takes."""
    return 2 * len(config.views) * config.projection if config.projection else feature_size(config)


def build_front(config: Config) -> keras.Model:
    """`features` `[B, T, D]` and `mask` `[B, T]` to `[B, T, head_size]` float32; zeros where frames are padded."""
    x = values = layers.Input((config.num_frames, feature_size(config)), name="features")
    mask = layers.Input((config.num_frames,), name="mask")
    change = AbsoluteDifference(_CHANGE_STEPS, name="change")(x, mask)
    x = layers.Concatenate(name="with_change")([x, change])
    # Each view and each view's change has components of its own: their scales have nothing to do with one another.
    projection = PrincipalComponents(config.projection, groups=2 * len(config.views), whiten=_WHITEN, name="projection")
    x = projection(x) * ops.expand_dims(mask, -1)
    return keras.Model({"features": values, "mask": mask}, x, name="front")


def fit_front(config: Config, files: Sequence[Path]) -> keras.Model:
    """A front fitted to the features of the training part.

    Args:
        config: Names the number of components.
        files: Feature files of the training part.
    """
    front = build_front(config)
    before = keras.Model(front.inputs, front.get_layer("with_change").output)
    rows = []
    for file in files[:: -(-len(files) // _MAX_VIDEOS)]:
        both, mask = feature_cache.read_file(file, config)
        out = before.predict_on_batch({"features": both, "mask": mask})
        rows.append(out[mask > 0])
    front.get_layer("projection").adapt(np.concatenate(rows))
    front.trainable = False
    return front
