"""Scores where a clip may have several labels, or none; and thresholds, chosen on a validation part.

Conventions: `truth` `[N, K]` bool or 0 and 1, `probabilities` `[N, K]` float, 0-1, each class for itself.
"""

from collections.abc import Callable

import numpy as np
from sklearn import metrics

from tfav.errors import UsageError

_RESAMPLES = 200
DEFAULT = 0.5  # where no validation part tells more


def evaluate(truth: np.ndarray, probabilities: np.ndarray, labels: list[str], thresholds: np.ndarray) -> dict:
    """All scores at once, JSON-ready.

    Args:
        truth: What each clip has.
        probabilities: What the model says.
        labels: Name of each class.
        thresholds: `[K]`; a class is said from its threshold on.

    Returns:
        `count`; `map`, the mean of the average precisions of the classes that occur, and `macro_f1`, both with their
        interval (bootstrap over clips, 95 %); `per_class`: a row per class with `ap` (None where it does not occur),
        `precision`, `recall`, `f1`, `count` and `threshold`; `exact`, the share of clips with all labels right;
        `multi_label`; `labels`.

    Raises:
        UsageError: Arrays that do not fit one another.
    """
    truth, probabilities = np.asarray(truth, bool), np.asarray(probabilities)
    if truth.ndim != 2 or not len(truth) or truth.shape != probabilities.shape or truth.shape[1] != len(labels):
        raise UsageError(
            f"truth and probabilities must be [N, {len(labels)}]. Received: {truth.shape} and {probabilities.shape}"
        )
    said = probabilities >= thresholds
    precision, recall, f1, count = metrics.precision_recall_fscore_support(truth, said, average=None, zero_division=0)
    ap = average_precisions(truth, probabilities)
    rows = zip(labels, ap, precision, recall, f1, count, thresholds, strict=True)
    return {
        "count": len(truth),
        "map": _mean(ap),
        "map_interval": bootstrap(lambda rows: _mean(average_precisions(truth[rows], probabilities[rows])), len(truth)),
        "macro_f1": _mean(f1[count > 0]),
        "macro_f1_interval": bootstrap(lambda rows: _macro_f1(truth[rows], said[rows]), len(truth)),
        "exact": float((said == truth).all(1).mean()),
        "per_class": [
            {
                "label": label,
                "ap": None if np.isnan(a) else float(a),
                "precision": float(p),
                "recall": float(r),
                "f1": float(f),
                "count": int(n),
                "threshold": float(t),
            }
            for label, a, p, r, f, n, t in rows
        ],
        "multi_label": True,
        "labels": list(labels),
    }


def average_precisions(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The area under precision over recall of each class, `[K]`; NaN where none has it."""
    return np.array(
        [
            metrics.average_precision_score(t, p) if t.any() else np.nan
            for t, p in zip(truth.T, probabilities.T, strict=True)
        ]
    )


def bootstrap(score: Callable[[np.ndarray], float], count: int) -> list[float]:
    """95 % interval of a score by drawing the examples anew (Efron, 1979): the same for the same examples.

    Args:
        score: From numbers of examples, some of them repeated, to the score; NaN where it has none.
        count: How many examples there are.
    """
    rng = np.random.default_rng(0)
    scores = [score(rng.integers(0, count, count)) for _ in range(_RESAMPLES)]
    low, high = np.nanpercentile(scores, (2.5, 97.5)) if not np.isnan(scores).all() else (0.0, 1.0)
    return [float(low), float(high)]


def choose_thresholds(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """For each class the threshold with the best F1, halfway between two probabilities; `DEFAULT` where none has it.

    Example:
        >>> choose_thresholds(np.array([[1], [1], [0]]), np.array([[0.4], [0.3], [0.1]]))
        array([0.2])
    """
    chosen = []
    for has, said in zip(np.asarray(truth, bool).T, np.asarray(probabilities, np.float64).T, strict=True):
        order = np.argsort(-said, kind="stable")
        hits, ranks = np.cumsum(has[order]), np.arange(1, len(said) + 1)
        f1 = 2 * hits / (ranks + has.sum())
        f1[:-1][said[order][:-1] == said[order][1:]] = -1  # no threshold divides equal ones
        best = int(f1.argmax())
        below = said[order][best + 1] if best + 1 < len(said) else 0.0
        chosen.append((said[order][best] + below) / 2 if has.any() else DEFAULT)
    return np.array(chosen)


def choose_none_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Of a classifier with one label a clip: the probability of the best class below which it had better say nothing.

    That is where most is right less wrong of what is said; a wrong answer costs as much as a right one is worth.

    Args:
        truth: `[N]` int class numbers.
        probabilities: `[N, K]` float.
    """
    best, right = probabilities.max(1), probabilities.argmax(1) == truth
    order = np.argsort(-best, kind="stable")
    worth = np.concatenate([[0], np.cumsum(np.where(right[order], 1, -1))])
    number = len(worth) - 1 - int(worth[::-1].argmax())  # the most that are said at equal worth
    edges = np.concatenate([[1.0], best[order], [0.0]])
    return float((edges[number] + edges[number + 1]) / 2)


def _macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    hits, total = (truth & said).sum(0), truth.sum(0) + said.sum(0)
    return _mean((2 * hits / np.maximum(total, 1))[truth.any(0)])


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
