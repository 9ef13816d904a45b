"""All rows of all benchmarks as one table, in Markdown and JSON, with the machine they were taken on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.rounds import describe_machine

FOLDER = Path("runs/bench")
# What stands in columns of its own, or says nothing to a reader of the table.
_NOT_FIGURES = ("what", "baseline", "ours", "ratio", "ratio_range", "target", "rounds", "machine", "versions", "bench")


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
    lines = [
        "# Benchmarks",
        "",
        ", ".join(f"{name}: {value}" for name, value in machine.items()),
        "",
        "| benchmark | what | baseline | ours | ratio | spread | wanted | other figures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows]
    (folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "table.md"


def _cells(row: Mapping) -> list[str]:
    spread = row.get("ratio_range")
    figures = {name: value for name, value in row.items() if name not in _NOT_FIGURES}
    cells = [
        row.get("bench", ""),
        row["what"],
        _side(row.get("baseline")),
        _side(row.get("ours")),
        _plain(row.get("ratio", "")),
        f"{_plain(spread[0])}-{_plain(spread[1])}" if spread else "",
        _plain(row.get("target", "")),
        "; ".join(f"{name} {_plain(value)}" for name, value in figures.items()),
    ]
    return [cell.replace("|", "/").replace("\n", " ") for cell in cells]


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
