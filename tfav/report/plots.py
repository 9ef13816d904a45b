"""Plots as SVG text, to stand inside the page."""

import io

import matplotlib

matplotlib.use("Agg")  # before pyplot: a server has no display

import matplotlib.pyplot as plt
import numpy as np

_COLORS = {"train": "#1f6fb2", "val": "#d1495b"}


def curves(history: list[dict]) -> str:
    """Loss, accuracy or error of forecasts (where logged) and learning rate over the epochs, beside validation's."""
    epochs = [row["epoch"] for row in history]
    # A model with several outputs puts the output's name in front of the metric's.
    history = [{key.replace("class_accuracy", "accuracy"): value for key, value in row.items()} for row in history]
    names = [
        name for name in ("loss", "accuracy", "forecast_mse", "learning_rate") if any(name in row for row in history)
    ]
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


def by_step(sides: dict[str, dict[str, list[float]]], scores: list[tuple[str, str]]) -> str:
    """Scores of forecasts over the steps predicted.

    Args:
        sides: Name to scores, each a list with one number per step; the first is drawn full, the others dashed.
        scores: Key and title of each score.
    """
    figure, axes = plt.subplots(1, len(scores), figsize=(3.4 * len(scores), 3), squeeze=False, layout="constrained")
    for axis, (key, title) in zip(axes[0], scores, strict=True):
        for number, (name, values) in enumerate(sides.items()):
            steps = range(1, len(values[key]) + 1)
            style, color = ("o-", _COLORS["train"]) if number == 0 else ("--", "#5b6875")
            axis.plot(steps, values[key], style, color=color, markersize=3, label=name)
        axis.set_xlabel("frames ahead")
        axis.set_title(title)
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
