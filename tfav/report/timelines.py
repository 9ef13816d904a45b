"""Optical flow for the eye: direction as colour, speed as strength, with the wheel that says which is which."""

import html
import tempfile
from pathlib import Path

import numpy as np

from tfav.errors import UsageError
from tfav.io.encoding import write_gif
from tfav.io.frame_folders import list_frames
from tfav.io.optical_flow import iter_flow
from tfav.io.video import probe, read_video
from tfav.report.pictures import data_url, png
from tfav.report.video_clips import fit, read_pictures

# Steps of the wheel from each colour to the next: as many as the eye tells apart there.
_SECTORS = (
    (15, (255, 0, 0), (255, 255, 0)),
    (6, (255, 255, 0), (0, 255, 0)),
    (4, (0, 255, 0), (0, 255, 255)),
    (11, (0, 255, 255), (0, 0, 255)),
    (13, (0, 0, 255), (255, 0, 255)),
    (6, (255, 0, 255), (255, 0, 0)),
)
_SHARE_SHOWN = 99  # per cent of the pixels that are not cut off where no largest motion is given
_MAX_FRAMES = 16
_WIDTH = 200
_SECONDS = 3.0


def color_flow(flow: np.ndarray, max_motion: float | None = None) -> np.ndarray:
    """Colours a flow: hue is the direction, white no motion, full strength `max_motion`, darker beyond it.

    Args:
        flow: `[H, W, 2]` float, pixels to the right and down.
        max_motion: In pixels; None: what 99 % of the pixels stay below.

    Returns:
        `[H, W, 3]` uint8 RGB.

    Raises:
        UsageError: Another shape, or a largest motion that is not positive.

    Reference:
        S. Baker et al., "A database and evaluation methodology for optical flow", IJCV 2011 (the wheel).
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise UsageError(f"flow must be [H, W, 2]. Received: shape={flow.shape}")
    speed = np.hypot(flow[..., 0], flow[..., 1])
    if max_motion is None:
        max_motion = max(float(np.percentile(speed, _SHARE_SHOWN)), 1e-3)
    if not max_motion > 0:
        raise UsageError(f"max_motion must be positive, in pixels. Received: {max_motion}")
    strength = (speed / max_motion)[..., None]
    wheel = _wheel()
    place = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2 * (len(wheel) - 1)
    low = np.floor(place).astype(int)
    part = (place - low)[..., None]
    hue = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
    color = np.where(strength <= 1, 1 - strength * (1 - hue), hue * 0.75)
    return np.round(color * 255).astype(np.uint8)


def color_wheel(size: int = 121) -> np.ndarray:
    """The legend: what each direction and speed looks like, `[size, size, 3]` uint8 RGB, white outside the circle."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    flow = np.stack(np.meshgrid(axis, axis), axis=-1)
    inside = np.hypot(flow[..., 0], flow[..., 1]) <= 1
    return np.where(inside[..., None], color_flow(flow, 1.0), np.uint8(255))


def flow_section(video: Path | str, *, method: str = "dis", max_motion: float | None = None) -> str:
    """A piece of a report: the frames of a video beside their coloured flow, moving, and the colour wheel.

    Args:
        video: A video file or a folder of frames; the frames around its middle are shown.
        method: A name of `tfav.io.optical_flow.METHODS`.
        max_motion: As for `color_flow`; None: from all that is shown.

    Returns:
        HTML that stands on its own: pictures are inside it.

    Raises:
        MediaError: The file, or a frame of the folder, cannot be read.
        UsageError: An unknown method, or a video of one frame.
    """
    frames = _middle_frames(Path(video))
    if len(frames) < 2:
        raise UsageError(f"{video}: one frame only, and flow needs two.")
    flows = list(iter_flow(frames, method, workers=0))
    if max_motion is None:
        speeds = np.hypot(*np.moveaxis(np.stack(flows), -1, 0))
        max_motion = max(float(np.percentile(speeds, _SHARE_SHOWN)), 1e-3)
    pairs = [
        np.concatenate([frame, color_flow(flow, max_motion)], axis=1)
        for frame, flow in zip(frames[:-1], flows, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        clip = write_gif(Path(folder) / "flow.gif", pairs, fps=max(1.0, len(pairs) / _SECONDS)).read_bytes()
    name = html.escape(Path(video).name)
    return (
        f'<figure><img src="{data_url(clip, "gif")}" alt="frames and optical flow of {name}"> '
        f'<img src="{data_url(png(color_wheel()), "png")}" alt="colour wheel">'
        f"<figcaption>{name}: each frame, and its motion to the next ({html.escape(method)}). The wheel's middle is no "
        f"motion, its rim {max_motion:.1f} pixels a frame, in the direction seen from the middle.</figcaption></figure>"
    )


def _wheel() -> np.ndarray:
    """`[55, 3]` float RGB 0-1, once around."""
    parts = [
        np.linspace(start, end, steps, endpoint=False, dtype=np.float32)
        for steps, start, end in ((steps, np.array(a), np.array(b)) for steps, a, b in _SECTORS)
    ]
    return np.concatenate(parts) / 255


def _middle_frames(video: Path) -> np.ndarray:
    files = list_frames(video, check=False) if video.is_dir() else None
    num_frames = probe(video).num_frames if files is None else len(files)
    first = max(0, (num_frames - _MAX_FRAMES) // 2)
    middle = np.arange(first, min(num_frames, first + _MAX_FRAMES))
    if files is None:
        frames = read_video(video, middle, strict=False).frames
    else:
        frames = read_pictures([files[index] for index in middle])
    return fit(frames, _WIDTH)
