"""Plots as SVG text, to stand inside the page."""

import io

import matplotlib

matplotlib.use("Agg")  # before pyplot: a server has no display

import matplotlib.pyplot as plt
import numpy as np

_COLORS = {"train": "#1f6fb2", "val": "#d1495b"}


def curves(history: list[dict]) -> str:
    """Loss, accuracy (where logged) and learning rate over the epochs, training beside validation."""
    epochs = [row["epoch"] for row in history]
    # A model with several outputs puts the output's name in front of the metric's.
    history = [{key.replace("class_accuracy", "accuracy"): value for key, value in row.items()} for row in history]
    names = [name for name in ("loss", "accuracy", "learning_rate") if any(name in row for row in history)]
    figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names, strict=True):
        for side, key in (("train", name), ("val", f"val_{name}")):
            values = [row.get(key) for row in history]
            if any(value is not None for value in values):
                values = [np.nan if value is None else value for value in values]
                style = "." if len(epochs) == 1 else "-"
                axis.plot(
                    epochs, values, style, color=_COLORS[side], label="validation" if side == "val" else "training"
                )
        axis.set_xlabel("epoch")
        axis.set_title(name.replace("_", " "))
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
    axis.set_xticks(ticks, labels, rotation=60, ha="right")
    axis.set_yticks(ticks, labels)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    if len(labels) <= 20:
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return _svg(figure)


def _svg(figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", bbox_inches="tight")
    plt.close(figure)
    text = stream.getvalue()
    return text[text.index("<svg") :]  # without the XML header, which has no place inside HTML
