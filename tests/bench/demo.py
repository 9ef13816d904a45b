"""Drawing the two-stream demo against one 16 x 12 inch Matplotlib figure per frame: `make bench BENCH=demo`.

The baseline makes, lays out, draws and closes a figure for each frame, as the notebook does: three pictures, three bar
charts with class names, four lines of title, `tight_layout`. Both sides draw at the same 72 dots per inch, 1152 x 864
pixels, from the same frames, flow and scores. Two rows: drawing alone, and drawing with H.264 encoding on both sides.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # so that it also runs as a plain script

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib import gridspec

from tests.bench.rounds import measure, print_row
from tfav.io.encoding import write_video
from tfav.systems.two_stream.demo_video import DPI, FIGURE_INCHES, DemoCanvas, Moment
from tfav.systems.two_stream.stream import ucf101_labels

TARGET = 10.0
SIZE = (240, 320)
TITLES = ("RGB frame", "TVL1 Optical flow u-frame", "TVL1 Optical flow v-frame")
CHARTS = ("Spatial Stream Output scores", "Motion Stream Output scores", "Average Output scores")
LINES = ((0.91, "r", "spatial stream"), (0.87, "g", "motion stream"), (0.83, "b", "both streams"))


def make_frames(num_frames: int):
    """Frames, flow and scores of a made clip: smooth patterns that move, as pictures do and noise does not."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (SIZE[0], SIZE[1] + 2 * num_frames, 5), dtype=np.uint8)
    pattern = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    moments = []
    for number in range(num_frames):
        part = np.ascontiguousarray(pattern[:, 2 * number : 2 * number + SIZE[1]])
        moments.append(Moment(part[..., :3].copy(), part[..., 3].copy(), part[..., 4].copy()))
    centers = random.dirichlet(np.full(101, 0.05), 3)  # what is seen changes a little from frame to frame
    scores = 0.8 * centers + 0.2 * random.dirichlet(np.full(101, 0.05), (num_frames, 3))
    return moments, scores


def draw_with_new_figures(moments, scores, labels):
    """Draw each frame as the notebook does, in a figure of its own."""
    grid = gridspec.GridSpec(2, 3, width_ratios=[1, 1, 1], height_ratios=[1.5, 1])
    grid.update(wspace=0.2, hspace=0)
    for moment, rows in zip(moments, scores, strict=True):
        figure = plt.figure(figsize=FIGURE_INCHES, dpi=DPI)
        figure.suptitle("Demo for clip.avi", fontsize=24)
        for height, color, who in LINES:
            figure.text(0.125, height, f"Average Prediction from {who}: {labels[0]}", color=color, fontsize=18)
        for index, (picture, title) in enumerate(zip(moment, TITLES, strict=True)):
            axis = plt.subplot(grid[index])
            axis.set_title(title, fontsize=16)
            axis.get_yaxis().set_visible(False)
            axis.get_xaxis().set_visible(False)
            axis.imshow(picture, cmap="inferno")
        for index, (row, title) in enumerate(zip(rows, CHARTS, strict=True)):
            plt.subplot(grid[3 + index]).set_title(title, fontsize=16)
            best = np.argsort(row)[:-6:-1]
            bars = plt.bar(np.arange(5), row[best], color=["yellow", "red", "green", "blue", "cyan"])
            plt.ylim(0, 1)
            for bar, number in zip(bars, best, strict=True):
                middle = bar.get_x() + bar.get_width() / 2.0
                plt.text(middle, 0.5, labels[number], ha="center", va="center", rotation=75, fontdict={"fontsize": 13})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tight_layout says that it does not suit these axes, as it did then
            figure.tight_layout(pad=0, h_pad=0, w_pad=0)
        figure.canvas.draw()
        yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
        plt.close(figure)


def draw_on_one_canvas(moments, scores, labels):
    """Draw each frame as tfav does; the canvas is made anew for each round, as for each video."""
    canvas = DemoCanvas("clip.avi", labels[:3], labels, SIZE)
    for moment, rows in zip(moments, scores, strict=True):
        yield canvas.draw(*moment, rows)


def main() -> None:
    """Measure drawing, and drawing with encoding, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    moments, scores = make_frames(arguments.frames)
    labels = ucf101_labels()
    sizes = {next(draw(moments, scores, labels)).shape for draw in (draw_with_new_figures, draw_on_one_canvas)}
    if len(sizes) != 1:
        raise SystemExit(f"the two sides draw different sizes: {sizes}")
    with tempfile.TemporaryDirectory() as folder:
        sinks = {
            "drawing": lambda frames: sum(1 for _ in frames),
            "drawing and encoding": lambda frames: write_video(Path(folder, "demo.mp4"), frames, fps=25),
        }
        for what, sink in sinks.items():
            row = measure(
                f"{what} of {arguments.frames} demo frames, {DPI} dots per inch",
                {
                    "a new figure per frame": lambda sink=sink: sink(draw_with_new_figures(moments, scores, labels)),
                    "one canvas, filled in": lambda sink=sink: sink(draw_on_one_canvas(moments, scores, labels)),
                },
                rounds=arguments.rounds,
                target=TARGET,
                packages=("matplotlib", "opencv-contrib-python", "numpy", "av"),
                size=sizes.copy().pop(),
            )
            print_row(row)


if __name__ == "__main__":
    main()
