"""One file as a clip: the chosen frames, in each of the views the model looks at, and the mask of real frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import MediaError, TfavError
from tfav.io.folders import list_frames
from tfav.io.sampling import indices_evenly
from tfav.io.video import read_video
from tfav.systems.cnn_lstm import views
from tfav.systems.cnn_lstm.config import Config


class Clip(NamedTuple):
    """`pixels` `[V, T, S, S, 3]` uint8 RGB, one for each of the config's views; `mask` `[T]` bool, true where real."""

    pixels: np.ndarray
    mask: np.ndarray

    def shuffled(self, rng: np.random.Generator) -> "Clip":
        """The same frames in random order; padding stays at the end."""
        order = np.arange(len(self.mask))
        real = np.flatnonzero(self.mask)
        order[real] = rng.permutation(real)
        return Clip(self.pixels[:, order], self.mask)


def read_clip(path: Path | str, config: Config) -> Clip:
    """Reads the clip of a video file or of a folder of frames.

    Raises:
        MediaError: It cannot be read.
        DataError: The frame folder is incomplete.
    """
    only_frames = config.views == ("frame",)
    frames = _read_folder(Path(path), config, only_frames) if Path(path).is_dir() else None
    if frames is None:
        limit = config.num_frames if only_frames else views.MAX_FRAMES
        frames = read_video(path, num_frames=limit, threads=1).frames
    indices = indices_evenly(len(frames), config.num_frames)
    pixels = views.compute(frames, indices, config.views, config.image_size)
    missing = config.num_frames - len(indices)
    mask = np.arange(config.num_frames) < len(indices)
    return Clip(np.pad(pixels, [(0, 0), (0, missing), (0, 0), (0, 0), (0, 0)]), mask)


def read_clips(paths: Sequence[Path | str], config: Config) -> Iterator[Clip | TfavError]:
    """Reads many clips ahead in threads; in order. A file that cannot be read gives its error instead."""
    # Decoding and OpenCV release the interpreter, so threads do, and what they made need not be copied between
    # processes.
    parallel = joblib.Parallel(n_jobs=2, backend="threading", return_as="generator", pre_dispatch=4)
    return parallel(joblib.delayed(_read_or_error)(path, config) for path in paths)


def _read_or_error(path, config: Config) -> Clip | TfavError:
    try:
        return read_clip(path, config)
    except TfavError as error:
        return error


def _read_folder(folder: Path, config: Config, only_frames: bool) -> np.ndarray:
    files = list_frames(folder)
    if only_frames:
        files = [files[index] for index in indices_evenly(len(files), config.num_frames)]
    images = []
    for file in files:
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)  # imread fails on some non-ASCII paths
        if image is None:
            raise MediaError(file, "not a readable image", "Extract the frames of its folder again.")
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return np.stack(images)
