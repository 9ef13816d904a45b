"""What a console cannot show is replaced; nothing ends of it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tfav import cli
from tfav.io import console

PROJECT = Path(__file__).resolve().parents[2]
ENCODINGS = ("ascii", "cp1252", "latin-1", "utf-8")


def stream(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)


def written(file):
    file.flush()
    return file.buffer.getvalue().decode(file.encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_library_speaks_to_any_console(encoding, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    console.say("日本語 ┏━┃ café, caf\udce9.mp4")
    said = written(sys.stdout)
    assert said.startswith("日本語 ┏━┃" if encoding == "utf-8" else r"\u65e5\u672c\u8a9e +-|")
    assert said.endswith("caf\\xe9.mp4\n"), "the byte of a name that is not UTF-8"
    assert "café" in said or encoding == "ascii"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_command_prints_anything(encoding, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    monkeypatch.setattr(sys, "stderr", stream(encoding, "backslashreplace"))
    from tfav import report
    from tfav.cli import parsing

    row = {"path": "caf\udce9.mp4", "ranking": [{"probability": 1.0, "label": "日本語"}], "warnings": ["é ━"]}
    assert parsing.run(lambda: report.print_predictions({"files": [row]}) or 0) == 0
    assert "100.0%" in written(sys.stdout)
    assert "warning: " in written(sys.stderr)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_on_the_last_line_stays_json(encoding, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream(encoding))
    console.never_fail()
    result = {"label": "日本語 😀", "path": "caf\udce9"}
    cli.parsing.print_json(type("Args", (), {"json": True}), result)
    assert json.loads(written(sys.stdout)) == result


def test_somebodys_own_choice_stays(monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream("ascii", "ignore"))
    console.never_fail()
    assert sys.stdout.errors == "ignore"
    monkeypatch.setattr(sys, "stdout", None)  # pythonw
    console.never_fail()


@pytest.mark.parametrize("arguments", [["--help"], ["train", "cnn_lstm", "--help"], ["train", "cnn_lstm", "--é"]])
def test_help_on_a_console_of_ascii(arguments):
    command = [sys.executable, "-m", "tfav", *arguments]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode("ascii")
    assert "Traceback" not in said and r"\u25" not in said
    assert done.returncode == (0 if "--help" in arguments else 2)


def test_an_epochs_examples_on_such_a_console(tmp_path, monkeypatch):
    """A training ended of them after its first epoch."""
    import keras

    from tfav.training.callbacks import ExamplePredictions

    monkeypatch.setattr(sys, "stdout", stream("cp1252"))
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    callback = ExamplePredictions(tmp_path / "examples.jsonl", lambda model: [{"text": "日本語: 90 %"}])
    callback.set_model(model)
    callback.on_epoch_end(0)
    assert "90 %" in written(sys.stdout)
    assert "日本語" in json.loads((tmp_path / "examples.jsonl").read_text(encoding="utf-8"))["examples"][0]["text"]
