"""No process that is started here imports a module of the folder that it is started in."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.io.clips import write_clip
from tfav.io import subprocesses

PROJECT = Path(__file__).resolve().parents[2]
STRANGERS = (
    "json",
    "numpy",
    "av",
    "pickle",
    "runpy",
    "socket",
    "struct",
    "tempfile",
    "signal",
    "joblib",
    "cv2",
    "h5py",
)

STARTS = {
    "inspection": "from tfav.app.uploads import _inspect; from pathlib import Path; _inspect(Path(sys.argv[1]))",
    "sandbox": "from tfav.weights.keras_h5.sandbox import check; check(sys.argv[1])",
    "doctor": "from tfav import doctor; assert doctor._run('import json, socket, runpy; print(1)') == (True, '1')",
    "loky": "from tfav.io.executors import LokyPool; p = LokyPool(2); print(p.submit(abs, -1).result()); p.kill()",
    "page": """
import time
from tests.app.fakes import FakeModels
from tfav.app.job_queue import JobQueue
jobs = JobQueue(make_models=FakeModels)
deadline = time.monotonic() + 60
while jobs._process is None and time.monotonic() < deadline:
    time.sleep(0.1)
assert jobs._process.is_alive()
jobs.close()
""",
    "spawn": """
import multiprocessing, tempfile
from tfav.io.subprocesses import safe_start
process = multiprocessing.get_context("spawn").Process(target=print, args=("here",))
with safe_start():
    process.start()
process.join()
assert process.exitcode == 0
""",
}


@pytest.fixture
def folder(tmp_path):
    """A folder with modules of strangers, and one with what they leave behind when they are imported."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "traces").mkdir()
    for name in STRANGERS:
        text = f"open({str(tmp_path / 'traces' / name)!r}, 'w').close()\nraise ImportError('a stranger')\n"
        (tmp_path / "videos" / f"{name}.py").write_text(text, encoding="utf-8")
    write_clip(tmp_path / "videos" / "a.mp4", 3)
    return tmp_path / "videos"


def traces(folder):
    return sorted(path.name for path in (folder.parent / "traces").iterdir())


def run_in(folder, code):
    """Runs code as the `tfav` command does: a script of another folder."""
    script = folder.parent / "tfav_like.py"
    script.write_text(f"import sys\nif __name__ == '__main__':\n{textwrap.indent(code, '    ')}\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, str(script), str(folder / "a.mp4")]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("what", STARTS)
def test_strangers_do_not_run(what, folder):
    done = run_in(folder, STARTS[what])
    assert (traces(folder), done.returncode) == ([], 0), done.stderr[-800:]


def test_the_strangers_would_run(folder):
    """What `-m` alone does: the check above can fail."""
    subprocess.run([sys.executable, "-m", "json.tool"], cwd=folder, capture_output=True, check=False)
    assert traces(folder)


def test_a_command_of_joblib_is_rewritten_for_python_3_10(folder):
    for command in (["-m", "json.tool", "--help"], ["-c", "import json"], ["-c", "import socket, numpy, pickle"]):
        rewritten = subprocesses._without_current_folder([sys.executable, *command])
        subprocess.run(rewritten, cwd=folder, capture_output=True, check=True)
        assert not traces(folder)


def test_a_tfav_that_is_not_installed_is_found(tmp_path):
    done = subprocess.run(subprocesses.module_command("tfav._version"), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_environment_is_as_before(monkeypatch):
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with subprocesses.safe_start(), subprocesses.safe_start():
        inside = os.environ.get("PYTHONSAFEPATH")
    assert inside == ("1" if sys.version_info >= (3, 11) else None)
    assert "PYTHONSAFEPATH" not in os.environ
