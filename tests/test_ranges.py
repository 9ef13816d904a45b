"""Ranges of numbers, and options of commands and functions that are held to them."""

import dataclasses
import typing

import numpy as np
import pytest

from tfav import cli, ranges
from tfav.cli import flags
from tfav.errors import TfavError, UsageError
from tfav.ranges import Range, check_number, kinds_of
from tfav.systems import SYSTEMS


@pytest.mark.parametrize(
    ("declared", "inside", "outside", "text"),
    [
        (Range(ge=1), (1, 9), (0, -1), "1 or more"),
        (Range(ge=0, lt=1), (0, 0.999), (1, -1e-9), "0 or more and below 1"),
        (Range(ge=0, le=1), (0, 1), (1.001,), "0 to 1"),
        (Range(ge=29, le=29), (29,), (28, 30), "29"),
        (Range(gt=0, le=1), (1e-9, 1), (0, 1.1), "above 0 and 1 or less"),
        (Range(gt=0), (5,), (0,), "above 0"),
        (Range(ge=2, also=(0,)), (0, 2), (1, -1), "2 or more, or 0"),
        (Range(), (-5, 5), (), "finite"),
    ],
)
def test_a_range(declared, inside, outside, text):
    assert all(number in declared for number in inside)
    assert not any(number in declared for number in (*outside, float("nan"), float("inf"), float("-inf")))
    assert str(declared) == text


def test_an_argument():
    check_number("top", None, ge=1)
    check_number("top", np.int32(3), whole=True, ge=1)
    for value in (0, 1.5, True, "3", float("nan")):
        with pytest.raises(UsageError, match=r"^top must be .*1 or more\. Received: top="):
            check_number("top", value, whole=True, ge=1)


COMMANDS = [cls for cls in vars(flags).values() if dataclasses.is_dataclass(cls)]
COMMANDS += [
    getattr(system, name)
    for system in SYSTEMS.values()
    for name in ("PrepareOptions", "EvaluateOptions", "PredictOptions")
]


@pytest.mark.parametrize("cls", COMMANDS, ids=lambda cls: cls.__name__)
def test_every_number_of_a_command_has_a_range(cls):
    hints = typing.get_type_hints(cls)
    bare = [f.name for f in dataclasses.fields(cls) if kinds_of(hints[f.name]) and not ranges.range_of(f)]
    assert not bare, "declare it: name: int = ranged(default, ge=...)"


@pytest.mark.parametrize(
    "command",
    [
        "train cnn_lstm --preset demo --run-dir r --data-dir v --seed -1",
        "train cnn_lstm --preset demo --run-dir r --data-dir v --shift-px=-3",
        "train cnn_lstm --preset demo --run-dir r --data-dir v --learning-rate nan",
        "train cnn_lstm --preset demo --run-dir r --data-dir v --accumulate 0",
        "prepare cnn_lstm --source v --out o --every-sec -1",
        "prepare cnn_lstm --source v --out o --every-sec inf",
        "prepare cnn_lstm --source v --out o --workers -2",
        "prepare av_words --source v --out o --crop-size 0 80",
        "predict cnn_lstm --run-dir r --top 0 a.mp4",
        "predict av_words --run-dir r --at nan a.mp4",
        "serve --port 99999",
        "serve --max-mb nan",
        "data-service --port -1",
    ],
)
def test_a_command_refuses_in_one_line(command, capsys):
    assert cli.main(command.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and " must be " in said and "Received: " in said and said.count("\n") == 1


def test_functions_refuse_in_one_line(tmp_path):
    from tfav.app import serve
    from tfav.io.audio import read_audio
    from tfav.io.flow_extraction import extract_flow
    from tfav.io.frame_extraction import extract_frames
    from tfav.metrics.ranking import ranking
    from tfav.systems.next_frame.dataset import prepare

    nan = float("nan")
    for call in (
        lambda: extract_frames(tmp_path, tmp_path / "o", quality=nan),
        lambda: extract_frames(tmp_path, tmp_path / "o", num_frames=2.5),
        lambda: extract_frames(tmp_path, tmp_path / "o", every_sec=nan),
        lambda: extract_flow(tmp_path, tmp_path / "o", bound=nan),
        lambda: read_audio(tmp_path, start_sec=nan),
        lambda: ranking(np.array([0.5, 0.5]), ["a", "b"], top=-1),
        lambda: prepare(tmp_path, tmp_path / "o.npy", num_frames=0),
        lambda: serve(max_mb=nan),
        lambda: serve(port=70000),
    ):
        with pytest.raises(TfavError, match=r"Received: "):
            call()
