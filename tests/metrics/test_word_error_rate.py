"""Error rates against counts made by hand, jiwer's own corpus rate, and an interval that covers what it should."""

import jiwer
import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.metrics import word_error_rate


def test_errors_counted_by_hand():
    result = word_error_rate.evaluate(
        ["bin blue at f two now", "set red by a one soon"],
        ["bin blue at s two now now", "set red a one soon"],  # one wrong, one too many; one missing
    )
    assert result["words"] == {"substitutions": 1, "deletions": 1, "insertions": 1, "count": 12}
    assert result["wer"] == pytest.approx(3 / 12)
    assert result["cer"] == pytest.approx((1 + 4 + 3) / (21 + 21))
    assert result["sentences_right"] == 0
    assert result["clips"] == 2


def test_the_rate_is_the_corpus_and_not_the_mean_of_sentences():
    references, predictions = ["a", "a b c d e f g h i"], ["b", "a b c d e f g h i"]
    result = word_error_rate.evaluate(references, predictions)
    assert result["wer"] == pytest.approx(1 / 10) == pytest.approx(jiwer.wer(references, predictions))
    assert result["cer"] == pytest.approx(jiwer.cer(references, predictions))


def test_nothing_recognised_and_nothing_wrong():
    empty = word_error_rate.evaluate(["bin blue", "set red"], ["", ""])
    assert empty["wer"] == empty["cer"] == 1
    assert empty["wer_interval"] == [1, 1]
    right = word_error_rate.evaluate(["bin  blue ", "set red"], ["bin blue", "set red"])
    assert right["wer"] == right["cer"] == 0
    assert right["wer_interval"] == [0, 0]
    assert right["sentences_right"] == 1


def test_the_interval_covers_the_true_rate_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, covered = 0.1, 0
    for trial in range(40):
        wrong = rng.random((50, 6)) < truth
        predictions = [" ".join("x" if bad else "a" for bad in row) for row in wrong]
        low, high = word_error_rate.evaluate(["a a a a a a"] * 50, predictions, seed=trial)["wer_interval"]
        assert 0.02 < high - low < 0.12
        covered += low <= truth <= high
    assert 34 <= covered <= 40


@pytest.mark.parametrize(
    ("references", "predictions", "words"),
    [
        (["a"], ["a", "b"], "one prediction for each reference"),
        ([], [], "nothing to score"),
        (["a", " "], ["a", "b"], "reference 1 is empty"),
        ([[1, 2]], ["a"], "class numbers"),
        ("a", "a", "list of strings"),
    ],
)
def test_lists_that_do_not_fit(references, predictions, words):
    with pytest.raises(UsageError, match=words):
        word_error_rate.evaluate(references, predictions)


def test_word_errors_of_each_clip():
    assert word_error_rate.word_errors(["bin blue at", "set red", "lay"], ["bin red", "set red", "lay lay now"]) == [
        2,
        0,
        2,
    ]
