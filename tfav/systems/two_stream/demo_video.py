"""The demo video. Its picture: RGB frame, u, v, and three bar charts, laid out once and then only filled in.

Matplotlib draws all that never changes (titles, axes, ticks) one single time. Each frame is a copy of that with the
three pictures, the bars and the class names, drawn once for each class, painted into it as pixels.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from PIL import Image, ImageDraw, ImageFont

from tfav.io.encoding import write_video
from tfav.io.images import resize
from tfav.io.text_files import for_plots, shown
from tfav.io.video import probe

FIGURE_INCHES = (16, 12)
DPI = 72  # 1152 x 864 pixels
NUM_BARS = 5
_BAR_COLORS = ((255, 255, 0), (255, 0, 0), (0, 128, 0), (0, 0, 255), (0, 255, 255))
_BAR_WIDTH = 0.8
_X_LIMITS = (-0.64, NUM_BARS - 1 + 0.64)  # what Matplotlib takes for five bars of this width
_NAME_ANGLE = 75
_NAME_SIZE = 13  # points
_OVERSAMPLING = 4
_SPOOL_SIZE = 360  # longer side of the pictures kept for the demo, about what it shows them at, in pixels
_SPOOL_QUALITY = 95
_PICTURE_TITLES = ("RGB frame", "{flow} Optical flow u-frame", "{flow} Optical flow v-frame")
_CHART_TITLES = ("Spatial Stream Output scores", "Motion Stream Output scores", "Average Output scores")
_AVERAGE_LINES = (("spatial stream", 0.91, "r"), ("motion stream", 0.87, "g"), ("both streams", 0.83, "b"))


class _Box(NamedTuple):
    """A part of the canvas, in pixels from the top left, the end not included."""

    top: int
    bottom: int
    left: int
    right: int


class DemoCanvas:
    """Draws the frames of one demo video.

    Args:
        title: What stands on top, such as the file's name.
        averages: Names of the classes that the spatial stream, the motion stream and both see in the whole video.
        labels: Name of each class.
        picture_size: `(height, width)` of the video's frames, whose shape the three pictures keep.
        flow_name: What the flow is called in the titles.
        dpi: Pixels in an inch; the figure is 16 x 12 inches.
    """

    def __init__(
        self,
        title: str,
        averages: Sequence[str],
        labels: Sequence[str],
        picture_size: tuple[int, int],
        *,
        flow_name: str = "TVL1",
        dpi: int = DPI,
    ):
        self.labels = list(labels)
        self.dpi = dpi
        self._names: dict[int, np.ndarray] = {}
        self._inferno = np.round(colormaps["inferno"](np.arange(256))[:, :3] * 255).astype(np.uint8)
        figure = Figure(figsize=FIGURE_INCHES, dpi=dpi)
        canvas = FigureCanvasAgg(figure)
        figure.suptitle(f"Demo for {for_plots(title)}", fontsize=24)
        for (who, height, color), name in zip(_AVERAGE_LINES, averages, strict=True):
            figure.text(0.125, height, f"Average Prediction from {who}: {for_plots(name)}", color=color, fontsize=18)
        grid = GridSpec(
            2, 3, height_ratios=[1.5, 1], wspace=0.2, hspace=0.05, left=0.05, right=0.97, bottom=0.05, top=0.8
        )
        pictures = [figure.add_subplot(grid[index]) for index in range(3)]
        charts = [figure.add_subplot(grid[index]) for index in range(3, 6)]
        for axis, text in zip(pictures, _PICTURE_TITLES, strict=True):
            axis.set_title(text.format(flow=flow_name), fontsize=16)
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_box_aspect(picture_size[0] / picture_size[1])
        for axis, text in zip(charts, _CHART_TITLES, strict=True):
            axis.set_title(text, fontsize=16)
            axis.set_xlim(*_X_LIMITS)
            axis.set_ylim(0, 1)
        canvas.draw()
        self._background = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
        height = self._background.shape[0]
        self._pictures = [_inside(axis, height) for axis in pictures]
        self._charts = [_inside(axis, height) for axis in charts]

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of what `draw` gives, in pixels."""
        return self._background.shape[:2]

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` at which the three pictures are shown; larger ones need not be kept."""
        box = self._pictures[0]
        return box.bottom - box.top, box.right - box.left

    def draw(self, rgb: np.ndarray, u: np.ndarray, v: np.ndarray, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Draw one frame.

        Args:
            rgb: `[h, w, 3]` uint8.
            u: `[h, w]` uint8 grey levels of the motion to the right; shown over its own range, in colours.
            v: Likewise, of the motion down.
            scores: Three rows `[K]` of probabilities: spatial, motion, both.

        Returns:
            `[H, W, 3]` uint8 RGB, a new array.
        """
        image = self._background.copy()
        for box, picture in zip(self._pictures, (rgb, self._colored(u), self._colored(v)), strict=True):
            image[box.top : box.bottom, box.left : box.right] = _fit(picture, box)
        for box, row in zip(self._charts, scores, strict=True):
            self._draw_chart(image, box, np.asarray(row))
        return image

    def _colored(self, levels: np.ndarray) -> np.ndarray:
        low, high = int(levels.min()), int(levels.max())
        spread = (np.arange(256) - low) * (255 / max(1, high - low))
        return self._inferno[np.clip(np.round(spread), 0, 255).astype(np.uint8)][levels]

    def _draw_chart(self, image: np.ndarray, box: _Box, scores: np.ndarray) -> None:
        best = np.argsort(-scores, kind="stable")[:NUM_BARS]
        pixels_per_unit = (box.right - box.left) / (_X_LIMITS[1] - _X_LIMITS[0])
        middle = (box.top + box.bottom) // 2
        for position, index in enumerate(best):
            center = box.left + (position - _X_LIMITS[0]) * pixels_per_unit
            left, right = (round(center + side * _BAR_WIDTH / 2 * pixels_per_unit) for side in (-1, 1))
            top = box.bottom - round(float(np.clip(scores[index], 0, 1)) * (box.bottom - box.top))
            image[top : box.bottom, left:right] = _BAR_COLORS[position]
            self._draw_name(image, int(index), round(center), middle)

    def _draw_name(self, image: np.ndarray, index: int, center: int, middle: int) -> None:
        if index not in self._names:
            self._names[index] = _ink_of(self.labels[index], self.dpi)
        ink = self._names[index]
        top, left = max(0, middle - ink.shape[0] // 2), max(0, center - ink.shape[1] // 2)
        part = image[top : top + ink.shape[0], left : left + ink.shape[1]]
        # Black ink: what is under it keeps the share of light that gets through.
        light = 255 - ink[: part.shape[0], : part.shape[1], None].astype(np.uint16)
        part[:] = (part * light + 127) // 255


def _inside(axis, canvas_height: int) -> _Box:
    """The pixels within an axis' frame."""
    box = axis.get_window_extent()
    return _Box(
        int(np.ceil(canvas_height - box.y1)) + 1,
        int(np.floor(canvas_height - box.y0)),
        int(np.ceil(box.x0)) + 1,
        int(np.floor(box.x1)),
    )


def _fit(picture: np.ndarray, box: _Box) -> np.ndarray:
    return resize(picture, box.bottom - box.top, box.right - box.left)


def _ink_of(text: str, dpi: int) -> np.ndarray:
    """A class name at its angle, as `[h, w]` uint8 of ink: 0 none, 255 black; in Matplotlib's own font."""
    font_path = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    font = ImageFont.truetype(str(font_path), round(_NAME_SIZE * dpi / 72 * _OVERSAMPLING))
    text = shown(text)
    left, top, right, bottom = (round(side) for side in font.getbbox(text))
    if right <= left or bottom <= top:  # a name of blanks
        return np.zeros((1, 1), np.uint8)
    flat = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(flat).text((-left, -top), text, fill=255, font=font)
    # Drawn large, turned and made small: turning small letters would blur them.
    large = np.asarray(flat.rotate(_NAME_ANGLE, expand=True, resample=Image.Resampling.BILINEAR))
    return resize(large, *(max(1, round(side / _OVERSAMPLING)) for side in large.shape))


class Moment(NamedTuple):
    """One frame and its flow to the next: `rgb` `[H, W, 3]`, `u` and `v` `[h, w]`, all uint8."""

    rgb: np.ndarray
    u: np.ndarray
    v: np.ndarray


def draw_demo(path, scores, moments: "Spool", labels: list[str], *, flow_name: str = "TVL1") -> Path:
    """Writes the demo video: frame, flow, three bar charts, and over them what the streams see on average.

    Args:
        path: The file to write, .mp4.
        scores: What `video_scores.score_video` gave.
        moments: What it handed to `keep`.
        labels: Name of each class.
        flow_name: What the flow is called in the titles.

    Returns:
        The path.
    """
    fused = scores.fused()
    wholes = scores.spatial.mean(axis=0), scores.motion.mean(axis=0), scores.whole()
    averages = [labels[int(row.argmax())] for row in wholes]

    def frames() -> Iterator[np.ndarray]:
        canvas = None
        for moment, *rows in zip(moments, scores.spatial, scores.motion, fused, strict=False):
            if canvas is None:
                size = moment.rgb.shape[:2]
                canvas = DemoCanvas(scores.path.name, averages, labels, size, flow_name=flow_name)
            yield canvas.draw(*moment, rows)

    return write_video(path, frames(), fps=probe(scores.path, exact=False).fps)


class Spool:
    """Moments of a video in a temporary file, as JPEGs of the size the demo shows; iterated over in order, once.

    A context manager: the file goes with it.
    """

    def __init__(self):
        self._file = tempfile.TemporaryFile(prefix="tfav-demo-")  # noqa: SIM115 (it is this object's own context)
        self._sizes: list[int] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def add(self, moment: Moment) -> None:
        """Keep one; what `score_video(keep=...)` calls."""
        for picture in moment:
            scale = min(1.0, _SPOOL_SIZE / max(moment.rgb.shape[:2]))
            small = resize(picture, *(max(1, round(side * scale)) for side in moment.rgb.shape[:2]))
            _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _SPOOL_QUALITY])
            self._sizes.append(self._file.write(data.tobytes()))

    def __iter__(self) -> Iterator[Moment]:
        self._file.seek(0)
        pictures = (self._read(size) for size in self._sizes)
        # Three at a time off the same iterator.
        yield from map(Moment._make, zip(pictures, pictures, pictures, strict=True))

    def _read(self, num_bytes: int) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(self._file.read(num_bytes), np.uint8), cv2.IMREAD_UNCHANGED)
