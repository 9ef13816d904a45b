"""Fields of numbers as pictures: a moving one and a strip, with a colour bar beside."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tfav.io.atomic_write import partial_file
from tfav.io.encoding import write_gif

_COLORS = "viridis"
_SIDE = 256  # pixels of the shorter side, at least
_MARK = (235, 110, 40)  # RGB, the bar under frames that are predicted
_MISSING = (190, 190, 190)
_MAX_CHANNELS = 4
_COLUMNS = 10


def write_moving(path: Path | str, seen: np.ndarray, made: np.ndarray, names: Sequence[str], fps: float = 5) -> Path:
    """Writes a GIF: the frames seen, then those predicted, which have an orange bar under them.

    Args:
        path: The file.
        seen: `[T, H, W, C]` float; NaN, a missing cell, is grey. The first four channels are shown, side by side.
        made: `[N, H, W, C]` float.
        names: Of the channels.
        fps: Frames a second.
    """
    both = np.concatenate([seen, made])
    scale = max(1, -(-_SIDE // min(both.shape[1:3])))
    columns = []
    for number, name in list(enumerate(names))[:_MAX_CHANNELS]:
        field = both[..., number]
        low, high = _limits(field)
        shown = colormaps[_COLORS](Normalize(low, high)(np.nan_to_num(field, nan=low)), bytes=True)[..., :3]
        shown[np.isnan(field)] = _MISSING
        shown = shown.repeat(scale, axis=1).repeat(scale, axis=2)
        bar = _colour_bar(name, low, high, shown.shape[1])
        columns += [shown, np.broadcast_to(bar, (len(shown), *bar.shape))]
    pictures = np.concatenate(columns, axis=2)
    foot = np.zeros((len(pictures), 8, *pictures.shape[2:]), np.uint8)
    foot[len(seen) :] = _MARK
    return write_gif(path, list(np.concatenate([pictures, foot], axis=1)), fps)


def write_strip(path: Path | str, seen: np.ndarray, made: np.ndarray, names: Sequence[str]) -> Path:
    """Writes a PNG: a row for each of the first four channels, the last frames seen and ten frames at most in all.

    Args:
        path: The file.
        seen: As for `write_moving`, and so are the others.
    """
    num_seen = min(len(seen), 3)
    steps = np.unique(np.linspace(1, len(made), min(len(made), _COLUMNS - num_seen)).astype(int))
    frames = np.concatenate([seen[len(seen) - num_seen :], made[steps - 1]])
    titles = [f"{number:+d}" if number else "now" for number in range(1 - num_seen, 1)] + [f"+{step}" for step in steps]
    names = list(names)[:_MAX_CHANNELS]
    height, width = frames.shape[1:3]
    gap = max(1, width // 16)
    rows = np.pad(frames, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=np.nan)
    rows = np.concatenate(list(rows), axis=1)[:, :-gap]  # frames side by side
    size = (1.5 * len(frames) + 1, max(1.2, 1.5 * height / width + 0.4) * len(names))
    figure = Figure(figsize=size, dpi=100)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.01, 0.02, 1.0, 0.92, hspace=0.3)
    for axis, (number, name) in zip(figure.subplots(len(names), squeeze=False)[:, 0], enumerate(names), strict=True):
        low, high = _limits(frames[..., number])
        shown = axis.imshow(rows[..., number], cmap=_COLORS, vmin=low, vmax=high, interpolation="nearest")
        for place, title in enumerate(titles):
            color = "black" if place < num_seen else "#c05010"
            axis.text((place + 0.5) * (width + gap), -1, title, ha="center", va="bottom", fontsize=8, color=color)
        axis.set_axis_off()
        figure.colorbar(shown, ax=axis, label=name.replace("$", r"\$"), pad=0.01)
    path = Path(path)
    with partial_file(path) as partial:
        figure.savefig(partial, format="png")
    return path


def _limits(field: np.ndarray) -> tuple[float, float]:
    known = field[np.isfinite(field)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1


def _colour_bar(name: str, low: float, high: float, height: int) -> np.ndarray:
    """`[height, W, 3]` uint8."""
    figure = Figure(figsize=(0.9, height / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0.1, 0.06, 0.2, 0.88))
    axis.imshow(np.linspace(1, 0, 256)[:, None], cmap=_COLORS, aspect="auto", extent=(0, 1, low, high))
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.tick_params(labelsize=7)
    axis.set_title(name.replace("$", r"\$")[:12], fontsize=7, loc="left")
    canvas.draw()
    bar = np.asarray(canvas.buffer_rgba())[..., :3]
    return bar[:height] if len(bar) >= height else np.pad(bar, ((0, height - len(bar)), (0, 0), (0, 0)), mode="edge")
