"""Scores of a classifier: ties count as a fixed order of the classes has them."""

import numpy as np
import pytest

from tfav.metrics import classification
from tfav.metrics.ranking import ranking

LABELS = [f"class{number:02d}" for number in range(20)]


def test_a_model_that_says_the_same_of_all_is_as_good_as_a_guess():
    truth = np.repeat(np.arange(20), 3)
    result = classification.evaluate(truth, np.full((60, 20), 1 / 20), LABELS)
    assert (result["top1"], result["top5"]) == (1 / 20, 5 / 20)


def test_the_true_class_counts_where_the_ranking_shows_it():
    """Many ties, as rounded probabilities have them: top-k is what a person reads off the ranked list."""
    random = np.random.default_rng(0)
    probabilities = random.integers(0, 3, (200, 20)) + 1e-3
    probabilities /= probabilities.sum(1, keepdims=True)
    truth = random.integers(0, 20, 200)
    shown = [[row["label"] for row in ranking(p, LABELS)] for p in probabilities]
    result = classification.evaluate(truth, probabilities, LABELS)
    assert result["top5"] == np.mean([LABELS[true] in five for true, five in zip(truth, shown, strict=True)])
    assert result["top1"] == np.mean([LABELS[true] == five[0] for true, five in zip(truth, shown, strict=True)])
    assert 0.15 < result["top5"] < 0.35


@pytest.mark.parametrize(("true", "top5"), [(4, 1.0), (5, 0.0)])
def test_the_fifth_of_equals_is_in_and_the_sixth_is_not(true, top5):
    assert classification.evaluate(np.array([true]), np.full((1, 20), 1 / 20), LABELS)["top5"] == top5
