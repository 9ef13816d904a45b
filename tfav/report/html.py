"""The report: everything about a run in one HTML file that needs no network, in the same frame for all systems."""

import json
from collections.abc import Callable
from pathlib import Path

from tfav.io.atomic_write import partial_file
from tfav.io.text_files import write_text
from tfav.report import classes, forecasts, markup, plots, sentences, words
from tfav.report.command import repeating_command
from tfav.report.markup import Html, Section
from tfav.systems import load
from tfav.training import run_folder as runs
from tfav.training.callbacks import read_jsonl

REPORT_NAME = "report.html"
# By kind of result: from run folder and evaluation to titles and HTML.
_SECTIONS: dict[str, Callable[[Path, dict], list[Section]]] = {
    "classes": classes.sections,
    "timeline": classes.sections,
    "frames": forecasts.sections,
    "sentences": sentences.sections,
    "words": words.sections,
}
# Fields that say what the data are, where a system has them, in this order.
_DATA_FIELDS = (
    *("data_dir", "mnist", "num_digits", "mouth_crop", "split", "group_pattern", "val_groups", "test_groups"),
    *("train_list", "val_list", "test_list", "val_speakers", "test_speakers", "val_fraction", "test_fraction"),
    *("train_sequences", "val_sequences", "test_sequences", "num_frames", "input_frames", "output_frames"),
    *("image_size", "crop_size", "flow_method"),
)


def write_report(run_dir: Path | str) -> Path:
    """Writes `report.html` into a run folder.

    The page shows what is there: curves once an epoch has ended; scores, examples and mistakes once the run was
    evaluated.

    Returns:
        The file.

    Raises:
        UsageError: Not a run folder.
    """
    run = runs.load(run_dir)
    system = load(run.system)
    result = evaluation_of(run)
    sections = [
        ("Data", _data(run, result)),
        *(_SECTIONS[system.kind](run.dir, result) if result else _unscored(run)),
        ("Training", _training(read_jsonl(run.dir / "metrics.jsonl"))),
        ("Repeat it", _repeat(run)),
        ("Settings", markup.json_block(run.config)),
        ("Versions", markup.json_block(run.environment)),
    ]
    subtitle = f"{system.summary} · run {run.dir.name} · preset {run.config['preset_name'] or '-'}"
    path = run.dir / REPORT_NAME
    with partial_file(path) as partial:
        write_text(partial, markup.page(f"{run.system}: {run.dir.name}", subtitle, sections))
    return path


def evaluation_of(run: runs.Run) -> dict | None:
    """What the run scored; None where it was not evaluated."""
    path = run.dir / "evaluation.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def _unscored(run: runs.Run) -> list[Section]:
    command = markup.escaped(f"tfav evaluate {run.system} --run-dir {run.dir} --part val")
    return [("Scores", markup.paragraph(Html(f"Not evaluated yet: <code>{command}</code>")))]


def _data(run: runs.Run, result: dict | None) -> str:
    rows = [(name.replace("_", " "), _plain(run.config[name])) for name in _DATA_FIELDS if run.config.get(name)]
    rows += [(name, _plain(value)) for name, value in run.metadata.items() if value not in ("", None)]
    if result:
        count = result.get("count", result.get("clips"))
        part = result.get("part", "all")
        where = f"{result['data']}, " if result.get("data") else ""
        rows.append(("scored on", f"{where}{count} examples{'' if part == 'all' else f' of the {part} part'}"))
    return markup.table((), rows)


def _training(history: list[dict]) -> str:
    if not history:
        return markup.paragraph("No epoch has ended yet.")
    seconds = sum(row["seconds"] for row in history)
    return markup.scroll(plots.curves(history)) + markup.paragraph(f"{len(history)} epochs in {seconds:.0f} s.")


def _repeat(run: runs.Run) -> str:
    command = Html(f"<code>{markup.escaped(repeating_command(run))}</code>")
    commit = (run.environment.get("git") or {}).get("commit", "")
    state = f"tfav {run.environment.get('tfav', '')}" + (f", git commit {commit}" if commit else "")
    if (run.environment.get("git") or {}).get("changed"):
        state += " with changes that were not committed"
    return command + markup.paragraph(f"With {state}. It was started as: {run.command}")


def _plain(value) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
