"""What each system's models become in other formats: `make bench BENCH=export`.

Models of whole presets, with random weights where a system ships none, are exported, opened again by the format's own
runtime, and compared on three examples. Prints a table of the largest differences, and a row.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.bench.rounds import describe_machine, print_row
from tests.export.made_runs import CLASSES, make_run
from tfav.errors import TfavError
from tfav.export import FORMATS, export
from tfav.systems import SYSTEMS, load
from tfav.training import run_folder as runs

CLASS_COUNT = {"num_classes": len(CLASSES)}
KINDS = {
    "cnn_lstm demo": ("cnn_lstm", {"preset": "demo", **CLASS_COUNT}),
    "cnn_lstm notebook": ("cnn_lstm", {"preset": "notebook", **CLASS_COUNT}),
    "two_stream demo": ("two_stream", {"preset": "demo", **CLASS_COUNT}),
    "two_stream cpu": ("two_stream", {"preset": "cpu", "backbone_weights": "", **CLASS_COUNT}),
    "lipnet demo": ("lipnet", {"preset": "demo"}),
    "lipnet cpu": ("lipnet", {"preset": "cpu"}),
    "lipnet notebook": ("lipnet", {"preset": "notebook"}),
    "av_words demo": ("av_words", {"preset": "demo", **CLASS_COUNT}),
    "av_words cpu": ("av_words", {"preset": "cpu", **CLASS_COUNT}),
    "next_frame demo": ("next_frame", {"preset": "demo"}),
    "next_frame cpu": ("next_frame", {"preset": "cpu"}),
    "next_frame notebook": ("next_frame", {"preset": "notebook"}),
}


def try_to_export(run_dir, system: str, format: str, folder: Path) -> tuple[str, dict]:
    """The largest difference or the reason why not, for the table; and an entry for the row."""
    started = time.perf_counter()
    try:
        written = export(run_dir, format, folder / FORMATS[format].file_name, system=system, progress=lambda line: None)
    except TfavError as error:
        said = str(error).split(": ", 2)[-1].rstrip(".")
        return said, {"error": said}
    seconds = round(time.perf_counter() - started, 1)
    return f"{written.difference:.1g}", {"max_difference": written.difference, "seconds": seconds}


def main() -> None:
    """Exports everything and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only what has this in its name")
    args = parser.parse_args()
    rows = {}
    kinds = {name: kind for name, kind in KINDS.items() if args.only in name}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (system, fields)) in enumerate(kinds.items()):
            rows[name] = _formats(make_run(Path(folder) / f"{number}", system, fields), system, Path(folder))
        for system in SYSTEMS:
            name = f"{system} pretrained"
            if args.only in name and _is_shipped(system):
                rows[name] = _formats(runs.PRETRAINED, system, Path(folder))
    print("| model | " + " | ".join(kind.title for kind in FORMATS.values()) + " |")
    print("|---" * (len(FORMATS) + 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(text for text, _ in cells.values()) + " |")
    entries = {name: {key: entry for key, (_, entry) in cells.items()} for name, cells in rows.items()}
    print_row({"what": "export, largest difference of three examples", "models": entries} | describe_machine())


def _formats(run_dir, system: str, folder: Path) -> dict[str, tuple[str, dict]]:
    with tempfile.TemporaryDirectory(dir=folder) as out:
        return {format: try_to_export(run_dir, system, format, Path(out)) for format in FORMATS}


def _is_shipped(system: str) -> bool:
    try:
        runs.load(runs.PRETRAINED, system)
    except TfavError:
        return False
    return hasattr(load(system), "exported")


if __name__ == "__main__":
    sys.exit(main())
