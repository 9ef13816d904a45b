"""Sentences read from lips on the page: error rates, what was said beside what was read, how it came about."""

import html
from pathlib import Path

from tfav.training.callbacks import read_jsonl

_DECODERS = (("greedy", "greedy"), ("beam", "beam"), ("grammar", "by the grammar"))
_NUM_ROWS = 30


def sections(run_dir: Path, result: dict) -> list[tuple[str, str]]:
    """The pieces of a page about sentences.

    Args:
        run_dir: The run folder; its `examples.jsonl` shows how the reading of a few clips came about.
        result: The evaluation: `wer_*`, `cer_*` with intervals, `examples`, `confusions`, `failed`.

    Returns:
        Title and HTML of each.
    """
    found = [("Scores", _scores(result)), ("Said and read, clips with errors first", _examples(result["examples"]))]
    if result["confusions"]:
        rows = [(said, read, count) for said, read, count in result["confusions"]]
        found.append(("Words read wrongly", _table(("said", "read", "times"), rows)))
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
    text = _table(("decoding", "WER (95 % interval)", "CER (95 % interval)", "sentences right"), rows)
    text += f"<p>{result['clips']} clips, {html.escape(result['data'])}.</p>"
    starts = result.get("word_start_error_sec")
    if starts:
        text += f"<p>Starts of words are off by {1000 * starts['median']:.0f} ms (median of {starts['words']}).</p>"
    if result["failed"]:
        reasons = "".join(f"<li>{html.escape(row['reason'])}</li>" for row in result["failed"])
        text += f"<p><b>{len(result['failed'])} clips could not be read</b> and do not count:</p><ul>{reasons}</ul>"
    return text


def _examples(examples: list[dict]) -> str:
    ranked = sorted(examples, key=lambda row: row["greedy"] == row["reference"])[:_NUM_ROWS]
    names = [name for name, _ in _DECODERS if name in examples[0]]
    rows = [
        (row["path"], row["reference"], *(_marked(row["reference"], row[name]) for name in names)) for row in ranked
    ]
    return _table(("clip", "said", *(dict(_DECODERS)[name] for name in names)), rows)


class _Html(str):
    """Text that is HTML already."""


def _marked(reference: str, read: str) -> str:
    """What was read; words that are not at that place in the reference stand out."""
    said = reference.split()
    words = []
    for place, word in enumerate(read.split()):
        right = place < len(said) and said[place] == word
        words.append(html.escape(word) if right else f'<b style="color:#c8374a">{html.escape(word)}</b>')
    return _Html(" ".join(words))


def _progress(progress: list[dict]) -> str:
    step = max(1, len(progress) // 8)
    chosen = progress[::step] + ([progress[-1]] if (len(progress) - 1) % step else [])
    references = [row["reference"] for row in progress[-1]["examples"]]
    rows = [(str(line["epoch"]), *(row["prediction"] for row in line["examples"])) for line in chosen]
    return _table(("epoch", *references), rows)


def _table(head, rows) -> str:
    def cell(value) -> str:
        return value if isinstance(value, _Html) else html.escape(str(value))

    lines = ["".join(f"<th>{html.escape(name)}</th>" for name in head)]
    lines += ["".join(f"<td>{cell(value)}</td>" for value in row) for row in rows]
    return '<div class="scroll"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"
