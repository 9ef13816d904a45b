"""One notebook from top to bottom in a kernel of its own, in a folder of its own."""

import os
import sys
import time
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent.parent / "notebooks"
CELL_SECONDS = 900  # a cell that takes longer hangs


class _ThisPython(KernelSpecManager):
    """Kernels of the interpreter that runs this, whatever else is installed on the machine."""

    def get_kernel_spec(self, kernel_name):
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
        )


def find() -> list[Path]:
    """All notebooks of the repository."""
    return sorted(FOLDER.glob("*.ipynb"))


def read(path: Path):
    """The notebook of a file."""
    return nbformat.read(path, as_version=4)


def execute(notebook, folder: Path, settings: dict | None = None) -> float:
    """Runs all cells in order; their outputs are in the notebook afterwards.

    Args:
        notebook: As from `read`; changed in place.
        folder: Where it runs and what it writes stays.
        settings: Names of its settings cell (tagged `parameters`) to other values, which hold for this time only.

    Returns:
        Seconds it took.

    Raises:
        CellExecutionError: A cell failed.
    """
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    written = cell.source
    cell.source = "\n".join([written, *(f"{name} = {value!r}" for name, value in (settings or {}).items())])
    folder.mkdir(parents=True, exist_ok=True)
    manager = KernelManager(kernel_spec_manager=_ThisPython())
    client = NotebookClient(notebook, km=manager, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}})
    started = time.monotonic()
    try:
        client.execute(env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"})
    finally:
        cell.source = written
    return time.monotonic() - started
