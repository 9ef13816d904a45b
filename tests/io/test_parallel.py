"""The executor: parallel equals serial; nothing is lost when units fail or die, disks fill up, the run is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.io.clips import write_clip
from tests.io.test_frame_extraction import snapshot
from tfav.errors import MediaError, UsageError
from tfav.io.atomic_write import DiskFullError, is_disk_full, partial_file, partial_folder, remove_partials, write_json
from tfav.io.frame_extraction import extract_frames
from tfav.io.parallel import Unit, run_units

PROJECT = Path(__file__).resolve().parents[2]


def square(out_dir, number):
    """Write a number's square, beside and renamed in; 13 fails, 7 warns."""
    if number == 13:
        raise MediaError(f"{number}.avi", "unlucky", "Skip it.")
    with partial_file(Path(out_dir, f"{number}.txt")) as partial:
        partial.write_text(str(number**2))
    return "looks odd" if number == 7 else None


def is_squared(out_dir, number):
    """Whether the result is there."""
    return Path(out_dir, f"{number}.txt").exists()


def die_or_square(out_dir, number, deadly, times):
    """Kill the own process, as want of memory would, the first so many times that a deadly number comes up."""
    if number == deadly:
        tries = len(list(Path(out_dir).glob("died-*")))
        if tries < times:
            Path(out_dir, f"died-{tries}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return square(out_dir, number)


def fill_disk(out_dir, number):
    """Write for ever."""
    with partial_folder(Path(out_dir, str(number))) as partial, (partial / "data").open("wb") as file:
        while True:
            file.write(bytes(1 << 16))


def break_oddly(number):
    """Raise what is no TfavError."""
    raise KeyError(f"two\nlines {number}")


def report_threads(out_dir, number):
    """Return what a worker's libraries are told of threads."""
    import cv2

    return f"{os.environ['TFAV_DECODE_THREADS']} {cv2.getNumThreads()}"


@pytest.mark.parametrize("workers", [0, 1, 2, None])
def test_units_are_done_and_accounted_for(tmp_path, workers):
    units = [Unit(f"unit {number}", (str(tmp_path), number)) for number in range(20)]
    report = run_units(square, units, tmp_path, is_done=is_squared, workers=workers, quiet=True)
    assert sorted(report.done) == sorted(f"unit {number}" for number in range(20) if number != 13)
    assert report.failed == {"unit 13": "13.avi: unlucky. Skip it."}
    assert report.warnings == ["unit 7: looks odd"]
    assert (tmp_path / "19.txt").read_text() == "361"
    again = run_units(square, units, tmp_path, is_done=is_squared, workers=workers, quiet=True)
    assert (len(again.done), len(again.skipped), list(again.failed)) == (0, 19, ["unit 13"])


def test_an_unforeseen_error_is_one_line(tmp_path):
    report = run_units(break_oddly, [Unit("a", (1,))], tmp_path, workers=0, quiet=True)
    assert report.failed["a"].startswith("KeyError: ")
    assert "\n" not in report.failed["a"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_unit_whose_process_dies_once_is_done_on_the_second_try(tmp_path, workers):
    units = [Unit(str(number), (str(tmp_path), number, 4, 1)) for number in range(10)]
    report = run_units(die_or_square, units, tmp_path, workers=workers, quiet=True)
    assert report.ok
    assert sorted(report.done) == sorted(map(str, range(10)))


def test_a_unit_whose_process_dies_twice_fails_and_the_rest_go_on(tmp_path):
    units = [Unit(str(number), (str(tmp_path), number, 4, 99)) for number in range(10)]
    report = run_units(die_or_square, units, tmp_path, workers=2, quiet=True)
    assert list(report.failed) == ["4"]
    assert "killed twice" in report.failed["4"]
    assert sorted(report.done) == sorted(str(number) for number in range(10) if number != 4)
    assert len(list(tmp_path.glob("died-*"))) == 2


def test_workers_use_one_thread_each(tmp_path):
    report = run_units(report_threads, [Unit("a", (str(tmp_path), 1))], tmp_path, workers=1, quiet=True)
    assert report.warnings == ["a: 1 1"]


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a tmpfs here; test_full_disk_by_file_size_limit stands in")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("workers", [0, 2])
def test_full_disk_stops_the_run_and_leaves_nothing_half_written(small_disk, workers):
    units = [Unit(str(number), (str(small_disk), number)) for number in range(4)]
    with pytest.raises(DiskFullError, match=r"no space left.*Free some space") as caught:
        run_units(fill_disk, units, small_disk, workers=workers, quiet=True)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert {path.name for path in small_disk.iterdir()} <= {"prepare_report.json"}


def test_full_disk_while_extracting_frames(small_disk, tmp_path):
    (tmp_path / "v" / "hop").mkdir(parents=True)
    write_clip(tmp_path / "v" / "hop" / "a.avi", 300, size=(480, 640))
    write_clip(tmp_path / "v" / "hop" / "b.avi", 5, size=(240, 320))
    with pytest.raises(DiskFullError, match="no space left"):
        extract_frames(tmp_path / "v", small_disk, quality=100, workers=1, quiet=True)
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".partial-")]
    folders = {path.parent for path in left if path.suffix == ".jpg"}
    assert all((folder / "frames.json").exists() for folder in folders)
    report = extract_frames(tmp_path / "v", tmp_path / "roomy", quality=100, workers=1, quiet=True)
    assert report.ok


def test_full_disk_by_file_size_limit(tmp_path):
    code = f"""
import resource, signal
from tests.io.test_parallel import *
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    run_units(fill_disk, [Unit("a", ({str(tmp_path)!r}, 1))], {str(tmp_path)!r}, workers=0, quiet=True)
except DiskFullError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert "no space left" in result.stdout, result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"prepare_report.json"}


def test_two_runs_on_one_folder(tmp_path):
    code = f"""
import time
from tfav.io.lock import locked_folder
with locked_folder({str(tmp_path / "out")!r}, ".prepare.lock"):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another run is writing to it"):
            run_units(square, [Unit("1", (str(tmp_path), 1))], tmp_path / "out", workers=0, quiet=True)
    finally:
        holder.kill()
        holder.communicate()
    assert run_units(square, [Unit("1", (str(tmp_path), 1))], tmp_path / "out", workers=0, quiet=True).ok
    assert not (tmp_path / "out" / ".prepare.lock").exists()


EXTRACT = """
import signal, sys
from tfav.io.frame_extraction import extract_frames
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
print("begin", flush=True)
extract_frames(sys.argv[1], sys.argv[2], workers=2, quiet=True)
"""


def finished(out_dir):
    """Names of the folders that are there under their own name; `glob` finds those being written, too."""
    names = {path.parent.name for path in Path(out_dir).glob("*/*/frames.json")}
    return {name for name in names if not name.startswith(".partial")}


def start_extraction(videos_dir, out_dir):
    """Start an extraction of all frames in a process group of its own, and wait until the first folder is there."""
    command = [sys.executable, "-c", EXTRACT, videos_dir, out_dir]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=PROJECT, start_new_session=True, **pipes)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not finished(out_dir):
        time.sleep(0.005)
    return process


@pytest.fixture(scope="module")
def many_videos(tmp_path_factory):
    """Forty clips, and their frames from an undisturbed run."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "videos" / "hop").mkdir(parents=True)
    for number in range(40):
        write_clip(folder / "videos" / "hop" / f"clip{number}.avi", 60, size=(240, 320))
    report = extract_frames(folder / "videos", folder / "undisturbed", workers=0, quiet=True)
    assert len(report.done) == 40
    return folder / "videos", folder / "undisturbed"


def test_parallel_equals_serial(many_videos, tmp_path):
    videos_dir, undisturbed = many_videos
    extract_frames(videos_dir, tmp_path / "out", workers=2, quiet=True)
    assert snapshot(tmp_path / "out") == snapshot(undisturbed)


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_run_killed_midway_goes_on_with_the_same_command(many_videos, tmp_path, whole_group):
    videos_dir, undisturbed = many_videos
    out_dir = tmp_path / "out"
    process = start_extraction(videos_dir, out_dir)
    os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.communicate(timeout=30)  # the workers hold these pipes too: they must not outlive their parent for long
    before = finished(out_dir)
    assert 0 < len(before) < 40, "the run was over before it could be killed"
    report = extract_frames(videos_dir, out_dir, workers=2, quiet=True)
    # A worker may have finished what it was at before it noticed that its parent was gone.
    assert len(report.skipped) >= len(before)
    assert len(report.done) + len(report.skipped) == 40
    assert snapshot(out_dir) == snapshot(undisturbed)


def test_interrupting_leaves_a_clean_state(many_videos, tmp_path):
    videos_dir, undisturbed = many_videos
    out_dir = tmp_path / "out"
    process = start_extraction(videos_dir, out_dir)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: every process of the group gets it
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert not [path for path in out_dir.rglob(".*")]
    written = json.loads((out_dir / "prepare_report.json").read_text())
    assert written["done"] < 40
    assert "run the same again" in written["warnings"][-1]
    extract_frames(videos_dir, out_dir, workers=2, quiet=True)
    assert snapshot(out_dir) == snapshot(undisturbed)


def test_progress_bar_only_when_it_takes_time_and_is_wanted(tmp_path, capsys):
    units = [Unit(str(number), (0.3,)) for number in range(9)]
    run_units(time.sleep, units, tmp_path, workers=0, label="napping")
    assert "napping" in capsys.readouterr().err
    run_units(time.sleep, units[:1], tmp_path, workers=0, label="napping")
    assert capsys.readouterr().err == ""
    run_units(time.sleep, units, tmp_path, workers=0, quiet=True, label="napping")
    assert capsys.readouterr().err == ""


# Partial files ------------------------------------------------------------------------------------------------------


def test_a_partial_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "sub" / "a.json"
    write_json(path, {"größe": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"größe": 1}
    with pytest.raises(RuntimeError), partial_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text(encoding="utf-8")) == {"größe": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_partial_folder_replaces_the_old_one(tmp_path):
    for content in ("old", "new"):
        with partial_folder(tmp_path / "f") as partial:
            (partial / content).touch()
    assert [entry.name for entry in (tmp_path / "f").iterdir()] == ["new"]
    with pytest.raises(RuntimeError), partial_folder(tmp_path / "f") as partial:
        raise RuntimeError
    assert [entry.name for entry in tmp_path.rglob("*")] == ["f", "new"]


def test_partials_are_removed_at_any_depth(tmp_path):
    (tmp_path / "a" / ".partial-1-b" / "c").mkdir(parents=True)
    (tmp_path / "a" / ".partial-2-d.txt").touch()
    (tmp_path / "a" / "partial.txt").touch()
    assert remove_partials(tmp_path) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "partial.txt"]
    assert remove_partials(tmp_path / "none") == 0


def test_disk_full_is_told_from_other_errors():
    assert is_disk_full(OSError(28, "No space left on device"))
    assert not is_disk_full(OSError(2, "No such file"))
    assert not is_disk_full(ValueError())
