"""Features of a frozen backbone, computed once per frame and kept on disk.

A file holds `[O, T, D]` float16: the `T` frames of one video as filmed and, where clips are to be mirrored in training,
mirrored as well (`O` is 2 then, else 1). Its folder is
named by a hash of all that decides the numbers (backbone, weights, preprocessing), its name by the video, so nothing
is ever taken for what it is not, and another run with the same backbone finds it done.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfav.errors import DataError, TfavError
from tfav.io.atomic_write import partial_file, remove_partials
from tfav.io.cache import keyed_path
from tfav.io.isolate_errors import failure_of
from tfav.io.listing import file_state
from tfav.io.output_names import short_name
from tfav.systems.cnn_lstm import clip_reader, motion_images
from tfav.systems.cnn_lstm.config import Config
from tfav.systems.cnn_lstm.model import cached_backbone, feature_size

_SECONDS_BEFORE_BAR = 2.0


def compute(paths: Sequence[Path], config: Config, spans: Sequence[clip_reader.Span] | None = None) -> list[Path]:
    """Makes sure that the features of all videos are on disk.

    Args:
        paths: Video files or frame folders.
        spans: Of each path the stretch of the video that is meant; None: all are whole.
        config: Names backbone, weights and preprocessing.

    Returns:
        The feature file of each path.

    Raises:
        DataError: Videos that cannot be read, counted, the first with its reason. What could be computed is kept.
    """
    motion_images.check(config.views)
    backbone = cached_backbone(config)
    folder = _folder(config, backbone)
    sources = list(zip(paths, spans or [None] * len(paths), strict=True))
    files = [folder / f"{_video_key(*source)}.f16" for source in sources]
    frame_bytes = np.dtype(np.float16).itemsize * orientations(config) * feature_size(config)
    missing = [(*source, file) for source, file in zip(sources, files, strict=True) if not _is_whole(file, frame_bytes)]
    if not missing:
        return files
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    failed: list[TfavError] = []
    told: list[str] = []
    read = clip_reader.read_clips([path for path, *_ in missing], config, [span for _, span, _ in missing])
    bar = tqdm(read, total=len(missing), desc="features", unit="video", delay=_SECONDS_BEFORE_BAR, disable=None)
    for (path, _, file), clip in zip(missing, bar, strict=True):
        if isinstance(clip, TfavError):
            failed.append(clip)
            continue
        told += clip.warnings
        try:
            found = extract(clip, backbone, orientations(config)).astype(np.float16)
        except Exception as error:
            failed.append(failure_of(path, error))
            continue
        with partial_file(file) as partial:
            found.tofile(partial)
    if told:
        warnings.warn(f"{len(told)} of {len(paths)} videos are not as usual; first: {told[0]}", stacklevel=3)
    if failed:
        raise DataError(f"{len(failed)} of {len(paths)} videos cannot be used; first: {failed[0]}")
    return files


def _is_whole(file: Path, frame_bytes: int) -> bool:
    """Whether there are features of one frame or more, none cut off; what is spoilt is computed again."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return False
    return size > 0 and size % frame_bytes == 0


def orientations(config: Config) -> int:
    """2 where clips are also seen mirrored, else 1."""
    return 2 if config.flip else 1


def extract(clip: clip_reader.Clip, backbone: keras.Model, count: int) -> np.ndarray:
    """Features of a clip, `[count, T_real, D]` float32: as filmed and, for 2, mirrored; views side by side in `D`."""
    pixels = clip.pixels[:, clip.mask]
    sides = np.stack([pixels, pixels[:, :, :, ::-1]][:count])
    out = _run(backbone)(tf.constant(sides.reshape(-1, *sides.shape[3:]))).numpy()
    _, num_views, time = sides.shape[:3]
    out = out.reshape(count, num_views, time, -1)
    return out.transpose(0, 2, 1, 3).reshape(count, time, -1)


def reader(config: Config, pca: keras.Model | None = None) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A function, in graph ops, from a feature file to `features` `[O, T, D]`, through `pca`, and `mask` `[T]`."""
    count, time, size = orientations(config), config.num_frames, feature_size(config)

    def read(path):
        values = tf.io.decode_raw(tf.io.read_file(path), tf.float16)
        values = tf.reshape(values, [count, -1, size])
        length = tf.shape(values)[1]
        values = tf.ensure_shape(tf.pad(values, [[0, 0], [0, time - length], [0, 0]]), [count, time, size])
        mask = tf.sequence_mask(length, time, tf.float32)
        if pca is not None:
            values = pca({"features": tf.cast(values, tf.float32), "mask": tf.stack([mask] * count)})
        return {"features": values, "mask": mask}

    return read


def read_file(file: Path, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """All that is kept of one video: `features` `[O, T, D]` float32, padded with zeros, and their `mask` `[O, T]`."""
    values = np.fromfile(file, np.float16).reshape(orientations(config), -1, feature_size(config)).astype(np.float32)
    return pad(values, config)


def pad(values: np.ndarray, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Brings `[B, T_real, D]` to the config's number of frames, and gives the mask `[B, T]` of the real ones."""
    count, length = values.shape[:2]
    mask = np.repeat((np.arange(config.num_frames) < length)[None], count, 0).astype(np.float32)
    return np.pad(values, [(0, 0), (0, config.num_frames - length), (0, 0)]), mask


def augment(config: Config) -> Callable:
    """Picks one orientation per clip: at random with `flip`, else as filmed."""

    def pick(inputs, target, seed):
        which = tf.random.stateless_uniform([], seed, 0, orientations(config), tf.int32)
        return {**inputs, "features": tf.cast(inputs["features"][which], tf.float32)}, target

    return pick


def first_orientation(inputs, target):
    """The batch as filmed: `features` `[B, O, T, D]` to `[B, T, D]` float32."""
    return {**inputs, "features": tf.cast(inputs["features"][:, 0], tf.float32)}, target


@functools.lru_cache(maxsize=4)
def _run(backbone: keras.Model):
    return tf.function(lambda frames: backbone(tf.cast(frames, tf.float32), training=False), reduce_retracing=True)


def _folder(config: Config, backbone: keras.Model) -> Path:
    settings = (config.backbone, config.backbone_alpha, config.image_size, config.num_frames, config.views)
    settings += (config.flip,)
    return keyed_path(config.cache_path(), "features", *settings, weights=backbone.get_weights())


def _video_key(path: Path, span: clip_reader.Span = None) -> str:
    return keyed_path(Path(), short_name(path.stem, added=180), path, *file_state(path), *(span or ())).name
