"""One process at a time: on files that are removed meanwhile, and on file systems without locks."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfav.errors import UsageError
from tfav.io import lock

fcntl = pytest.importorskip("fcntl")
PROJECT = Path(__file__).resolve().parents[2]


def test_a_lock_on_a_file_that_is_gone_keeps_nobody_out_and_is_taken_again(tmp_path, monkeypatch):
    """The holder leaves, and removes its file, after another one has opened it and before that one locks it."""
    real, calls = fcntl.flock, []

    def late(file, how):
        calls.append(how)
        if len(calls) == 1:
            (tmp_path / ".lock").unlink()
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with (
        lock.locked_folder(tmp_path),
        pytest.raises(UsageError, match="another run is writing to it"),
        lock.locked_folder(tmp_path),
    ):
        pytest.fail("a second one is in")
    with lock.locked_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


RACE = """
import os, sys, time
from tfav.errors import UsageError
from tfav.io.lock import locked_folder
folder, inside, end = sys.argv[1], sys.argv[2], float(sys.argv[3])
entered = 0
while time.time() < end:
    try:
        with locked_folder(folder):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where another one is in
            entered += 1
            os.unlink(inside)
    except UsageError:
        pass
print(entered)
"""


def test_three_processes_never_are_in_at_once(tmp_path):
    end = str(time.time() + 2.5)
    command = [sys.executable, "-c", RACE, str(tmp_path / "run"), str(tmp_path / "inside"), end]
    racers = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)]
    said = [racer.communicate(timeout=60) for racer in racers]
    assert not [err.decode()[-300:] for _, err in said if err]
    assert all(int(out) > 10 for out, _ in said), said


def test_a_process_forked_inside_does_not_hold_it_on(tmp_path):
    with lock.locked_folder(tmp_path):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with lock.locked_folder(tmp_path):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_a_file_system_without_locks_is_told_and_used(name, tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lock.locked_folder(tmp_path / "run"):
        (tmp_path / "run" / "result").touch()
    said = capsys.readouterr().err
    assert "has no locks" in said and str(tmp_path / "run") in said and said.count("\n") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result"]
