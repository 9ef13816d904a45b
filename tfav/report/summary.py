"""One page over several runs that links the report of each: what `tfav demo` ends with."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tfav.io.atomic_write import partial_file
from tfav.io.output_names import as_paths
from tfav.io.text_files import write_text
from tfav.report import markup
from tfav.report.comparison import figures
from tfav.report.html import REPORT_NAME, evaluation_of, write_report
from tfav.report.markup import Html
from tfav.systems import load
from tfav.training import run_folder as runs
from tfav.training.callbacks import read_jsonl


def write_summary(run_dirs: Sequence[Path | str], out: Path | str, *, title: str = "Runs") -> Path:
    """Writes a page that links the report of each run, which is written where there is none.

    Args:
        run_dirs: Run folders, of one system or of several.
        out: The page. Its links are relative: it may be moved together with the runs.
        title: Its heading.

    Returns:
        The file.

    Raises:
        UsageError: A folder that is no run.
    """
    out = Path(out)
    rows = [_row(runs.load(run_dir), out.parent) for run_dir in as_paths(run_dirs)]
    head = ("system", "what it does", "scores (95 % interval)", "epochs", "minutes of training")
    with partial_file(out) as partial:
        sections = [("Reports", markup.table(head, rows))]
        write_text(partial, markup.page(title, f"{len(rows)} runs", sections))
    return out


def _row(run: runs.Run, folder: Path) -> tuple:
    report = run.dir / REPORT_NAME
    if not report.exists():
        write_report(run.dir)
    address = quote(Path(os.path.relpath(report, folder)).as_posix())
    link = Html(f'<a href="{address}">{markup.escaped(run.system)}</a>')
    result = evaluation_of(run)
    scores = [f"{name} {figure}" for name, figure in figures(result).items()] if result else ["not evaluated yet"]
    history = read_jsonl(run.dir / "metrics.jsonl")
    minutes = sum(row["seconds"] for row in history) / 60
    text = Html("<br>".join(map(markup.escaped, scores)))
    return link, load(run.system).summary, text, len(history), f"{minutes:.1f}"
