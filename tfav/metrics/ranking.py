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
    if result.get("multi_label"):
        return _describe_labels(result)
    low, high = result["top1_interval"]
    width = max(len(row["label"]) for row in result["per_class"])
    lines = [f"{'class':<{width}}  precision  recall  videos"]
    for row in result["per_class"]:
        lines.append(f"{row['label']:<{width}}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['count']:6d}")
    lines.append(
        f"top-1 {result['top1']:.1%} (95 % interval {low:.1%} to {high:.1%}), top-5 {result['top5']:.1%}, "
        f"{result['count']} videos, {len(result['failed'])} failed, {result['seconds']:.1f} s, "
        f"macro-F1 {result['macro_f1']:.1%}"
    )
    lines += [f"failed: {row['reason']}" for row in result["failed"]]
    return "\n".join(lines)


def _describe_labels(result: dict) -> str:
    (low, high), width = result["map_interval"], max(len(row["label"]) for row in result["per_class"])
    lines = [f"{'class':<{width}}  AP    precision  recall  F1    from  clips"]
    for row in result["per_class"]:
        ap = "   -" if row["ap"] is None else f"{row['ap']:4.2f}"
        lines.append(
            f"{row['label']:<{width}}  {ap}  {row['precision']:9.2f}  {row['recall']:6.2f}  {row['f1']:4.2f}  "
            f"{row['threshold']:4.2f}  {row['count']:5d}"
        )
    lines.append(
        f"mAP {result['map']:.1%} (95 % interval {low:.1%} to {high:.1%}), macro-F1 {result['macro_f1']:.1%}, all "
        f"labels right {result['exact']:.1%}, {result['count']} clips, {len(result['failed'])} failed, "
        f"{result['seconds']:.1f} s"
    )
    return "\n".join(lines + [f"failed: {row['reason']}" for row in result["failed"]])
