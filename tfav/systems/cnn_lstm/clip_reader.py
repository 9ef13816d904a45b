"""One file as a clip: the chosen frames, in each of the views the model looks at, and the mask of real frames."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import joblib
import numpy as np

from tfav.errors import MediaError, TfavError
from tfav.io import images
from tfav.io.frame_folders import inspect_frames
from tfav.io.isolate_errors import failure_of
from tfav.io.sampling import Span, indices_evenly, median_interval_sec
from tfav.io.video import frame_chooser, iter_frames, select_frames
from tfav.systems.cnn_lstm import motion_images
from tfav.systems.cnn_lstm.config import Config


class Clip(NamedTuple):
    """`pixels` `[V, T, S, S, 3]` uint8 RGB, one for each of the config's views; `mask` `[T]` bool, true where real.

    `warnings`: what a person should know, one line each.
    """

    pixels: np.ndarray
    mask: np.ndarray
    warnings: tuple[str, ...] = ()

    def shuffled(self, rng: np.random.Generator) -> "Clip":
        """The same frames in random order; padding stays at the end."""
        order = np.arange(len(self.mask))
        real = np.flatnonzero(self.mask)
        order[real] = rng.permutation(real)
        return self._replace(pixels=self.pixels[:, order])


_TICK_SEC = 1e-6  # times are equal below this


def read_clip(path: Path | str, config: Config, span: Span = None) -> Clip:
    """Reads the clip of a video file, or of a stretch of it, or of a folder of frames.

    Raises:
        MediaError: It cannot be read.
        DataError: The frame folder is incomplete.
    """
    path, limit, size = Path(path), _most_frames(config), _size_of(config)
    video, warnings = _read_folder(path, limit, size) if path.is_dir() else _read_video(path, limit, size, span)
    return make_clip(video, config, warnings)


def _most_frames(config: Config) -> int:
    """The frames alone need no others; pictures of change need what comes before and after."""
    return config.num_frames if config.views == ("frame",) else motion_images.MAX_FRAMES


def _size_of(config: Config) -> int | None:
    """Of frames as they are read: pixels are brought to the model's size in one step, as in training."""
    return None if config.cache_features else config.image_size


def make_clip(video: motion_images.Video, config: Config, warnings: Sequence[str] = ()) -> Clip:
    """The clip of a video's frames, be they all of a file or those of a window of it."""
    indices = indices_evenly(len(video.frames), config.num_frames)
    pixels = motion_images.compute(video, indices, config.views, config.image_size)
    missing = config.num_frames - len(indices)
    mask = np.arange(config.num_frames) < len(indices)
    return Clip(np.pad(pixels, [(0, 0), (0, missing), (0, 0), (0, 0), (0, 0)]), mask, tuple(warnings))


@dataclasses.dataclass
class Pass:
    """What one pass over a long video has found so far: how long it is, and what is wrong with it."""

    duration_sec: float = 0.0
    warnings: list[str] = dataclasses.field(default_factory=list)


def iter_windows(path: Path | str, config: Config, every_sec: float, window_sec: float, found: Pass) -> Iterator[Clip]:
    """The clip of each window of a long video, as `read_clip` gives it of that stretch, in one pass over the file.

    Only the frames of one window are held. A last window that the video ends in counts if half of it is there.

    Args:
        path: A video file.
        config: What clips the model takes.
        every_sec: Time from one window's beginning to the next one's.
        window_sec: Length of a window.
        found: Is told how long the video is, and of damage behind frames that can be read.

    Raises:
        MediaError: It cannot be read.
    """
    kept: collections.deque[tuple[float, np.ndarray]] = collections.deque()
    number, last = 0, None

    def window() -> Clip:
        held = list(kept) or [last]  # a frame that stands still for longer than a window
        return window_clip([frame for _, frame in held], [time_sec for time_sec, _ in held], config)

    for time_sec, frame in _frames_of(path, found):
        while time_sec >= number * every_sec + window_sec - _TICK_SEC:
            yield window()
            number += 1
            while kept and kept[0][0] < number * every_sec - _TICK_SEC:
                kept.popleft()
        last = time_sec, kept_of(frame, config)
        if time_sec >= number * every_sec - _TICK_SEC:
            kept.append(last)
    if number == 0 or found.duration_sec - number * every_sec >= window_sec / 2:
        yield window()


def window_clip(frames: Sequence[np.ndarray], times_sec: Sequence[float], config: Config) -> Clip:
    """The clip of a window, of its frames as `kept_of` gives them and the times they start at."""
    chosen = indices_evenly(len(frames), _most_frames(config))
    video = motion_images.Video(
        np.stack([frames[index] for index in chosen]), median_interval_sec([times_sec[index] for index in chosen])
    )
    return make_clip(video, config)


def kept_of(frame: np.ndarray, config: Config) -> np.ndarray:
    """What a clip needs of a frame `[H, W, 3]` uint8."""
    return reduced(frame, _size_of(config))


def iter_grid(path: Path | str, config: Config, step_sec: float, found: Pass) -> Iterator[np.ndarray]:
    """The frame on screen at each step of a long video, `[S, S, 3]` uint8; arguments as in `iter_windows`."""
    size, number = _size_of(config), 0
    for time_sec, frame in _frames_of(path, found):
        while time_sec >= number * step_sec - _TICK_SEC:
            yield motion_images.frame(motion_images.Video(reduced(frame, size)[None]), 0, config.image_size)
            number += 1


def _frames_of(path, found: Pass) -> Iterator[tuple[float, np.ndarray]]:
    before_sec = -0.04
    try:
        for _, time_sec, frame in iter_frames(path):
            found.duration_sec, before_sec = 2 * time_sec - before_sec, time_sec
            yield time_sec, frame
    except MediaError as error:
        if not found.duration_sec:
            raise
        found.warnings.append(f"{error} The timeline is of what can be read.")


def read_clips(
    paths: Sequence[Path | str], config: Config, spans: Sequence[Span] | None = None
) -> Iterator[Clip | TfavError]:
    """Reads many clips ahead in threads; in order. A file that cannot be read gives its error instead."""
    spans = spans or [None] * len(paths)
    # Decoding and OpenCV release the interpreter, so threads do, and nothing need be copied between processes.
    parallel = joblib.Parallel(n_jobs=2, backend="threading", return_as="generator", pre_dispatch=4)
    return parallel(joblib.delayed(_read_or_error)(path, config, span) for path, span in zip(paths, spans, strict=True))


def _read_or_error(path, config: Config, span: Span) -> Clip | TfavError:
    try:
        return read_clip(path, config, span)
    except Exception as error:
        return failure_of(path, error)


def _read_video(path: Path, limit: int, size: int | None, span: Span) -> tuple[motion_images.Video, list[str]]:
    kept: dict[int, np.ndarray] = {}

    def keep(index: int, frame: np.ndarray) -> None:
        kept[index] = reduced(frame, size)  # at once, so that a long film in 4K does not fill the memory

    selection = select_frames(path, frame_chooser(num_frames=limit), keep, threads=1, span=span)
    frames = np.stack([kept[index] for index in selection.indices.tolist()])
    return motion_images.Video(frames, median_interval_sec(selection.times_sec)), []


def _read_folder(folder: Path, limit: int, size: int | None) -> tuple[motion_images.Video, list[str]]:
    found = inspect_frames(folder)
    frames: list[np.ndarray] = []
    for index in indices_evenly(len(found.paths), limit):
        frame = reduced(images.read_picture(found.paths[index]), size)
        if frames and frame.shape != frames[0].shape:  # motion is seen in frames of one size only
            frame = images.resize(frame, *frames[0].shape[:2])
        frames.append(frame)
    sizes = found.describe_sizes()
    return motion_images.Video(np.stack(frames)), [f"{folder}: {sizes}; each is resized by itself."] if sizes else []


def reduced(frame: np.ndarray, size: int | None) -> np.ndarray:
    """A frame `[H, W, 3]` as clips are made of it: of the model's `size`, or None, at most as high as views need."""
    if size is not None:
        return images.resize(frame, size, size)
    scale = motion_images.HEIGHT / frame.shape[0]
    if scale >= 1:
        return frame
    if round(frame.shape[1] * scale) < 1:  # OpenCV makes no picture without a column
        return images.resize(frame, motion_images.HEIGHT, 1)
    return cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
