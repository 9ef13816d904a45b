"""Runs side by side in one page: the settings that differ, curves over one another, scores with intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.output_names import as_paths
from tfav.io.text_files import write_text
from tfav.report import markup, plots
from tfav.report.command import repeating_command
from tfav.report.html import evaluation_of
from tfav.report.markup import Html, Section
from tfav.training import run_folder as runs
from tfav.training.callbacks import read_jsonl

COMPARED_NAME = "compared.html"
# Where a run is and how long it goes on does not make it another one.
_PLACES = ("data_dir", "cache_dir", "mnist", "face_detector")
# Evaluations tell on what they were made by these; different ones are no comparison.
_SCORED_ON = ("data", "part", "count", "clips")


class Figure(NamedTuple):
    """One score of one run, with its 95 % interval where known."""

    value: float
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        return _short(self.value) + ("" if self.interval is None else f" ({' to '.join(map(_short, self.interval))})")


def write_comparison(run_dirs: Sequence[Path | str], out: Path | str | None = None) -> Path:
    """Writes one page about several runs.

    Args:
        run_dirs: Two run folders or more, of one system or of several.
        out: The page; None: `compared.html` in the current folder.

    Returns:
        The file.

    Raises:
        UsageError: Fewer than two runs, one named twice, or a folder that is none.
    """
    run_dirs = as_paths(run_dirs)
    if len(run_dirs) < 2 or len({Path(run_dir).resolve() for run_dir in run_dirs}) < len(run_dirs):
        raise UsageError(f"--compare needs two different runs or more. Received: {', '.join(map(str, run_dirs))}")
    found = dict(zip(_names(run_dirs), map(runs.load, run_dirs), strict=True))
    results = {name: evaluation_of(run) for name, run in found.items()}
    histories = [(name, read_jsonl(run.dir / "metrics.jsonl")) for name, run in found.items()]
    trained = [(name, rows) for name, rows in histories if rows]
    sections = [
        ("Runs", _overview(found, dict(histories))),
        *_scores(results),
        ("Training", markup.scroll(plots.curves_of(trained)) if trained else ""),
        ("Settings that differ", _differences({name: run.config for name, run in found.items()})),
        ("Versions that differ", _differences({name: _flat(run.environment) for name, run in found.items()})),
        ("Repeat them", _commands(found)),
    ]
    path = Path(out) if out is not None else Path(COMPARED_NAME)
    with partial_file(path) as partial:
        write_text(partial, markup.page("Runs compared", " · ".join(found), sections))
    return path


def figures(result: dict) -> dict[str, Figure]:
    """All scores of an evaluation that come as one number: those with an interval, and a forecast's.

    Args:
        result: As a system's `evaluate` gives it.
    """
    found = {}
    for name, value in result.items():
        if isinstance(value, float) and f"{name}_interval" in result:
            found[name] = Figure(value, tuple(result[f"{name}_interval"]))
    for name, stream in result.get("streams", {}).items():
        found |= {f"{name} {key}": figure for key, figure in figures(stream).items()}
    scores = result.get("scores", {})
    for name, value in scores.items():
        if isinstance(value, float):
            interval = scores.get("intervals", {}).get(name)
            found[name] = Figure(value, tuple(interval) if interval else None)
    return found


def _names(run_dirs: Sequence[Path | str]) -> list[str]:
    """The folders' names, with as many of their parents as it takes to tell them apart."""
    parts = [Path(run_dir).resolve().parts for run_dir in run_dirs]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names


def _overview(found: dict[str, runs.Run], histories: dict[str, list[dict]]) -> str:
    rows = []
    for name, run in found.items():
        rows_ = histories[name]
        seconds = sum(row["seconds"] for row in rows_)
        commit = (run.environment.get("git") or {}).get("commit", "")[:10]
        rows.append((name, run.system, run.config["preset_name"], len(rows_), f"{seconds:.0f}", commit))
    return markup.table(("run", "system", "preset", "epochs", "seconds", "git commit"), rows)


def _scores(results: dict[str, dict | None]) -> list[Section]:
    scored = {name: result for name, result in results.items() if result is not None}
    missing = [name for name in results if name not in scored]
    text = markup.paragraph(f"Not evaluated yet: {', '.join(missing)}.") if missing else Html("")
    if not scored:
        return [("Scores", text)]
    of_runs = {name: figures(result) for name, result in scored.items()}
    names = dict.fromkeys(key for found in of_runs.values() for key in found)
    rows = [(key, *(str(found.get(key, "-")) for found in of_runs.values())) for key in names]
    scored_on = {name: {key: result[key] for key in _SCORED_ON if key in result} for name, result in scored.items()}
    if len({str(value) for value in scored_on.values()}) > 1:
        text += "<p><b>They were not scored on the same examples</b>, so differences may be the examples':</p>"
        text += _differences(scored_on)
    text += markup.table(("score (95 % interval)", *of_runs), rows)
    panels = []
    for key in names:
        shown = [(name, found[key].value, found[key].interval) for name, found in of_runs.items() if key in found]
        if len(shown) > 1:
            panels.append(plots.intervals(shown, key))
    return [("Scores", text), ("Scores with their 95 % intervals", markup.scroll("".join(panels)) if panels else "")]


def _differences(settings: dict[str, dict]) -> str:
    names = dict.fromkeys(key for config in settings.values() for key in config)
    rows = []
    for key in names:
        values = [config.get(key, "-") for config in settings.values()]
        if any(value != values[0] for value in values):
            rows.append((key, *map(str, values)))
    # What is learnt first, where it lies last.
    rows.sort(key=lambda row: row[0] in _PLACES)
    return markup.table(("", *settings), rows) if rows else markup.paragraph("None.")


def _flat(environment: dict) -> dict:
    flat = {}
    for key, value in environment.items():
        flat |= {f"{key} {name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _commands(found: dict[str, runs.Run]) -> str:
    rows = [(name, Html(f"<code>{markup.escaped(repeating_command(run))}</code>")) for name, run in found.items()]
    return markup.table((), rows)


def _short(value: float) -> str:
    return f"{value:.4g}"
