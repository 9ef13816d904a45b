"""Starting TensorFlow where there is no folder for temporary files, as in a read-only container."""

import os
import tempfile

import pytest

from tfav.cli import parsing
from tfav.training.tf_startup import muted


def no_folder(*_, **__):
    raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/']")


def test_what_cpp_says_is_turned_away_without_such_a_folder(monkeypatch, capfd):
    monkeypatch.setattr(tempfile, "TemporaryFile", no_folder)
    with muted():
        os.write(2, b"a start-up note\n")
    os.write(2, b"said afterwards\n")
    assert capfd.readouterr().err == "said afterwards\n"


def test_what_was_said_is_shown_when_it_fails(capfd):
    with pytest.raises(ImportError), muted():
        os.write(2, b"why\n")
        raise ImportError
    assert capfd.readouterr().err == "why\n"


def test_a_command_that_needs_one_says_so_in_a_line(capsys):
    assert parsing.run(no_folder) == 1
    said = capsys.readouterr().err
    assert "Set TMPDIR" in said and said.count("\n") == 1
