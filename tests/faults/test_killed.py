"""SIGKILL at random moments, and Ctrl-C: what is finished afterwards equals what was never disturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.faults.trainings import EPOCHS
from tests.io.clips import write_clip
from tests.io.test_frame_extraction import snapshot
from tfav.io.frame_extraction import extract_frames
from tfav.training.callbacks import read_jsonl

PROJECT = Path(__file__).resolve().parents[2]
KILLS = 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]  # many starts of TensorFlow


def start_training(run_dir):
    command = [sys.executable, "-m", "tests.faults.trainings", str(run_dir)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        command, cwd=PROJECT, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    assert start_training(run_dir).wait() == 0
    return run_dir


def same_run(one, other):
    """Every figure of every epoch, and the weights."""
    rows = [read_jsonl(run / "metrics.jsonl") for run in (one, other)]
    assert [row["epoch"] for row in rows[0]] == list(range(1, EPOCHS + 1))
    for key in ("epoch", "loss", "val_loss", "learning_rate"):
        np.testing.assert_allclose(*[[row[key] for row in run] for run in rows], rtol=1e-5)
    weights = [keras.saving.load_model(run / "best.keras").get_weights() for run in (one, other)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert not list(one.rglob(".partial-*"))


def wait_for(condition, process):
    deadline = time.monotonic() + 600
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_training_killed_at_ten_random_moments(undisturbed, tmp_path):
    dice, kills, run_dir = random.Random(1), 0, tmp_path / "run"
    while kills < KILLS:
        process = start_training(run_dir)
        wanted = len(read_jsonl(run_dir / "metrics.jsonl")) + dice.choice((0, 1, 1))
        # Some of the kills come while it starts or goes on from its state, the others anywhere in one or two epochs.
        wait_for(lambda: len(read_jsonl(run_dir / "metrics.jsonl")) >= wanted, process)  # noqa: B023
        time.sleep(dice.uniform(0, 0.4))
        assert process.poll() is None, "it was over before it was killed ten times"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    assert start_training(run_dir).wait() == 0
    same_run(run_dir, undisturbed)


def test_training_interrupted_by_ctrl_c(undisturbed, tmp_path):
    run_dir = tmp_path / "run"
    process = start_training(run_dir)
    wait_for(lambda: len(read_jsonl(run_dir / "metrics.jsonl")) >= 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; the same command goes on from here." in errors and "Traceback" not in errors
    assert len(read_jsonl(run_dir / "metrics.jsonl")) < EPOCHS
    assert start_training(run_dir).wait() == 0
    same_run(run_dir, undisturbed)


EXTRACT = """
import sys
from tfav.io.frame_extraction import extract_frames
extract_frames(*sys.argv[1:], workers=2, quiet=True)
"""


def test_preparing_killed_at_ten_random_moments(tmp_path):
    (tmp_path / "videos" / "hop").mkdir(parents=True)
    for number in range(150):
        write_clip(tmp_path / "videos" / "hop" / f"clip{number}.avi", 60, size=(240, 320))
    extract_frames(tmp_path / "videos", tmp_path / "undisturbed", workers=2, quiet=True)
    dice, kills, out_dir = random.Random(2), 0, tmp_path / "out"
    while kills < KILLS:
        wanted = len(list(out_dir.glob("hop/clip*/frames.json"))) + dice.choice((0, 1, 4))
        process = subprocess.Popen(
            [sys.executable, "-c", EXTRACT, str(tmp_path / "videos"), str(out_dir)], cwd=PROJECT, start_new_session=True
        )
        wait_for(lambda: len(list(out_dir.glob("hop/clip*/frames.json"))) >= wanted, process)  # noqa: B023
        time.sleep(dice.uniform(0, 0.05))
        assert process.poll() is None, "it was over before it was killed ten times"
        os.killpg(process.pid, signal.SIGKILL) if kills % 2 else process.kill()
        process.wait()
        kills += 1
    time.sleep(1)  # orphaned workers leave within half a second
    report = extract_frames(tmp_path / "videos", out_dir, workers=2, quiet=True)
    assert report.ok and report.done and report.skipped
    assert len(report.done) + len(report.skipped) == 150
    assert snapshot(out_dir) == snapshot(tmp_path / "undisturbed")
