"""The page of a lip reader: figures, sentences beside one another, what is wrong stands out, nothing runs as HTML."""

import json

import numpy as np

from tfav.report import sentences

RESULT = {
    "wer_greedy": 0.25,
    "wer_greedy_interval": [0.1, 0.4],
    "cer_greedy": 0.1,
    "cer_greedy_interval": [0.05, 0.2],
    "sentences_right_greedy": 0.5,
    "clips": 2,
    "data": "grid <b>",
    "confusions": [["b", "p", 3]],
    "examples": [
        {"path": "s1/a", "reference": "bin blue", "greedy": "bin blue"},
        {"path": "s1/b", "reference": "bin b", "greedy": "bin p"},
    ],
    "failed": [{"path": "s1/c", "reason": "too short"}],
    "word_start_error_sec": {"median": 0.04, "words": 4},
}


def test_sections(tmp_path):
    found = dict(sentences.sections(tmp_path, RESULT))
    assert list(found) == ["Scores", "Said and read, clips with most errors first", "Words read wrongly"]
    assert "25.0 % (10.0 to 40.0)" in found["Scores"] and "40 ms" in found["Scores"]
    assert "grid &lt;b&gt;" in found["Scores"] and "too short" in found["Scores"]
    table = found["Said and read, clips with most errors first"]
    assert table.index("s1/b") < table.index("s1/a")
    assert table.count("<b style") == 1 and '">p</b>' in table


def test_what_a_language_model_read_is_shown_and_judged(tmp_path):
    scores = {name.replace("greedy", "lm"): value for name, value in RESULT.items() if "greedy" in name}
    examples = [
        row | {"lm": said, "errors": 0} for row, said in zip(RESULT["examples"], ("bin blue", "bin b"), strict=True)
    ]
    mouths = {f"mouth_{number}": np.full((3, 6, 12), 60 * number, np.uint8) for number in range(2)}
    np.savez(tmp_path / "evaluation_examples.npz", names=["s1/a", "s1/b"], worst=np.array([], str), **mouths)
    found = dict(sentences.sections(tmp_path, RESULT | scores | {"wer_lm": 0.125, "examples": examples}))
    assert "<td>with the language model</td>" in found["Scores"] and "12.5 %" in found["Scores"]
    assert "<th>with the language model</th>" in found["Said and read, clips with most errors first"]
    cards = found["Examples, the first of those scored"]
    assert cards.count('class="card right"') == 2 and "card wrong" not in cards


def test_how_it_came_about(tmp_path):
    rows = [{"epoch": epoch, "examples": [{"reference": "bin", "prediction": "x" * epoch}]} for epoch in range(1, 21)]
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = dict(sentences.sections(tmp_path, RESULT))["How it came about"]
    assert "<th>bin</th>" in table and "x" * 20 in table and table.count("<tr>") < 15


def test_mouths_of_the_first_clips_and_of_the_worst(tmp_path):
    mouths = {f"mouth_{number}": np.full((3, 6, 12), 60 * number, np.uint8) for number in range(2)}
    np.savez(tmp_path / "evaluation_examples.npz", names=["s1/a", "s1/b"], worst=["s1/b"], **mouths)
    found = dict(sentences.sections(tmp_path, RESULT))
    examples, worst = found["Examples, the first of those scored"], found["Worst cases"]
    assert examples.count("data:image/gif;base64,") == 2 and worst.count("data:image/gif;base64,") == 1
    assert 'class="card right"' in examples and 'class="card wrong"' in worst
    assert "said: bin b<br>" in worst and "s1/a" not in worst
