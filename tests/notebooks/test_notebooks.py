"""Every notebook runs from top to bottom on made data, and is stored with its outputs."""

import pytest

pytest.importorskip("nbclient")

from tests.notebooks import execution

# Less of everything than a reader's: enough for every cell to run.
SETTINGS = {
    "cnn_lstm": {"EPOCHS": 1, "GROUPS": 8},
    "two_stream": {"EPOCHS": 1, "GROUPS": 8},
    "next_frame": {"EPOCHS": 1, "SEQUENCES": 16},
    "lipnet": {"EPOCHS": 1, "CLIPS": 20},
    "av_words": {"EPOCHS": 1, "SENTENCES": 24},
}
MAX_BYTES = 3e6
PATHS = execution.find()


def test_there_is_one_for_every_system():
    assert {path.stem for path in PATHS} >= set(SETTINGS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, tmp_path):
    notebook = execution.read(path)
    execution.execute(notebook, tmp_path, SETTINGS[path.stem])  # a cell that fails raises here
    assert _pictures(notebook) >= 5
    assert list(tmp_path.rglob("report.html"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_is_stored_with_its_outputs(path):
    notebook = execution.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not any(cell.outputs for cell in code):
        pytest.skip(f"{path.name} is stored without outputs: make notebooks NOTEBOOKS={path.stem}")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert not [out for cell in code for out in cell.outputs if out.get("name") == "stderr"]
    assert _pictures(notebook) >= 5
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_tells_a_story(path):
    cells = execution.read(path).cells
    assert cells[0].cell_type == "markdown" and cells[0].source.startswith("# ")
    assert "%pip install" in cells[1].source
    titles = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    for title in ("## The data", "## Training", "## Evaluation", "## Exercises"):
        assert title in titles
    assert "<details><summary><b>Answers</b></summary>" in titles
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    assert ".fit(\n" in code and "callbacks=" in code
    assert not [line for line in code.splitlines() if line.startswith(("def ", "class ", "while "))]  # no logic


def _pictures(notebook) -> int:
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return sum("image/png" in out.get("data", {}) for out in outputs)
