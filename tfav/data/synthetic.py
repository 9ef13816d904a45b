"""Made data with known answers: the default of every demo, and the fixtures of the tests.

`moving_shapes` writes real encoded videos of six actions in three pairs. The two actions of a pair consist of the very
same kind of frames and differ only in the order of time, so a model that ignores time cannot do better than a coin.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tfav.errors import UsageError
from tfav.io.encoding import write_video
from tfav.io.images import resize

MOVING_SHAPES = ("move_left", "move_right", "turn_anticlockwise", "turn_clockwise", "grow", "shrink")

# Outlines in a unit square around (0, 0).
_OUTLINES = {
    "arrow": [(-0.9, -0.35), (0.1, -0.35), (0.1, -0.9), (0.95, 0.0), (0.1, 0.9), (0.1, 0.35), (-0.9, 0.35)],
    "ell": [(-0.7, -0.9), (-0.1, -0.9), (-0.1, 0.3), (0.8, 0.3), (0.8, 0.9), (-0.7, 0.9)],
    "flag": [(-0.8, -0.9), (0.9, -0.5), (-0.5, 0.0), (-0.5, 0.95), (-0.8, 0.95)],
    "drop": [(0.95, 0.0), (0.2, 0.55), (-0.35, 0.65), (-0.8, 0.35), (-0.8, -0.35), (-0.35, -0.65), (0.2, -0.55)],
    "wedge": [(-0.9, -0.8), (0.9, -0.2), (-0.9, 0.4)],
}


class Look(NamedTuple):
    """What the clips of one group have in common, as one recording session would."""

    outline: str
    color: np.ndarray  # [3], 0-255
    background: np.ndarray  # [H, W, 3] float32, 0-255
    noise: float  # standard deviation of the sensor noise, in grey levels


def moving_shapes(
    out_dir: Path | str,
    *,
    num_groups: int = 12,
    clips_per_group: int = 2,
    num_frames: int = 20,
    size: int = 96,
    fps: float = 20.0,
    seed: int = 0,
    progress=None,
) -> Path:
    """Writes `CLASS/v_CLASS_gGG_cCC.mp4`: every class in every group, `6 * num_groups * clips_per_group` videos.

    A group shares shape, colour, background and noise; the clips in it differ in place, speed and phase. Names follow
    UCF101's, so `_g(\\d+)_` finds the group.

    Args:
        out_dir: Written to; files that are there already are kept.
        num_groups: Number of looks.
        clips_per_group: Clips of each class in each group.
        num_frames: Length of a clip in frames.
        size: Width and height in pixels, even.
        fps: Frame rate of the files.
        seed: Same seed, same videos.
        progress: Called with an iterable and `total=`, as `tqdm.tqdm` is.

    Returns:
        `out_dir`.

    Raises:
        UsageError: A size that cannot be encoded or seen.
    """
    if size < 32 or size % 2 or num_frames < 4:
        raise UsageError(
            f"moving shapes need an even size of 32 or more and at least 4 frames. "
            f"Received: size={size}, num_frames={num_frames}"
        )
    out_dir = Path(out_dir)
    jobs = [
        (group, clip, label)
        for group in range(num_groups)
        for clip in range(clips_per_group)
        for label in MOVING_SHAPES
    ]
    for group, clip, label in progress(jobs, total=len(jobs)) if progress else jobs:
        path = out_dir / label / f"v_{label}_g{group:02d}_c{clip:02d}.mp4"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        look = _draw_look(np.random.default_rng([seed, group]), size)
        rng = np.random.default_rng([seed, group, clip, MOVING_SHAPES.index(label)])
        write_video(path, np.stack(list(shape_frames(label, look, rng, num_frames))), fps=fps)
    return out_dir


def shape_frames(label: str, look: Look, rng: np.random.Generator, num_frames: int) -> Iterator[np.ndarray]:
    """Frames of one clip, `[H, W, 3]` uint8 RGB, for one of `MOVING_SHAPES`."""
    size = look.background.shape[0]
    center = size * rng.uniform(0.35, 0.65, 2)
    radius = size * rng.uniform(0.14, 0.22)
    angle = rng.uniform(0, 2 * np.pi)
    # Progress from -1 to 1 over the clip. Running it backwards turns each action into its partner: nothing else
    # differs.
    steps = np.linspace(-1, 1, num_frames)
    if label in ("move_left", "turn_anticlockwise", "shrink"):
        steps = steps[::-1]
    travel = size * rng.uniform(0.18, 0.32)
    # Turning is about a pivot beside the shape, as a hand turns about a shoulder, through up to three quarters of a
    # circle.
    sweep = rng.uniform(1.4, 2.3)  # radians to either side
    arm = size * rng.uniform(0.2, 0.28)
    growth = rng.uniform(1.6, 2.2)
    for step in steps:
        place, turned, scaled = center, angle, radius
        if label.startswith("move"):
            place = center + np.array([travel * step, 0.0])
        elif label.startswith("turn"):
            turned = angle + sweep * step
            place = center + arm * np.array([np.cos(turned), np.sin(turned)])
        else:
            scaled = radius * growth**step
        yield _draw(look, place, turned, scaled, rng)


def _draw_look(rng: np.random.Generator, size: int) -> Look:
    low = rng.uniform(0, 255, (3, 3, 3)).astype(np.float32)
    background = 80 + 0.3 * resize(low, size, size, growing=cv2.INTER_CUBIC)
    color = rng.uniform(0, 255, 3)
    # Push the colour away from the background, or some groups would show nothing.
    while np.abs(color - background.mean(axis=(0, 1))).max() < 110:
        color = rng.uniform(0, 255, 3)
    return Look(str(rng.choice(sorted(_OUTLINES))), color, background, rng.uniform(2, 10))


def _draw(look: Look, center, angle: float, radius: float, rng: np.random.Generator) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.asarray(_OUTLINES[look.outline]) @ turn.T * radius + center
    frame = look.background.copy()
    # 4 fractional bits: without them slow motion would jump from pixel to pixel.
    cv2.fillPoly(frame, [np.round(corners * 16).astype(np.int32)], look.color.tolist(), cv2.LINE_AA, shift=4)
    frame += rng.normal(0, look.noise, (*frame.shape[:2], 1))
    return np.clip(np.round(frame), 0, 255).astype(np.uint8)


def drifting_field(
    num_frames: int,
    height: int = 48,
    width: int = 80,
    channels: int = 2,
    *,
    speed: tuple[float, float] = (0.6, 1.3),
    diffusion: float = 0.05,
    gaps: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """A smooth periodic field that drifts, diffuses and is stirred anew, as weather does: by advection and diffusion.

    Args:
        num_frames: Frames.
        height: Rows.
        width: Columns.
        channels: Channels; each drifts by itself, every second one the other way.
        speed: Rows and columns a frame.
        diffusion: Cells squared a frame; 0: the field moves and never changes, so that advection foresees all of it.
        gaps: Share of the cells that are missing, NaN, in squares of 4 cells at other places in each frame.
        seed: Of the field.

    Returns:
        `[T, H, W, C]` float32, about -3 to 3, NaN where a cell is missing.
    """
    rng = np.random.default_rng(seed)
    rows, columns = 2 * np.pi * np.fft.fftfreq(height)[:, None], 2 * np.pi * np.fft.fftfreq(width)[None]
    square = rows**2 + columns**2
    shape = np.exp(-square / 0.15)  # of what stirs it: about 10 cells long
    shape *= np.sqrt(height * width / np.sum(shape**2))
    fields = []
    for number in range(channels):
        sign = -1 if number % 2 else 1
        step = np.exp(-1j * sign * (rows * speed[0] + columns * speed[1]) - diffusion * square)
        stirred = np.sqrt(np.maximum(1 - np.abs(step) ** 2, 0))  # as much as diffusion takes
        wave, frames = shape * np.fft.fft2(rng.standard_normal((height, width))), []
        for _ in range(num_frames):
            frames.append(np.fft.ifft2(wave).real)
            wave = step * wave + stirred * shape * np.fft.fft2(rng.standard_normal((height, width)))
        fields.append(frames)
    field = np.stack(fields, axis=-1).astype(np.float32)
    if gaps:
        squares = rng.random((num_frames, -(-height // 4), -(-width // 4))) < gaps
        field[squares.repeat(4, 1).repeat(4, 2)[:, :height, :width]] = np.nan
    return field
