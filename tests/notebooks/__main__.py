"""Runs notebooks in full and stores their outputs: `python -m tests.notebooks [NAME...]`."""

import json
import platform
import sys
import tempfile
from pathlib import Path

import nbformat

from tests.notebooks import execution


def main(names: list[str]) -> None:
    """Runs those named, or all, and prints one JSON row for each."""
    paths = [path for path in execution.find() if not names or path.stem in names]
    if not paths:
        sys.exit(f"no such notebook. There are: {', '.join(path.stem for path in execution.find())}")
    for path in paths:
        notebook = execution.read(path)
        with tempfile.TemporaryDirectory() as folder:
            seconds = execution.execute(notebook, Path(folder))
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of each cell, which only make differences
            if cell.cell_type == "code":  # and what libraries have to say of this machine
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
                for output in cell.outputs:
                    if "image/png" in output.get("data", {}):  # beside it the same picture as text, or an address
                        output["data"]["text/plain"] = "<picture>"
        nbformat.write(notebook, path)
        row = {"notebook": path.stem, "seconds": round(seconds), "kilobytes": path.stat().st_size // 1000}
        print(json.dumps(row | {"machine": platform.platform()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
