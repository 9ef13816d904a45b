"""Words from sound, lips and both on the page: the curve of accuracy against noise, its table, what is confused."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tfav.io.atomic_write import partial_file
from tfav.io.text_files import write_text
from tfav.report import markup, plots
from tfav.report.markup import Section

CURVE_NAME = "accuracy_by_snr.svg"
_STREAM_STYLES = {"both": ("#2a8f5b", "o"), "audio": ("#1f6fb2", "s"), "video": ("#d1495b", "^")}


def sections(run_dir: Path, result: dict) -> list[Section]:
    """The pieces of a page about words in noise; the curve is written beside the page as well.

    Args:
        run_dir: The run folder; its other evaluations (`evaluation_*.json`: other noise, corrupted pictures) stand
            beside the plain one. Gets `accuracy_by_snr.svg` where several ratios were scored.
        result: The evaluation: `by_snr`, `streams`, `per_class`, `confusion`, `labels`, `confusions`, `failed`.

    Returns:
        Title and HTML of each.
    """
    found = [("Scores", _scores(result))]
    if len(result["by_snr"]) > 1:
        curve = accuracy_by_snr(result["by_snr"], result["noise"])
        with partial_file(Path(run_dir) / CURVE_NAME) as partial:
            write_text(partial, curve)
        found.append(("Accuracy against noise", markup.scroll(curve)))
    for path in sorted(Path(run_dir).glob("evaluation_*.json")):
        title = path.stem.removeprefix("evaluation_").replace("_", " ")
        found.append((f"Scores, {title}", _scores(json.loads(path.read_bytes()))))
    if result["confusions"]:
        found.append(("Words taken for another", markup.table(("said", "taken for", "times"), result["confusions"])))
    found.append(("Confusion", markup.scroll(plots.confusion(result["confusion"], result["labels"]))))
    rows = [
        (row["label"], *(f"{row[name]:.2f}" for name in ("precision", "recall", "f1")), row["count"])
        for row in sorted(result["per_class"], key=lambda row: row["recall"])
        if row["count"]
    ]
    found.append(("Words, the hardest first", markup.table(("word", "precision", "recall", "F1", "windows"), rows)))
    return found


def accuracy_by_snr(rows: list[dict], noise: str) -> str:
    """Accuracy of each stream against the signal to noise ratio, with 95 % intervals; clean stands apart on the right.

    Args:
        rows: Each with `snr_db`, None for clean, and `streams`: name to `top1` and `top1_interval`.
        noise: Kind of noise, for the axis.
    """
    rows = sorted(rows, key=lambda row: float("inf") if row["snr_db"] is None else row["snr_db"])
    ratios = [row["snr_db"] for row in rows if row["snr_db"] is not None]
    clean = ratios[-1] + 5 if ratios else 0
    places = [clean if row["snr_db"] is None else row["snr_db"] for row in rows]
    figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for number, name in enumerate(rows[0]["streams"]):
        color, marker = _STREAM_STYLES.get(name, (f"C{number}", "o"))
        scores = [row["streams"][name] for row in rows]
        top1 = 100 * np.array([score["top1"] for score in scores])
        reach = np.abs(100 * np.array([score["top1_interval"] for score in scores]).T - top1)
        axis.errorbar(places, top1, reach, color=color, marker=marker, markersize=4, capsize=2, lw=1.4, label=name)
    axis.set_xticks(places, ["clean" if row["snr_db"] is None else f"{row['snr_db']:g}" for row in rows])
    axis.set_xlabel(f"signal to noise ratio in dB ({noise})")
    axis.set_ylabel("words right, %")
    axis.set_ylim(0, 102)
    axis.grid(alpha=0.3)
    axis.legend(loc="lower right")
    return plots._svg(figure)


def _scores(result: dict) -> str:
    names = list(result["streams"])
    rows = []
    for row in result["by_snr"]:
        scores = [row["streams"][name] for name in names]
        cells = [f"{markup.percent(s['top1'], s['top1_interval'])}; top-5 {markup.percent(s['top5'])}" for s in scores]
        rows.append(["clean" if row["snr_db"] is None else f"{row['snr_db']:g} dB", *cells])
    text = markup.table((f"SNR ({result['noise']})", *(f"{name} (95 % interval)" for name in names)), rows)
    pictures = f", pictures {result['corrupt_video']}" if result["corrupt_video"] else ""
    text += markup.paragraph(f"{result['count']} windows, {len(result['labels'])} words{pictures}.")
    return text + markup.failures(result["failed"], "recordings")
