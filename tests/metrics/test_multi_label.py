"""Several labels a clip: average precision by hand, thresholds against all there are, intervals."""

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.metrics import classification, multi_label
from tfav.metrics.ranking import describe_scores

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
SAID = np.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.2], [0.6, 0.7, 0.1], [0.2, 0.1, 0.3]])


def test_scores_by_hand():
    found = multi_label.evaluate(TRUTH, SAID, ["a", "b", "c"], np.array([0.5, 0.5, 0.5]))
    assert [row["ap"] for row in found["per_class"]] == [pytest.approx((1 + 2 / 3) / 2), 1.0, None]
    assert found["map"] == pytest.approx((5 / 6 + 1) / 2)
    assert [row["f1"] for row in found["per_class"]] == [0.5, 1.0, 0.0]  # c never occurs, and is in no mean
    assert (found["macro_f1"], found["exact"], found["count"]) == (0.75, 0.5, 4)
    for name in ("map", "macro_f1"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low < found[name] < high <= 1
    text = describe_scores(found | {"failed": [], "seconds": 0.0})
    assert "mAP 91.7%" in text and "all labels right 50.0%" in text and len(text.splitlines()) == 5
    with pytest.raises(UsageError, match=r"must be \[N, 2\]"):
        multi_label.evaluate(TRUTH, SAID, ["a", "b"], np.array([0.5, 0.5]))


def test_thresholds_are_the_best_there_are():
    rng = np.random.default_rng(0)
    truth = rng.random((30, 4)) < 0.4
    said = np.round(np.clip(0.4 * truth + rng.random((30, 4)) * 0.6, 0, 1), 1)  # with many equal ones
    chosen = multi_label.choose_thresholds(truth, said)
    for number in range(4):
        scores = [
            2 * (truth[:, number] & at).sum() / (truth[:, number].sum() + at.sum())
            for at in (said[:, number] >= t for t in [*np.unique(said), chosen[number]])
        ]
        assert scores[-1] == pytest.approx(max(scores[:-1]))
    assert multi_label.choose_thresholds(np.zeros((2, 1)), np.ones((2, 1))).tolist() == [0.5]


def test_below_the_threshold_of_none_more_is_wrong_than_right():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.55, 0.45]])
    assert multi_label.choose_none_threshold(np.array([0, 0, 1, 1, 1]), probabilities) == pytest.approx(0.65)
    assert multi_label.choose_none_threshold(np.array([0, 0, 1, 0, 0]), probabilities) < 0.55
    assert multi_label.choose_none_threshold(np.array([1, 1, 0, 1, 1]), probabilities) > 0.9


def test_macro_f1_counts_each_class_alike():
    truth, predicted = np.array([0] * 8 + [1] * 2), np.array([0] * 8 + [0, 1])
    found = classification.evaluate(truth, np.eye(3)[predicted], ["a", "b", "c"])
    assert found["macro_f1"] == pytest.approx((16 / 17 + 2 / 3) / 2) and found["top1"] == 0.9
    low, high = found["macro_f1_interval"]
    assert low < found["macro_f1"] <= high
