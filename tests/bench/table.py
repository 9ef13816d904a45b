"""All rows of all benchmarks as one page, in Markdown and JSON, with the machine they were taken on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.rounds import describe_machine

FOLDER = Path("runs/bench")
# What stands in columns of its own, or says nothing to a reader of the table.
_NOT_FIGURES = ("what", "baseline", "ours", "ratio", "ratio_range", "target", "rounds", "machine", "versions", "bench")
_COLUMNS = ("benchmark", "what", "baseline", "ours", "ratio", "spread", "wanted", "other figures")
_GROWTH_COLUMNS = (
    "what",
    "examples",
    "batch",
    "step, ms",
    "GFLOP/s",
    "of the peak",
    "pipeline alone, ms a clip",
    "end to end, ms a clip",
    "peak memory, MB",
)
# Whose growth stands behind them: the column's place, and the row's name for the cost.
_COSTS = {3: "step_sec", 6: "pipeline_sec_per_clip", 7: "epoch_sec_per_clip", 8: "peak_mb"}


def rows_of(output: str) -> list[dict]:
    """The JSON rows among what a benchmark printed."""
    rows = []
    for line in output.splitlines():
        if line.startswith("{"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if "what" in row:
                rows.append(row)
    return rows


def write_table(rows: Sequence[Mapping], folder: Path = FOLDER) -> Path:
    """Writes `table.json` and `table.md`; returns the latter.

    Args:
        rows: As the benchmarks print them, each with `bench`, the benchmark's name.
        folder: Made if need be.
    """
    machine = describe_machine()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps({"machine": machine, "rows": list(rows)}, indent=1) + "\n")
    growing = [row for row in rows if "pipeline_sec_per_clip" in row]
    plain = [row for row in rows if "pipeline_sec_per_clip" not in row]
    lines = ["# Benchmarks", "", ", ".join(f"{name}: {value}" for name, value in machine.items()), ""]
    lines += _table(_COLUMNS, [_cells(row) for row in plain])
    if growing:
        lines += ["", "## How cost grows", "", "In brackets: how many times the system's first row.", ""]
        lines += _table(_GROWTH_COLUMNS, [_growth_cells(row) for row in growing])
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.md"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in row)} |" for row in rows]


def _cells(row: Mapping) -> list[str]:
    spread = row.get("ratio_range")
    figures = {name: value for name, value in row.items() if name not in _NOT_FIGURES}
    return [
        row.get("bench", ""),
        row["what"],
        _side(row.get("baseline")),
        _side(row.get("ours")),
        _plain(row.get("ratio", "")),
        f"{_plain(spread[0])}-{_plain(spread[1])}" if spread else "",
        _plain(row.get("target", "")),
        "; ".join(f"{name} {_plain(value)}" for name, value in figures.items()),
    ]


def _growth_cells(row: Mapping) -> list[str]:
    share = row.get("share_of_peak")
    cells = [
        row["what"],
        _plain(row["examples"]),
        _plain(row["batch_size"]),
        f"{1000 * row['step_sec']:.0f}",
        _plain(row.get("gflops")),
        f"{share:.0%}" if share is not None else "",
        f"{1000 * row['pipeline_sec_per_clip']:.2f}",
        f"{1000 * row['epoch_sec_per_clip']:.1f}",
        _plain(row["peak_mb"]),
    ]
    for column, cost in _COSTS.items():
        if "growth" in row:
            cells[column] += f" ({row['growth'][cost]})"
    return cells


def _side(side) -> str:
    if not isinstance(side, Mapping):
        return _plain(side)
    figures = [f"{_plain(value)} {name.replace('_', ' ')}" for name, value in side.items() if name != "name"]
    return f"{side.get('name', '')}: {', '.join(figures)}"


def _plain(value) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_plain, value)) if len(value) < 9 else f"{len(value)} values"
    return str(value)
