"""A classifier's scores as text and as ranked lists, the same for every system that tells classes apart."""

from collections.abc import Sequence

import numpy as np

from tfav.ranges import check_number


def ranking(probabilities: np.ndarray, labels: Sequence[str], top: int = 5) -> list[dict]:
    """The most likely classes, best first, as `{"label", "probability"}`.

    Args:
        probabilities: `[num_classes]` float, of one example.
        labels: Name of each class.
        top: How many at most.

    Raises:
        UsageError: `top` is below 1.
    """
    check_number("top", top, whole=True, ge=1)
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [{"label": labels[index], "probability": round(float(probabilities[index]), 6)} for index in order]


def describe_scores(result: dict) -> str:
    """What `classification.evaluate` gave, with `failed` and `seconds` added, as text: a row per class, then totals."""
    low, high = result["top1_interval"]
    width = max(len(row["label"]) for row in result["per_class"])
    lines = [f"{'class':<{width}}  precision  recall  videos"]
    for row in result["per_class"]:
        lines.append(f"{row['label']:<{width}}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['count']:6d}")
    lines.append(
        f"top-1 {result['top1']:.1%} (95 % interval {low:.1%} to {high:.1%}), top-5 {result['top5']:.1%}, "
        f"{result['count']} videos, {len(result['failed'])} failed, {result['seconds']:.1f} s"
    )
    lines += [f"failed: {row['reason']}" for row in result["failed"]]
    return "\n".join(lines)
