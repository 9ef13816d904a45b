"""Scores of a classifier against counts made by hand and published intervals."""

import numpy as np
import pytest
from scipy import stats

from tfav.errors import UsageError
from tfav.metrics import classification, frame_quality, word_error_rate
from tfav.metrics.ranking import describe_scores, ranking

LABELS = ["walk", "run", "jump"]
# Said by the model, for three walks, two runs and a jump: walk, walk, run; run, run; run.
TRUTH = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1]]
)


def test_scores_counted_by_hand():
    result = classification.evaluate(TRUTH, PROBABILITIES, LABELS)
    # Rows are what is true, columns what was said: of three walks one was taken for a run, never the other way.
    assert result["confusion"] == [[2, 1, 0], [0, 2, 0], [0, 1, 0]]
    assert result["labels"] == LABELS and result["count"] == 6
    assert result["top1"] == pytest.approx(4 / 6) and result["top5"] == 1
    rows = {row["label"]: row for row in result["per_class"]}
    assert rows["walk"]["precision"] == 1 and rows["walk"]["recall"] == pytest.approx(2 / 3)
    assert rows["walk"]["f1"] == pytest.approx(2 * 1 * (2 / 3) / (1 + 2 / 3))
    assert rows["run"]["precision"] == pytest.approx(2 / 4) and rows["run"]["recall"] == 1
    assert rows["jump"] == {"label": "jump", "precision": 0, "recall": 0, "f1": 0, "count": 1}
    assert [row["count"] for row in result["per_class"]] == [3, 2, 1]


def test_the_fifth_class_counts_and_the_sixth_does_not():
    row = np.array([0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
    truth = np.array([0, 3, 4, 5])  # first, fourth, fifth and sixth of the ranking
    result = classification.evaluate(truth, np.tile(row, (4, 1)), list("abcdef"))
    assert result["top1"] == 1 / 4 and result["top5"] == 3 / 4
    assert result["top1_interval"] == classification.wilson_interval(1, 4)
    assert result["top5_interval"] == classification.wilson_interval(3, 4)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe, 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_is_the_published_95_per_cent_one(hits, count, low, high):
    assert classification.wilson_interval(hits, count) == pytest.approx([low, high], abs=6e-5)


def _normal_interval(values):
    """The textbook's 95 %: the mean and 1.96 standard errors to either side."""
    reach = stats.norm.ppf(0.975) * np.std(values) / len(values) ** 0.5
    return np.mean(values) - reach, np.mean(values) + reach


def test_resampled_intervals_are_the_textbooks_95_per_cent():
    """With 400 examples resampling and the normal approximation agree; 90 % or 99 % would be 16 or 31 % off."""
    rng = np.random.default_rng(0)
    errors = rng.random((400, 10)) < 0.3
    read = [" ".join("b" if wrong else "a" for wrong in row) for row in errors]
    result = word_error_rate.evaluate(["a a a a a a a a a a"] * 400, read)
    frames = rng.random((400, 3))
    summary = frame_quality.summarize({"mse": frames})
    for found, values in (
        (result["wer_interval"], errors.mean(1)),
        # Ten words are nineteen characters, nine of them spaces, which are always right.
        (result["cer_interval"], errors.sum(1) / 19),
        (summary["intervals"]["mse"], frames.mean(1)),
    ):
        low, high = _normal_interval(values)
        assert found[1] - found[0] == pytest.approx(high - low, rel=0.09)
        assert found[0] == pytest.approx(low, abs=0.1 * (high - low))
        assert found[1] == pytest.approx(high, abs=0.1 * (high - low))


@pytest.mark.parametrize(
    ("truth", "probabilities", "words"),
    [
        ([0, 1], [[0.5, 0.5, 0.0]], r"Received: \(2,\) and \(1, 3\)"),
        ([[0]], [[0.5, 0.5, 0.0]], r"truth must be \[N\]"),
        ([0], [[0.5, 0.5]], r"\[N, 3\]"),
        ([], np.zeros((0, 3)), "nothing to score"),
        ([3], [[0.5, 0.5, 0.0]], "from 0 to 2. Received: 3 to 3"),
        ([-1], [[0.5, 0.5, 0.0]], "Received: -1"),
        ([0], [[2.0, -1.0, 0.0]], "are these logits"),
        ([0], [[0.9, 0.5, 0.2]], "are these logits"),
        ([0, 0], [[0.5, 0.5, 0.0], [0.5, 0.4, 0.0]], "sum to 1"),
    ],
)
def test_arrays_that_do_not_fit(truth, probabilities, words):
    with pytest.raises(UsageError, match=words):
        classification.evaluate(np.array(truth), np.array(probabilities), LABELS)


def test_ranking_is_best_first():
    found = ranking(np.array([0.1, 0.6, 0.3]), LABELS, top=2)
    assert found == [{"label": "run", "probability": 0.6}, {"label": "jump", "probability": 0.3}]
    assert [row["label"] for row in ranking(np.array([0.1, 0.6, 0.3]), LABELS)] == ["run", "jump", "walk"]


def test_scores_in_words():
    result = classification.evaluate(TRUTH, PROBABILITIES, LABELS)
    result |= {"failed": [{"path": "a.mp4", "reason": "a.mp4: empty."}], "seconds": 1.25}
    lines = describe_scores(result).splitlines()
    assert lines[1].split() == ["walk", "1.00", "0.67", "3"]
    assert lines[2].split() == ["run", "0.50", "1.00", "2"]
    assert lines[4].startswith("top-1 66.7% (95 % interval 30.0% to 90.3%), top-5 100.0%, 6 videos, 1 failed")
    assert lines[-1] == "failed: a.mp4: empty."


# Ties -------------------------------------------------------------------------------------------------------

NAMES = [f"class{number:02d}" for number in range(20)]


def test_a_model_that_says_the_same_of_all_is_as_good_as_a_guess():
    truth = np.repeat(np.arange(20), 3)
    result = classification.evaluate(truth, np.full((60, 20), 1 / 20), NAMES)
    assert (result["top1"], result["top5"]) == (1 / 20, 5 / 20)


def test_the_true_class_counts_where_the_ranking_shows_it():
    """Many ties, as rounded probabilities have them: top-k is what a person reads off the ranked list."""
    random = np.random.default_rng(0)
    probabilities = random.integers(0, 3, (200, 20)) + 1e-3
    probabilities /= probabilities.sum(1, keepdims=True)
    truth = random.integers(0, 20, 200)
    shown = [[row["label"] for row in ranking(p, NAMES)] for p in probabilities]
    result = classification.evaluate(truth, probabilities, NAMES)
    assert result["top5"] == np.mean([NAMES[true] in five for true, five in zip(truth, shown, strict=True)])
    assert result["top1"] == np.mean([NAMES[true] == five[0] for true, five in zip(truth, shown, strict=True)])
    assert 0.15 < result["top5"] < 0.35


@pytest.mark.parametrize(("true", "top5"), [(4, 1.0), (5, 0.0)])
def test_the_fifth_of_equals_is_in_and_the_sixth_is_not(true, top5):
    assert classification.evaluate(np.array([true]), np.full((1, 20), 1 / 20), NAMES)["top5"] == top5
