"""The page of words in noise: a curve, its table, the hardest words, nothing runs as HTML."""

import json

from tfav.metrics import classification
from tfav.report import words

LABELS = ["bin", "lay", "<b>"]
PROBABILITIES = [[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]


def result(**changes):
    scores = classification.evaluate([0, 1, 2], PROBABILITIES, LABELS)
    brief = {name: scores[name] for name in ("top1", "top1_interval", "top5", "top5_interval", "count")}
    rows = [{"snr_db": ratio, "streams": {"both": brief, "audio": brief}} for ratio in (None, 0.0, -5.0)]
    found = {"streams": {"both": scores, "audio": scores}, "by_snr": rows, "confusions": [["lay", "bin", 1]]}
    facts = {"failed": [{"path": "s1/c", "reason": "no face"}], "noise": "babble", "corrupt_video": None}
    return {**scores, **found, **facts, **changes}


def test_sections(tmp_path):
    (tmp_path / "evaluation_frozen.json").write_text(json.dumps(result(corrupt_video="frozen")))
    found = dict(words.sections(tmp_path, result()))
    assert list(found) == [
        "Scores",
        "Accuracy against noise",
        "Scores, frozen",
        "Words taken for another",
        "Confusion",
        "Words, the hardest first",
    ]
    assert "-5 dB" in found["Scores"] and "66.7 % (" in found["Scores"] and "no face" in found["Scores"]
    assert "pictures frozen" in found["Scores, frozen"]
    hardest = found["Words, the hardest first"]
    assert hardest.index("lay") < hardest.index("bin") and "<b>" not in hardest and "&lt;b&gt;" in hardest
    curve = (tmp_path / words.CURVE_NAME).read_text(encoding="utf-8")
    assert curve.startswith("<svg") and curve in found["Accuracy against noise"]


def test_one_ratio_makes_no_curve(tmp_path):
    one = result()
    found = dict(words.sections(tmp_path, {**one, "by_snr": one["by_snr"][:1], "confusions": []}))
    assert "Accuracy against noise" not in found and not (tmp_path / words.CURVE_NAME).exists()
