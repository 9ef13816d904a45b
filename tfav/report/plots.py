"""Plots as SVG text, to stand inside the page or in a notebook."""

import io
import itertools

import matplotlib

matplotlib.use("Agg")  # before pyplot: a server has no display

import matplotlib.pyplot as plt
import numpy as np

from tfav.io.text_files import for_plots

_COLORS = {"train": "#1f6fb2", "val": "#d1495b"}
_DASHED = ("#5b6875", "#b07d2b", "#4f8a5b", "#8c5a9e")


def curves(history: list[dict]) -> str:
    """What was logged over the epochs, each quantity beside validation's: losses, metrics, the learning rate."""
    return curves_of([("", history)])


def curves_of(histories: list[tuple[str, list[dict]]]) -> str:
    """The curves of several runs over one another, a colour each; or of one, training and validation in two colours.

    Args:
        histories: Name and rows, as `metrics.jsonl` has them.
    """
    # A model with several outputs puts the output's name in front of the metric's.
    histories = [
        (label, [{key.replace("class_accuracy", "accuracy"): value for key, value in row.items()} for row in rows])
        for label, rows in histories
    ]
    names = _quantities([row for _, rows in histories for row in rows])
    columns = min(3, len(names))
    num_rows = -(-len(names) // columns)
    size = (4.2 * columns, 3 * num_rows)
    figure, axes = plt.subplots(num_rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axis, name in zip(axes.flat, names, strict=False):
        for number, (label, rows) in enumerate(histories):
            for side in ("train", "val"):
                _draw_curve(axis, rows, name, side, label, f"C{number}" if label else _COLORS[side])
        axis.set_xlabel("epoch")
        axis.set_title(name.replace("_", " "))
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in list(axes.flat)[len(names) :]:
        axis.set_visible(False)
    axes[0][0].legend(fontsize="small")
    return _svg(figure)


_COUNTS = ("epoch", "seconds", "stage", "stage_epoch")  # say when, not how well


def _quantities(rows: list[dict]) -> list[str]:
    """The loss first, the learning rate last, what is between as it was logged."""
    logged = dict.fromkeys(key for row in rows for key in row if not key.startswith("val_"))
    between = [key for key in logged if key not in (*_COUNTS, "loss", "learning_rate")]
    return [*(key for key in ("loss",) if key in logged), *between, *(k for k in ("learning_rate",) if k in logged)]


def _draw_curve(axis, rows: list[dict], name: str, side: str, label: str, color: str) -> None:
    key = name if side == "train" else f"val_{name}"
    values = [row.get(key) for row in rows]
    if all(value is None for value in values):
        return
    what = "validation" if side == "val" else "training"
    style = "." if len(rows) == 1 else "-"
    if label:  # many runs: the colour is the run's, training is dashed
        style, what = (style if side == "val" else style.replace("-", "--")), f"{for_plots(label)}, {what}"
    values = [np.nan if value is None else value for value in values]
    axis.plot([row["epoch"] for row in rows], values, style, color=color, label=what)


def intervals(rows: list[tuple[str, float, tuple[float, float] | None]], title: str) -> str:
    """One number of each of several runs as dots in a row below one another, with 95 % intervals where known."""
    figure, axis = plt.subplots(figsize=(6, 0.8 + 0.4 * len(rows)), layout="constrained")
    for number, (_, value, interval) in enumerate(rows):
        if interval is not None:
            axis.plot(interval, [number, number], "-", color=f"C{number}", linewidth=2)
        axis.plot([value], [number], "o", color=f"C{number}")
    axis.set_yticks(range(len(rows)), [for_plots(name) for name, _, _ in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_title(for_plots(title))
    axis.grid(alpha=0.3, axis="x")
    return _svg(figure)


def by_step(sides: dict[str, dict[str, list[float]]], scores: list[tuple[str, str]]) -> str:
    """Scores of forecasts over the steps predicted.

    Args:
        sides: Name to scores, each a list with one number per step; the first is drawn full, the others dashed. A side
            may lack a score.
        scores: Key and title of each score.
    """
    figure, axes = plt.subplots(1, len(scores), figsize=(3.4 * len(scores), 3), squeeze=False, layout="constrained")
    for axis, (key, title) in zip(axes[0], scores, strict=True):
        for number, (name, values) in enumerate(sides.items()):
            if key not in values:
                continue
            steps = range(1, len(values[key]) + 1)
            style, color = ("o-", _COLORS["train"]) if number == 0 else ("--", _DASHED[(number - 1) % len(_DASHED)])
            axis.plot(steps, values[key], style, color=color, markersize=3, label=name)
        axis.set_xlabel("frames ahead")
        axis.set_title(for_plots(title))
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0][0].legend()
    return _svg(figure)


def confusion(counts: list[list[int]], labels: list[str]) -> str:
    """A confusion matrix, rows the true class, coloured by share of the row; numbers where they can be read."""
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(12.0, 2.4 + 0.45 * len(labels))
    figure, axis = plt.subplots(figsize=(side, side))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    labels = [for_plots(label) for label in labels]
    axis.set_xticks(ticks, labels, rotation=60, ha="right")
    axis.set_yticks(ticks, labels)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if len(labels) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return _svg(figure)


def chain(rows: list[list[tuple[str, str]]], last: list[tuple[str, str]] = ()) -> str:
    """Boxes from left to right with arrows between them: what becomes of what.

    Args:
        rows: One for each way in, of boxes: a name and a line below it.
        last: Boxes in which all ways end.
    """
    before = max(map(len, rows))
    length, middle = before + len(last), (len(rows) - 1) / 2
    figure, axis = plt.subplots(figsize=(2.2 * length, 0.2 + 0.9 * len(rows)), layout="constrained")
    axis.set_xlim(-0.5, length - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.axis("off")
    ends = []
    for height, row in enumerate(rows):
        boxes = [_box(axis, place, height, box) for place, box in enumerate(row)]
        for one, other in itertools.pairwise(boxes):
            _arrow(axis, one, other)
        ends.append(boxes[-1])
    for place, box in enumerate(last, before):
        drawn = _box(axis, place, middle, box)
        for end in ends:
            _arrow(axis, end, drawn)
        ends = [drawn]
    return _svg(figure)


def _box(axis, x: float, y: float, box: tuple[str, str]):
    name, below = box
    look = {"boxstyle": "round,pad=0.5", "facecolor": "#eaf1f8", "edgecolor": _COLORS["train"]}
    text = f"{name}\n{below}" if below else name
    return axis.text(x, y, text, ha="center", va="center", fontsize=10, bbox=look, zorder=3)


def _arrow(axis, one, other) -> None:
    """From one box's rim to another's."""
    axis.annotate(
        "",
        xy=other.get_position(),
        xytext=one.get_position(),
        arrowprops={
            "arrowstyle": "-|>",
            "color": "#5b6875",
            "patchA": one.get_bbox_patch(),
            "patchB": other.get_bbox_patch(),
            "shrinkA": 2,
            "shrinkB": 2,
        },
    )


def heat(values: np.ndarray, names: list[str], *, title: str = "", step_sec: float = 1.0) -> str:
    """What is how likely when, as shades.

    Args:
        values: `[T, K]` float, 0-1.
        names: Of the `K` rows, from above.
        title: Of the plot.
        step_sec: Time from one step to the next.
    """
    figure, axis = plt.subplots(figsize=(9, 0.9 + 0.22 * len(names)), layout="constrained")
    extent = (0, len(values) * step_sec, len(names) - 0.5, -0.5)
    axis.imshow(np.asarray(values).T, cmap="Blues", vmin=0, vmax=1, aspect="auto", extent=extent)
    axis.set_yticks(range(len(names)), [for_plots(name) for name in names])
    axis.set_xlabel("seconds")
    axis.set_title(for_plots(title))
    return _svg(figure)


def sound(samples: np.ndarray, sample_rate: int, words: list[tuple[str, float, float]] = ()) -> str:
    """A spectrogram, with what is said when.

    Args:
        samples: `[S]`, of any loudness.
        sample_rate: In Hz.
        words: Each with its start and end in seconds.
    """
    figure, axis = plt.subplots(figsize=(9, 2.8), layout="constrained")
    # A trace of noise, since the logarithm of silence has no end.
    loud = np.asarray(samples, np.float32) / (np.abs(samples).max() + 1e-9)
    loud = loud + np.random.default_rng(0).normal(0, 1e-4, len(loud))
    axis.specgram(loud, NFFT=512, Fs=sample_rate, noverlap=384, cmap="magma", vmin=-120)
    for word, start, end in words:
        axis.axvspan(start, end, ymin=0.94, color="white", alpha=0.8)
        axis.text((start + end) / 2, sample_rate * 0.44, word, ha="center", color="white")
    axis.set_xlabel("seconds")
    axis.set_ylabel("Hz")
    return _svg(figure)


class Plot(str):
    """An SVG picture as text, fit to stand inside a page; a notebook shows it as PNG."""

    figure = None

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.figure.savefig(stream, format="png", dpi=100, bbox_inches="tight")
        return stream.getvalue()


def _svg(figure) -> Plot:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", bbox_inches="tight")
    plt.close(figure)
    text = stream.getvalue()
    plot = Plot(text[text.index("<svg") :])  # without the XML header, which has no place inside HTML
    plot.figure = figure
    return plot
