"""Which tests run which parts of the code, and how long they take.

The tests run once in a copy of the tree whose functions say that they are run, by one byte in a file that is mapped
into memory: processes that tests start, and threads of TensorFlow, write to it too. This module is the pytest plugin
that reads those bytes after each test, too.
"""

import json
import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import mutants

_MODULE = """
import mmap

with open({!r}, "r+b") as file:  # told here, since tests clear the environment of what they start
    noted = mmap.mmap(file.fileno(), 0).__setitem__  # a slot: AutoGraph would convert a function of ours
"""


def record(tree: Path, sources: list[str], tests: list[str], path: Path) -> None:
    """Runs tests and adds to a map what they run; of files that are run again the old rows go.

    Args:
        tree: A copy of the project; it is changed.
        sources: The files, relative to `tree`, whose parts are noted.
        tests: What to run, as for pytest.
        path: The map, JSON lines: a test that passed is `test`, `seconds` (of the processor) and `parts`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = []
    for source in sources:
        text = (tree / source).read_text(encoding="utf-8")
        if text.strip():
            text, names = mutants.instrument(text, "from tfav_noted import noted", "noted({}, 1)", len(parts))
            (tree / source).write_text(text, encoding="utf-8")
            parts += [f"{source}::{name}" for name in names]
    noted, names, new = (path.with_suffix(suffix).absolute() for suffix in (".noted", ".parts", ".new"))
    (tree / "tfav_noted.py").write_text(_MODULE.format(str(noted)))
    noted.write_bytes(bytes(len(parts)))
    names.write_text(json.dumps(parts))
    new.write_text("")
    files = {"TFAV_NOTED": str(noted), "TFAV_NOTED_PARTS": str(names), "TFAV_NOTED_MAP": str(new)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutation.recording", "-p", "no:cacheprovider", *tests]
    subprocess.run(command, cwd=tree, env=os.environ | files | {"PYTHONPATH": str(tree)}, check=False)
    rows = read(new)
    again = {row["test"].split("::")[0] for row in rows}
    kept = [row for row in read(path) if row["test"].split("::")[0] not in again]
    path.write_text("".join(json.dumps(row) + "\n" for row in kept + rows))
    for file in (noted, names, new):
        file.unlink()


def read(path: Path) -> list[dict]:
    """The rows of a map, none where there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class _Recorder:
    """Notes for each test what it and its fixtures run; what a fixture of many tests runs counts for all of them."""

    def __init__(self, noted: str, parts: str, path: str):
        self._file = Path(noted).open("r+b")  # noqa: SIM115 - open until the process ends
        self._noted = mmap.mmap(self._file.fileno(), 0)
        self._parts = json.loads(Path(parts).read_text())
        self._map = Path(path)
        self._fixtures: dict[int, set[int]] = {}

    def _take(self) -> set[int]:
        numbers = {number for number, byte in enumerate(self._noted[:]) if byte}
        self._noted[:] = bytes(len(self._noted))
        return numbers

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        before = self._take()
        try:
            return (yield)
        finally:
            own = self._take()
            self._fixtures[id(fixturedef)] = own
            for number in before | own:
                self._noted[number] = 1

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self._take()
        self._passed = False
        started = _processor_seconds()
        try:
            return (yield)
        finally:
            used = self._take()
            for definitions in item._fixtureinfo.name2fixturedefs.values():
                for definition in definitions:
                    used |= self._fixtures.get(id(definition), set())
            if self._passed:
                row = {"test": item.nodeid, "seconds": round(_processor_seconds() - started, 2)}
                row["parts"] = sorted(self._parts[number] for number in used)
                with self._map.open("a") as file:
                    file.write(json.dumps(row) + "\n")

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self._passed = report.passed


def _processor_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def pytest_configure(config):
    """Called by pytest when this module is its plugin."""
    names = ("TFAV_NOTED", "TFAV_NOTED_PARTS", "TFAV_NOTED_MAP")
    if all(name in os.environ for name in names):
        config.pluginmanager.register(_Recorder(*(os.environ[name] for name in names)), "tfav recorder")
