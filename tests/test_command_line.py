"""The command line as a person meets it: exit codes, one-line errors, help in under a second."""

import json
import resource
import shutil
import subprocess
import sys

import pytest

from tfav import cli
from tfav.cli.commands import OF_A_SYSTEM, able_systems, parsed
from tfav.data import synthetic
from tfav.systems import SYSTEMS

SMALL = [
    "--num-frames",
    "4",
    "--image-size",
    "32",
    "--cnn-filters",
    "4",
    "8",
    "--cnn-depths",
    "1",
    "1",
    "--lstm-units",
    "4",
    "--epochs",
    "1",
    "--batch-size",
    "6",
]


def tfav(*arguments):
    """Exit code of a command in this process."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as leaving:  # --help
        return leaving.code


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return synthetic.moving_shapes(
        tmp_path_factory.mktemp("cli") / "my vidéos", num_groups=3, clips_per_group=1, num_frames=8, size=32
    )


@pytest.fixture(scope="module")
def run(videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    cache = tmp_path_factory.mktemp("cache")
    command = ["train", "cnn_lstm", "--preset", "demo", "--data-dir", videos, "--run-dir", folder, "--cache-dir", cache]
    assert tfav(*command, *SMALL) == 0
    return folder


def test_help_is_quick_and_loads_no_tensorflow():
    code = "import sys, tfav.cli; tfav.cli.main(['--help']); print('tensorflow' in sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, below 1 s alone: what the clock says is also up to the tests beside this one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.5
    assert done.stdout.splitlines()[-1] == "False"
    assert "train" in done.stdout and "Example" in done.stdout


@pytest.mark.parametrize("name", [name.split() for name in cli.COMMANDS], ids=" ".join)
def test_every_command_has_help_with_an_example(name, capsys):
    systems = able_systems(name[0]) if " ".join(name) in OF_A_SYSTEM else [""]
    for system in systems:
        assert tfav(*filter(None, [*name, system, "--help"])) == 0
        said = capsys.readouterr().out
        assert "Example:" in said and f"tfav {' '.join(name)}" in said


@pytest.mark.parametrize("name", OF_A_SYSTEM)
def test_help_without_a_system_lists_them(name, capsys):
    assert tfav(name, "--help") == 0
    said = capsys.readouterr().out
    assert [system for system in SYSTEMS if f"  {system} " in said] == list(able_systems(name))
    assert f"tfav {name} SYSTEM --help" in said


def test_a_flag_of_another_system_is_unknown(capsys):
    assert tfav("prepare", "lipnet", "--source", "a", "--out", "b", "--from", "lrw") == 2
    said = capsys.readouterr().err
    assert "unknown field --from" in said and "mouth-crop" in said and "every-sec" not in said


def test_train_evaluate_predict_report(run, videos, capsys):
    assert tfav("evaluate", "cnn_lstm", "--run-dir", run, "--data-dir", videos, "--json") == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["count"] == 18 and len(result["videos"]) == 18 and 0 <= result["top1"] <= 1
    assert sum(map(sum, result["confusion"])) == 18
    video = next(videos.glob("grow/*.mp4"))
    assert tfav("predict", "cnn_lstm", "--run-dir", run, video, "--json") == 0
    row = json.loads(capsys.readouterr().out.splitlines()[-1])["files"][0]
    assert [rank["probability"] for rank in row["ranking"]] == sorted(
        (rank["probability"] for rank in row["ranking"]), reverse=True
    )
    assert tfav("report", "--run-dir", run) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/gif;base64,") >= 6 and "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )
    assert len(page) < 10e6


def test_evaluate_scores_a_part_of_the_runs_own_data(run, capsys):
    counts = {}
    for part in ("all", "train", "val"):
        assert tfav("evaluate", "cnn_lstm", "--run-dir", run, "--part", part, "--json") == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        counts[part] = result["count"]
        assert result["part"] == part
    assert counts["all"] == 18 == counts["train"] + counts["val"] and counts["val"] > 0
    assert tfav("evaluate", "cnn_lstm", "--run-dir", run) == 2
    assert "--part test" in capsys.readouterr().err


def test_evaluate_goes_on_past_a_corrupt_video_and_says_so(run, videos, tmp_path, capsys):
    copied = shutil.copytree(videos, tmp_path / "copy")
    bad = next(copied.glob("shrink/*.mp4"))
    bad.write_bytes(bad.read_bytes()[:300])
    assert tfav("evaluate", "cnn_lstm", "--run-dir", run, "--data-dir", copied, "--json") == 1
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["count"] == 17
    assert [bad.name in row["path"] for row in result["failed"]] == [True]


def test_predict_goes_on_past_a_bad_file(run, videos, tmp_path, capsys):
    text = tmp_path / "notes.avi"
    text.write_text("these are notes")
    video = next(videos.glob("grow/*.mp4"))
    assert tfav("predict", "cnn_lstm", "--run-dir", run, text, tmp_path / "gone.mp4", video, "--json") == 1
    captured = capsys.readouterr()
    rows = json.loads(captured.out.splitlines()[-1])["files"]
    assert ["error" in row for row in rows] == [True, True, False]
    assert "notes.avi" in captured.err and "gone.mp4" in captured.err


def test_prepare_writes_frames_and_reports(videos, tmp_path, capsys):
    copied = shutil.copytree(videos, tmp_path / "in")
    (copied / "grow/broken.avi").write_bytes(b"")
    arguments = ["prepare", "cnn_lstm", "--source", copied, "--out", tmp_path / "out", "--num-frames", "3", "--json"]
    assert tfav(*arguments) == 1
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["failed"] == 1 and "broken.avi" in report["failures"][0]["name"]
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 18 * 3


BAD_CALLS = {
    "no such command": (["trian"], "Did you mean 'train'"),
    "unknown system": (["train", "lipnot", "--preset", "x", "--run-dir", "r"], "unknown system 'lipnot'"),
    "no system": (["train", "--preset", "demo"], "needs a system first"),
    "no preset": (["train", "cnn_lstm", "--run-dir", "r"], "needs --preset"),
    "unknown preset": (["train", "cnn_lstm", "--preset", "demoo", "--run-dir", "r"], "Did you mean 'demo'"),
    "unknown field": (
        ["train", "cnn_lstm", "--preset", "demo", "--run-dir", "r", "--epoch", "3"],
        "Did you mean --epochs",
    ),
    "wrong type": (["train", "cnn_lstm", "--preset", "demo", "--run-dir", "r", "--epochs", "abc"], "--epochs"),
    "missing flag": (["predict", "cnn_lstm", "v.mp4"], "--run-dir"),
    "missing run": (["predict", "two_stream", "v.mp4"], "needs --run-dir"),
    "not a run": (["predict", "cnn_lstm", "--run-dir", "nowhere", "v.mp4"], "nowhere: not a run folder"),
    "no data": (
        ["train", "cnn_lstm", "--preset", "demo", "--run-dir", "r", "--data-dir", "gone"],
        "gone: no such folder",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_wrong_calls_are_one_line_and_exit_2(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, message = BAD_CALLS[name]
    assert tfav(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was made on the way


def test_a_run_of_other_labels_or_settings_is_refused(run, videos, tmp_path, capsys):
    copied = shutil.copytree(videos, tmp_path / "copy")
    (copied / "grow").rename(copied / "swell")
    again = ["train", "cnn_lstm", "--preset", "demo", "--run-dir", run, *SMALL, "--cache-dir", tmp_path / "cache"]
    assert tfav(*again, "--data-dir", copied) == 2
    assert "other labels" in capsys.readouterr().err
    assert tfav(*again, "--data-dir", videos, "--seed", "5") == 2
    assert "other settings: seed" in capsys.readouterr().err
    assert tfav("evaluate", "cnn_lstm", "--run-dir", run, "--data-dir", copied) == 1
    assert "does not know class swell" in capsys.readouterr().err


def test_switches_can_be_spelt_out():
    base = ["cnn_lstm", "--preset", "demo", "--run-dir", "r", "--data-dir", "d"]
    assert parsed("train", [*base, "--flip", "true"])[2].flip is True
    assert parsed("train", [*base, "--flip"])[2].flip is True
    assert parsed("train", [*base, "--subtract-mean", "False"])[2].subtract_mean is False


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB, where the user may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_is_one_line_and_leaves_nothing_half_written(small_disk, videos, tmp_path, capsys):
    where = ["--data-dir", videos, "--run-dir", small_disk / "run", "--cache-dir", tmp_path]
    assert tfav("train", "cnn_lstm", "--preset", "demo", *where, *SMALL, "--lstm-units", "64") == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ") and "no space left" in said and str(small_disk) in said
    assert not [path for path in small_disk.rglob("*") if ".partial" in path.name or path.suffix == ".keras"]
