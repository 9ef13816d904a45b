"""A full disk, a jumping clock, read-only data, a corrupt video among many, a folder in use."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.trainings import train
from tests.io.clips import write_clip
from tfav import cli
from tfav.errors import UsageError
from tfav.io.frame_extraction import extract_frames
from tfav.io.lock import locked_folder
from tfav.training.callbacks import read_jsonl

PROJECT = Path(__file__).resolve().parents[2]


def mount(*arguments):
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("may not mount here")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 300 kB, and a function that makes it larger."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=300k", "tmpfs", folder)
    yield folder, lambda: mount("-o", "remount,size=20m", folder)
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def read_only(tmp_path):
    """A function that makes a folder read-only, for root as well."""
    mounted = []

    def protect(folder):
        mount("--bind", folder, folder)
        mounted.append(folder)
        mount("-o", "remount,ro,bind", folder)
        return folder

    yield protect
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def losses(rows):
    return [(row["epoch"], row["loss"], row["val_loss"]) for row in rows]


def test_training_on_a_disk_that_fills_up_goes_on_when_there_is_room(small_disk, tmp_path):
    folder, enlarge = small_disk
    expected = losses(train(tmp_path / "roomy", epochs=3, units=2000, slow=False))
    run_dir = folder / "run"
    # In a process of its own: HDF5, if it meets the end of the disk, takes its process down when that leaves.
    command = [sys.executable, "-m", "tests.faults.trainings", str(run_dir), "large"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr[-2000:]
    assert re.search(r"error: .*no space left on the disk\. Free some space", done.stderr)
    assert "Traceback" not in done.stderr
    assert not [path for path in run_dir.rglob(".partial-*")]
    enlarge()
    np.testing.assert_allclose(losses(train(run_dir, epochs=3, units=2000, slow=False)), expected, rtol=1e-6)


def test_a_clock_that_jumps(tmp_path, monkeypatch):
    expected = losses(train(tmp_path / "calm", epochs=4, slow=False))
    dice, real = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: real() + dice.uniform(-1e7, 1e7))  # four months either way
    train(tmp_path / "run", epochs=2, slow=False)
    rows = train(tmp_path / "run", epochs=4, slow=False)
    np.testing.assert_allclose(losses(rows), expected, rtol=1e-6)
    assert all(0 <= row["seconds"] < 600 for row in rows)


def test_preparing_under_a_clock_that_jumps(tmp_path):
    (tmp_path / "v" / "hop").mkdir(parents=True)
    for number, moment in enumerate((0, 2e9, 4e9)):  # 1970, 2033, 2096
        write_clip(tmp_path / "v" / "hop" / f"c{number}.avi", 5)
        os.utime(tmp_path / "v" / "hop" / f"c{number}.avi", (moment, moment))
    assert len(extract_frames(tmp_path / "v", tmp_path / "f", workers=0, quiet=True).done) == 3
    for path in (tmp_path / "f").rglob("*"):
        os.utime(path, (1e9, 1e9))
    again = extract_frames(tmp_path / "v", tmp_path / "f", workers=0, quiet=True)
    assert (len(again.done), len(again.skipped)) == (0, 3)


def test_read_only_data_are_enough_and_a_read_only_target_is_told(tmp_path, read_only, capsys):
    (tmp_path / "data" / "hop").mkdir(parents=True)
    write_clip(tmp_path / "data" / "hop" / "a.avi", 5)
    videos = read_only(tmp_path / "data")
    assert extract_frames(videos, tmp_path / "frames", workers=1, quiet=True).ok
    frames = read_only(tmp_path / "frames")
    with pytest.raises(UsageError, match="cannot be written to"):
        extract_frames(videos, frames, workers=1, quiet=True)
    with pytest.raises(UsageError, match="cannot be written to"):
        train(frames / "run", epochs=1, slow=False)
    assert cli.main(["prepare", "cnn_lstm", "--source", str(videos), "--out", str(frames)]) == 2
    said = capsys.readouterr().err.strip()
    assert "cannot be written to" in said and "\n" not in said


def test_a_corrupt_video_among_200(tmp_path, capsys):
    (tmp_path / "v" / "hop").mkdir(parents=True)
    write_clip(tmp_path / "clip.avi", 3)
    for number in range(200):
        shutil.copyfile(tmp_path / "clip.avi", tmp_path / "v" / "hop" / f"c{number}.avi")
    with (tmp_path / "v" / "hop" / "c117.avi").open("r+b") as file:
        file.truncate(700)
    command = ["prepare", "cnn_lstm", "--source", str(tmp_path / "v"), "--out", str(tmp_path / "f"), "--json"]
    assert cli.main(command) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["done"], said["failed"]) == (199, 1)
    assert said["failures"][0]["name"] == "hop/c117.avi"
    assert len(list((tmp_path / "f").rglob("frames.json"))) == 199


HOLD = """
import sys, time
from tfav.io.lock import locked_folder
with locked_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(120)
"""


def test_two_processes_on_one_run_folder(tmp_path):
    run_dir = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_dir)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another run is writing to it"):
            train(run_dir, epochs=1, slow=False)
        assert not read_jsonl(run_dir / "metrics.jsonl")
    finally:
        holder.kill()  # and the lock goes with the process
        holder.communicate()
    assert len(train(run_dir, epochs=1, slow=False)) == 1
    with locked_folder(run_dir):
        pass


def test_a_truncated_state_gives_way_to_the_one_before(tmp_path, capsys):
    expected = losses(train(tmp_path / "calm", epochs=5, slow=False))
    train(tmp_path / "run", epochs=3, slow=False)
    newest = tmp_path / "run" / "backup" / "epoch-000003" / "state.weights.h5"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    rows = train(tmp_path / "run", epochs=5, slow=False)
    assert "epoch-000003 cannot be read" in capsys.readouterr().out
    np.testing.assert_allclose(losses(rows), expected, rtol=1e-6)
