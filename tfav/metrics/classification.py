"""Scores of a classifier, one row per video.

Conventions: `truth` `[N]` int class numbers, `probabilities` `[N, num_classes]` float, rows that sum to 1.
"""

import numpy as np
from scipy import stats
from sklearn import metrics

from tfav.errors import UsageError
from tfav.metrics.multi_label import bootstrap


def validate(truth: np.ndarray, probabilities: np.ndarray, labels: list[str]) -> None:
    """Refuses arrays that do not fit one another.

    Raises:
        UsageError: Saying which, and guessing the mistake where it is a common one.
    """
    if truth.ndim != 1 or probabilities.shape != (len(truth), len(labels)):
        raise UsageError(
            f"truth must be [N] and probabilities [N, {len(labels)}]. Received: {truth.shape} and {probabilities.shape}"
        )
    if len(truth) == 0:
        raise UsageError("there is nothing to score.")
    if truth.min() < 0 or truth.max() >= len(labels):
        raise UsageError(f"class numbers run from 0 to {len(labels) - 1}. Received: {truth.min()} to {truth.max()}")
    if probabilities.min() < 0 or not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise UsageError("rows of probabilities must be 0 or more and sum to 1; are these logits?")


def evaluate(truth: np.ndarray, probabilities: np.ndarray, labels: list[str]) -> dict:
    """All scores at once, JSON-ready.

    Returns:
        `count`; `top1` and `top5` with `top1_interval` and `top5_interval` (Wilson, 95 %), of equal probabilities the
        first class first; `macro_f1`, the mean F1 of the classes that occur, with `macro_f1_interval` (bootstrap);
        `per_class`: a row per class with `precision`, `recall`, `f1` and `count`; `confusion`:
        `[true][predicted]` counts; `labels`.
    """
    truth, probabilities = np.asarray(truth), np.asarray(probabilities)
    validate(truth, probabilities, labels)
    numbers = list(range(len(labels)))
    predicted = probabilities.argmax(1)
    rank = _ranks(truth, probabilities)
    precision, recall, f1, count = metrics.precision_recall_fscore_support(
        truth, predicted, labels=numbers, zero_division=0
    )

    def macro_f1(rows: np.ndarray) -> float:
        counts = np.bincount(truth[rows] * len(labels) + predicted[rows], minlength=len(labels) ** 2)
        counts = counts.reshape(len(labels), -1)
        occurs = counts.sum(1) > 0
        return float((2 * counts.diagonal() / np.maximum(counts.sum(0) + counts.sum(1), 1))[occurs].mean())

    return {
        "count": len(truth),
        "top1": float((predicted == truth).mean()),
        "top1_interval": wilson_interval(int((predicted == truth).sum()), len(truth)),
        "top5": float((rank < 5).mean()),
        "top5_interval": wilson_interval(int((rank < 5).sum()), len(truth)),
        "macro_f1": macro_f1(np.arange(len(truth))),
        "macro_f1_interval": bootstrap(macro_f1, len(truth)),
        "per_class": [
            {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "count": int(n)}
            for label, p, r, f, n in zip(labels, precision, recall, f1, count, strict=True)
        ],
        "confusion": metrics.confusion_matrix(truth, predicted, labels=numbers).tolist(),
        "labels": list(labels),
    }


def _ranks(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one, `[N]` int.

    Of equally likely classes the first one stands first, as in `argmax` and in `ranking.ranking`: a model that says the
    same of all has a true class among its first five as often as one that guesses.
    """
    of_truth = probabilities[np.arange(len(truth)), truth][:, None]
    is_earlier = np.arange(probabilities.shape[1]) < truth[:, None]
    return ((probabilities > of_truth) | ((probabilities == of_truth) & is_earlier)).sum(1)


def wilson_interval(hits: int, count: int) -> list[float]:
    """95 % confidence interval of a share; unlike the normal one it is right for 0 and 100 % too (Wilson, 1927)."""
    interval = stats.binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return [float(interval.low), float(interval.high)]
