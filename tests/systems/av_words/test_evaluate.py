"""Scores of words counted by hand: a made recogniser whose answers are known, over several ratios."""

import importlib

import numpy as np
import pytest

from tfav.systems.av_words.config import Config
from tfav.systems.av_words.predict import Recognizer

evaluation = importlib.import_module("tfav.systems.av_words.evaluate")  # the file, not the function
WORDS = ("bin", "lay", "set")
TRUTH = np.array([0, 0, 0, 1, 1, 2])
# What each stream says: in quiet, and in noise of 0 dB.
SAID = {
    "both": {None: [0, 0, 1, 1, 1, 2], 0.0: [0, 1, 1, 1, 1, 0]},
    "audio": {None: [0, 1, 1, 1, 2, 2], 0.0: [1, 1, 1, 1, 1, 1]},
    "video": {None: [0, 0, 0, 1, 0, 0], 0.0: [0, 0, 0, 1, 0, 0]},
}


class Source:
    """Six windows in batches of four; the inputs are their numbers and the ratio."""

    def __init__(self):
        self.asked = []
        self.names = [str(number) for number in range(6)]
        self.failed = [{"path": "x", "reason": "no sound"}]

    def dataset(self, **how):
        self.asked.append(how)
        for first in (0, 4):
            numbers = np.arange(6)[first : first + 4]
            yield {"numbers": numbers, "ratio": how["snr_db"]}, TRUTH[numbers]


@pytest.fixture
def scored(monkeypatch):
    """A function that evaluates, and what the data set was asked for."""
    source = Source()

    class Made(Recognizer):
        def probabilities(self, inputs):
            rows = {name: np.array(SAID[name][inputs["ratio"]])[inputs["numbers"]] for name in self.streams}
            return {name: np.eye(3)[row] * 0.7 + 0.1 for name, row in rows.items()}

    made = Made(Config.preset("demo", num_classes=3), WORDS, None, ("both", "audio", "video"))
    monkeypatch.setattr(evaluation, "open_recognizer", lambda run_dir, **changes: made)
    monkeypatch.setattr(evaluation, "open_part", lambda config, data_dir, part, known: source)
    return lambda **how: evaluation.evaluate("run", "folder", progress=False, **how), source.asked


def test_every_stream_is_scored_at_every_ratio(scored):
    evaluate, asked = scored
    result = evaluate(snr="clean,0", noise="white", corrupt_video="frozen")
    assert asked == [{"snr_db": ratio, "noise": "white", "corrupt_video": "frozen"} for ratio in (None, 0.0)]
    rows = {row["snr_db"]: {name: row["streams"][name]["top1"] for name in SAID} for row in result["by_snr"]}
    for name, by_ratio in SAID.items():
        for ratio, said in by_ratio.items():
            assert rows[ratio][name] == pytest.approx((np.array(said) == TRUTH).mean())
    # The main figures are the first ratio's, of both together.
    assert result["top1"] == pytest.approx(5 / 6) and result["count"] == 6
    assert result["streams"]["audio"]["confusion"] == [[1, 2, 0], [0, 1, 1], [0, 0, 1]]
    assert (result["noise"], result["corrupt_video"], result["variant"]) == ("white", "frozen", "frozen_white")
    assert result["failed"] == Source().failed


def test_confusions_are_said_recognised_and_how_often_the_most_frequent_first(scored):
    evaluate, _ = scored
    assert evaluate()["confusions"] == [["bin", "lay", 1]]
    assert evaluate(snr=[0])["confusions"] == [["bin", "lay", 2], ["set", "bin", 1]]
    assert evaluate()["variant"] == ""


def test_the_table_has_a_line_for_each_ratio(scored):
    said = evaluation.describe_evaluation(scored[0](snr="clean,0")).splitlines()
    assert said[1].split()[:3] == ["SNR", "(babble)", "both"]
    clean, noisy = [line.split() for line in said[2:4]]
    assert clean[:2] == ["clean", "83.3%"] and noisy[:3] == ["0", "dB", "50.0%"]
    assert "taken for another: bin for lay 1x" in said and "failed: x: no sound" in said
