"""Runs tests of a mutant in a child of a process that has imported all that is slow to import, but not tfav."""

import contextlib
import importlib
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

_IMPORTS = (
    "numpy cv2 av h5py PIL.Image scipy.stats scipy.ndimage scipy.signal sklearn.metrics skimage.metrics "
    "skimage.measure jiwer soxr hypothesis matplotlib.pyplot pytest _pytest.assertion.rewrite xdist tensorflow "
    "tensorflow_hub keras tensorflow.python.autograph.impl.api onnxruntime"
)


_TEST_TIMEOUT_SEC = 120
_MARK = "mutation: failed: "


def warm_up() -> None:
    """Imports what is slow to import; no thread may be left running, since it would not live on in a child."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("MPLBACKEND", "Agg")
    for name in _IMPORTS.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        print(f"warning: {threads} threads before the first fork", flush=True)


class Run(NamedTuple):
    """What came of running tests.

    Attributes:
        outcome: `"passed"`, `"failed"`, `"timeout"` (of one test or of all) or `"error"` (no such test).
        seconds: By the clock.
        failed: Name of the test that failed, "" where none did or nothing could be loaded.
    """

    outcome: str
    seconds: float
    failed: str = ""


def run_tests(tree: Path, batches: list[list[str]], limit_sec: float, log: Path) -> Run:
    """Runs tests until the first one fails.

    Args:
        tree: Root of the copy of the project.
        batches: Names of tests, in this order; what a batch needs is only imported when it is its turn.
        limit_sec: By the clock; a run that takes longer is ended with all that it started.
        log: Where the child's output goes.
    """
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_child(tree, batches, log)
    status = _wait(child, started + limit_sec)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    seconds = time.monotonic() - started
    if status is None:
        os.waitpid(child, 0)
        return Run("timeout", seconds)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return Run("passed", seconds)
    said = log.read_text(errors="replace")
    if "+ Timeout +" in said or "Failed: Timeout" in said:
        return Run("timeout", seconds)
    # 4: pytest knows no such test, or cannot even load conftest.py.
    outcome = "error" if code == 4 and "not found" in said else "failed"
    return Run(outcome, seconds, *re.findall(rf"^{_MARK}(.*)$", said, re.MULTILINE)[:1])


class _Teller:
    """Writes the whole name of a test that fails, which pytest's summary cuts short."""

    def pytest_runtest_logreport(self, report):
        if report.failed:
            print(f"\n{_MARK}{report.nodeid}", flush=True)


def _wait(child: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    return None


def _be_child(tree: Path, batches: list[list[str]], log: Path) -> None:
    code = 3
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.chdir(tree)
        # Nothing of the project that this process has loaded: the copy's tests and package take their places.
        for name in [name for name in sys.modules if name.split(".")[0] in {"tests", "tfav"}]:
            del sys.modules[name]
        sys.path[:] = [str(tree), *(path for path in sys.path if path not in {"", str(tree)})]
        os.environ["PYTHONPATH"] = str(tree)
        import pytest

        options = ["-x", "-q", "--tb=short", "-p", "no:cacheprovider", "--rootdir", str(tree)]
        options += ["--timeout", str(_TEST_TIMEOUT_SEC)]
        for tests in batches:
            code = int(pytest.main([*options, *tests], plugins=[_Teller()]))
            if code:
                break
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
