"""One file as a clip: the chosen frames, in each of the views the model looks at, and the mask of real frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import MediaError, TfavError
from tfav.io.folders import list_frames
from tfav.io.sampling import indices_evenly, median_interval_sec
from tfav.io.video import frame_chooser, select_frames
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
    # The frames alone need no others; pictures of change need what comes before and after.
    limit = config.num_frames if config.views == ("frame",) else views.MAX_FRAMES
    video = (_read_folder if Path(path).is_dir() else _read_video)(Path(path), limit)
    indices = indices_evenly(len(video.frames), config.num_frames)
    pixels = views.compute(video, indices, config.views, config.image_size)
    missing = config.num_frames - len(indices)
    mask = np.arange(config.num_frames) < len(indices)
    return Clip(np.pad(pixels, [(0, 0), (0, missing), (0, 0), (0, 0), (0, 0)]), mask)


def read_clips(paths: Sequence[Path | str], config: Config) -> Iterator[Clip | TfavError]:
    """Reads many clips ahead in threads; in order. A file that cannot be read gives its error instead."""
    # Decoding and OpenCV release the interpreter, so threads do, and nothing need be copied between processes.
    parallel = joblib.Parallel(n_jobs=2, backend="threading", return_as="generator", pre_dispatch=4)
    return parallel(joblib.delayed(_read_or_error)(path, config) for path in paths)


def _read_or_error(path, config: Config) -> Clip | TfavError:
    try:
        return read_clip(path, config)
    except TfavError as error:
        return error


def _read_video(path: Path, limit: int) -> views.Video:
    kept: dict[int, np.ndarray] = {}

    def keep(index: int, frame: np.ndarray) -> None:
        kept[index] = _reduced(frame)  # at once, so that a long film in 4K does not fill the memory

    selection = select_frames(path, frame_chooser(num_frames=limit), keep, threads=1)
    frames = np.stack([kept[index] for index in selection.indices.tolist()])
    return views.Video(frames, median_interval_sec(selection.times_sec))


def _read_folder(folder: Path, limit: int) -> views.Video:
    files = list_frames(folder)
    images = []
    for index in indices_evenly(len(files), limit):
        image = cv2.imdecode(np.fromfile(files[index], np.uint8), cv2.IMREAD_COLOR)  # imread fails on some paths
        if image is None:
            raise MediaError(files[index], "not a readable image", "Extract the frames of its folder again.")
        images.append(_reduced(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)))
    return views.Video(np.stack(images))


def _reduced(frame: np.ndarray) -> np.ndarray:
    scale = views.HEIGHT / frame.shape[0]
    return frame if scale >= 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
