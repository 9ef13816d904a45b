"""Sentences read from lips on the page: error rates, what was said beside what was read, how it came about."""

import html
import tempfile
from pathlib import Path

import cv2
import numpy as np

from tfav.io.encoding import write_gif
from tfav.io.images import resize
from tfav.io.npz import read_npz
from tfav.report import markup
from tfav.report.markup import Html, Section
from tfav.report.pictures import data_url
from tfav.training.callbacks import read_jsonl

_DECODERS = (
    ("greedy", "greedy"),
    ("beam", "beam"),
    ("lm", "with the language model"),
    ("grammar", "by the grammar"),
)
_ANSWERS = ("grammar", "lm", "greedy")  # the first that a clip has is the answer whose errors are counted
_NUM_ROWS = 30
_NUM_FIRST = 3
_WIDTH = 208  # pixels of a mouth's picture
_FPS = 25


def sections(run_dir: Path, result: dict) -> list[Section]:
    """The pieces of a page about sentences.

    Args:
        run_dir: The run folder; its `examples.jsonl` shows how the reading of a few clips came about, and its
            `evaluation_examples.npz` holds the mouths of some.
        result: The evaluation: `wer_*`, `cer_*` with intervals, `examples`, `confusions`, `failed`.

    Returns:
        Title and HTML of each.
    """
    mouths, worst = _mouths(run_dir, result["examples"])
    found = [("Scores", _scores(result))]
    found += [("Examples, the first of those scored", mouths)] if mouths else []
    found += [("Worst cases", worst)] if worst else []
    found.append(("Said and read, clips with most errors first", _examples(result["examples"])))
    if result["confusions"]:
        rows = [(said, read, count) for said, read, count in result["confusions"]]
        found.append(("Words read wrongly", markup.table(("said", "read", "times"), rows)))
    progress = read_jsonl(Path(run_dir) / "examples.jsonl")
    if progress:
        found.append(("How it came about", _progress(progress)))
    return found


def _scores(result: dict) -> str:
    rows = []
    for name, title in _DECODERS:
        if f"wer_{name}" not in result:
            continue
        cells = [title]
        for metric in ("wer", "cer"):
            low, high = result[f"{metric}_{name}_interval"]
            cells.append(f"{100 * result[f'{metric}_{name}']:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
        rows.append((*cells, f"{100 * result[f'sentences_right_{name}']:.0f} %"))
    text = markup.table(("decoding", "WER (95 % interval)", "CER (95 % interval)", "sentences right"), rows)
    text += f"<p>{result['clips']} clips, {html.escape(result['data'])}.</p>"
    starts = result.get("word_start_error_sec")
    if starts:
        text += f"<p>Starts of words are off by {1000 * starts['median']:.0f} ms (median of {starts['words']}).</p>"
    return text + markup.failures(result["failed"], "clips")


def _mouths(run_dir: Path, examples: list[dict]) -> tuple[str, str]:
    """Cards of the first clips and of those read worst; empty where their mouths were not kept."""
    path = Path(run_dir) / "evaluation_examples.npz"
    if not path.exists():
        return "", ""
    rows = {row["path"]: row for row in examples}
    lists = read_npz(path, ("names", "worst"))
    names, worst = lists["names"].tolist(), set(lists["worst"].tolist())
    mouths = read_npz(path, [f"mouth_{n}" for n in range(len(names))])
    cards = {name: _card(rows[name], mouths[f"mouth_{n}"]) for n, name in enumerate(names) if name in rows}
    first = [name for name in list(rows)[:_NUM_FIRST] if name in cards]
    worst = sorted(worst & set(cards), key=lambda name: -rows[name].get("errors", 0))
    return _joined([cards[name] for name in first]), _joined([cards[name] for name in worst])


def _joined(cards: list[str]) -> str:
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _card(row: dict, mouth: np.ndarray) -> str:
    height = round(mouth.shape[1] * _WIDTH / mouth.shape[2])
    frames = [resize(frame, height, _WIDTH, growing=cv2.INTER_CUBIC) for frame in mouth]
    with tempfile.TemporaryDirectory() as folder:
        file = write_gif(Path(folder) / "mouth.gif", [np.repeat(f[..., None], 3, -1) for f in frames], _FPS)
        picture = data_url(file.read_bytes(), "gif")
    read = next(row[name] for name in _ANSWERS if name in row)
    side = "right" if read == row["reference"] else "wrong"
    name, said = html.escape(row["path"]), html.escape(row["reference"])
    return (
        f'<div class="card {side}" style="width:{_WIDTH}px"><img src="{picture}" alt="mouth of {name}"><b>{name}</b>'
        f"<br>said: {said}<br>read: {_marked(row['reference'], read)}</div>"
    )


def _examples(examples: list[dict]) -> str:
    # Evaluations of before counted no errors by clip.
    ranked = sorted(examples, key=lambda row: -row.get("errors", row["greedy"] != row["reference"]))[:_NUM_ROWS]
    names = [name for name, _ in _DECODERS if name in examples[0]]
    rows = [
        (row["path"], row["reference"], *(_marked(row["reference"], row[name]) for name in names)) for row in ranked
    ]
    return markup.table(("clip", "said", *(dict(_DECODERS)[name] for name in names)), rows)


def _marked(reference: str, read: str) -> str:
    """What was read; words that are not at that place in the reference stand out."""
    said = reference.split()
    words = []
    for place, word in enumerate(read.split()):
        right = place < len(said) and said[place] == word
        words.append(html.escape(word) if right else f'<b style="color:#c8374a">{html.escape(word)}</b>')
    return Html(" ".join(words))


def _progress(progress: list[dict]) -> str:
    step = max(1, len(progress) // 8)
    chosen = progress[::step] + ([progress[-1]] if (len(progress) - 1) % step else [])
    references = [row["reference"] for row in progress[-1]["examples"]]
    rows = [(str(line["epoch"]), *(row["prediction"] for row in line["examples"])) for line in chosen]
    return markup.table(("epoch", *references), rows)
