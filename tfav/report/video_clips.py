"""Sample clips as GIFs inside the page."""

import base64
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.io import images
from tfav.io.encoding import write_gif
from tfav.io.frame_folders import list_frames
from tfav.io.sampling import indices_evenly
from tfav.io.video import read_video

_MAX_FRAMES = 16
_WIDTH = 160
_SECONDS = 2.0


def gif_data_url(path: Path | str) -> str:
    """A small looping GIF of a video file or a frame folder, as a `data:` address.

    Raises:
        TfavError: The file cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        files = list_frames(path, check=False)
        frames = read_pictures([files[i] for i in indices_evenly(len(files), _MAX_FRAMES)])
    else:
        frames = read_video(path, num_frames=_MAX_FRAMES).frames
    small = fit(frames, _WIDTH)
    with tempfile.TemporaryDirectory() as folder:
        file = write_gif(Path(folder) / "clip.gif", small, fps=max(1.0, len(small) / _SECONDS))
        encoded = base64.b64encode(file.read_bytes()).decode()
    return f"data:image/gif;base64,{encoded}"


def fit(frames: np.ndarray, width: int) -> np.ndarray:
    """Frames at the size that a page shows: `width` pixels wide, narrower where they would be over twice as high.

    Args:
        frames: `[T, H, W, 3]` uint8.
        width: In pixels.

    Returns:
        `[T, h, w, 3]` uint8.
    """
    scale = min(width / frames.shape[2], 2 * width / frames.shape[1])
    size = [max(2, round(side * scale)) for side in frames.shape[1:3]]
    return np.stack([images.resize(frame, *size) for frame in frames])


def read_pictures(files: Sequence[Path]) -> np.ndarray:
    """Frames of one folder, `[T, H, W, 3]` uint8 RGB, upright and of the size of the first.

    Raises:
        MediaError: One that cannot be read.
    """
    frames = [images.read_picture(file) for file in files]
    return np.stack([images.resize(frame, *frames[0].shape[:2]) for frame in frames])
