"""What is read after ten, twenty, ... takes, with a reader that reads as many words as it has learnt takes."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tfav import cli
from tfav.data import shards
from tfav.data.example_files import Record
from tfav.errors import DataError
from tfav.report.enrolment import describe_growth, measure_growth
from tfav.systems.lipnet.config import Config


class Reader:
    """A system whose runs read the words at the places below `right(learnt takes)` and take the rest for "x"."""

    Config = Config

    def __init__(self, texts, right=lambda learnt: learnt, decoders=("beam",)):
        self.texts, self.right, self.decoders = texts, right, decoders
        self.trained = []

    def prepare(self, source, out, *, speakers):
        assert speakers == ("ana",)
        frames = np.zeros((9, 4, 4, 1), np.uint8)
        shards.write_shards(
            out, list(self.texts), lambda name: Record(name, frames, 25.0, self.texts[name], (), np.zeros((0, 2)))
        )
        return SimpleNamespace(failed={"ana/0099_take1": "ana/0099_take1.mp4: damaged."})

    def train(self, config, run_dir):
        run_dir.mkdir()
        parts = [path.read_text("utf-8").split("\n")[:-1] for path in map(Path, (config.train_list, config.val_list))]
        (run_dir / "parts").write_text(json.dumps([*parts, config.grammar]), "utf-8")
        self.trained.append((run_dir.name, *parts, config))

    def evaluate(self, run_dir, data_dir, *, part, progress):
        assert part == "val"
        learnt, read, _ = json.loads((run_dir / "parts").read_text("utf-8"))
        rows = []
        for name in read:
            words = self.texts[name].split()
            said = [word if place < self.right(len(learnt)) else "x" for place, word in enumerate(words)]
            rows.append({"path": name, "reference": self.texts[name]} | dict.fromkeys(self.decoders, " ".join(said)))
        return {"examples": rows}


def sentences(count, takes=1):
    return {
        f"ana/{number:04d}_take{take}": " ".join(f"word{number} {place}" for place in "abcdefghij")
        for take in range(1, takes + 1)
        for number in range(1, count + 1)
    }


def test_the_share_grows_with_each_ten_takes(tmp_path):
    reader = Reader(sentences(27))
    result = measure_growth(reader, "recordings", tmp_path, speaker="ana")
    assert [(point["takes"], round(point["share"], 3)) for point in result["points"]] == [
        (10, 0.25),
        (20, 0.5),
        (27, round((14 * 13 + 13 * 14) / 27 / 20, 3)),
    ]
    assert result["points"][0]["words"] == 200 and result["points"][0]["decoder"] == "beam"
    for _, learnt, read, config in reader.trained:  # nothing that is learnt is read, and both are all
        assert not set(learnt) & set(read) and config.grammar == "none" and config.preset_name == "adapt"
    firsts = sorted([name for run, _, read, _ in reader.trained if run.startswith("0010") for name in read])
    assert firsts == [f"ana/{number:04d}_take1" for number in range(1, 11)]
    assert not result["is_enough"] and result["advice"].startswith(
        "More takes help: the last 7 changed the share by +17"
    )
    text = describe_growth(result)
    assert "10 takes: reads 25% of the words of sentences that it has not learnt (25% to 25%)" in text
    assert "left out: ana/0099_take1.mp4: damaged." in text
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == result


def test_it_goes_on_where_it_was_and_measures_anew_what_has_changed(tmp_path):
    texts = sentences(12)
    reader = Reader(texts)
    first = measure_growth(reader, "recordings", tmp_path, speaker="ana")
    assert [run for run, *_ in reader.trained] == ["0010_fold1", "0010_fold2", "0012_fold1", "0012_fold2"]
    again = Reader(texts)
    assert measure_growth(again, "recordings", tmp_path, speaker="ana") == first and again.trained == []
    changed = Reader(texts | {"ana/0011_take1": "another text"})
    measure_growth(changed, "recordings", tmp_path, speaker="ana")
    assert [run for run, *_ in changed.trained] == ["0012_fold1", "0012_fold2"]


def test_of_a_closed_list_other_takes_of_the_same_sentences_are_read(tmp_path):
    reader = Reader(sentences(4, takes=3))
    result = measure_growth(reader, "recordings", tmp_path, speaker="ana", folds=3, step=12)
    assert [point["closed"] for point in result["points"]] == [True]
    for _, learnt, read, _ in reader.trained:
        assert {reader.texts[name] for name in read} == {reader.texts[name] for name in learnt}
        assert len(read) == 4 and len(learnt) == 8
    assert "of the words of new takes of the same sentences" in describe_growth(result)


@pytest.mark.parametrize(
    ("right", "enough", "words"),
    [
        (lambda learnt: 20, True, "Enough: it reads nearly all words."),
        (lambda learnt: 12, True, "More takes no longer help: the last two steps brought next to nothing."),
        (lambda learnt: learnt, False, "More takes help"),
    ],
)
def test_when_it_is_enough(tmp_path, right, enough, words):
    result = measure_growth(Reader(sentences(18), right), "recordings", tmp_path, speaker="ana", step=6)
    assert result["is_enough"] == enough and result["advice"].startswith(words)


def test_the_grammar_and_the_preset_reach_the_trainings(tmp_path):
    texts = {f"ana/{n:04d}_take1": f"bin blue at {letter} two now" for n, letter in enumerate("abcdef", 1)}
    for given, expected in ((None, ""), ("none", "none"), ("commands.txt", "commands.txt")):
        reader = Reader(texts, decoders=("beam", "grammar"))
        folder = tmp_path / expected
        result = measure_growth(reader, "r", folder, speaker="ana", step=6, grammar=given, preset="demo")
        assert {config.grammar for *_, config in reader.trained} == {expected}
        assert {config.preset_name for *_, config in reader.trained} == {"demo"}
        assert result["points"][0]["decoder"] == "grammar"
        assert "one measurement shows no growth" in result["advice"]


def test_too_few_takes_are_one_line(tmp_path):
    with pytest.raises(DataError, match=r"3 takes of ana can be used, and 4 are needed for 2 folds\. Record more"):
        measure_growth(Reader(sentences(3)), "recordings", tmp_path, speaker="ana")


def test_the_command(tmp_path, monkeypatch, capsys):
    given = {}
    result = {"points": [], "advice": "Go on.", "failed": {}}
    monkeypatch.setattr(
        "tfav.report.enrolment.measure_growth", lambda system, *where, **options: given.update(options) or result
    )
    flags = "--recordings r --run-dir o --speaker ana --preset demo --step 5 --folds 3 --grammar g.txt"
    assert cli.main(["enrol", "report", *flags.split()]) == 0
    assert given == {"speaker": "ana", "preset": "demo", "step": 5, "folds": 3, "grammar": "g.txt"}
    assert capsys.readouterr().out.strip() == "Go on."
    result["failed"] = {"a": "a: damaged."}
    assert cli.main(["enrol", "report", *flags.split()]) == 1
