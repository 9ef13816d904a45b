"""Files that are given, in any form, and names of their results: none takes another's place, none is too long."""

import dataclasses
import importlib
import os
import unicodedata
from pathlib import Path

import pytest
import tyro

from tests.io.clips import write_clip
from tfav.cli import parsing
from tfav.data.example_files import staging_path
from tfav.errors import DataError, UsageError
from tfav.io import env_vars, flow_extraction, frame_extraction
from tfav.io.atomic_write import partial_file
from tfav.io.cache import cache_folder
from tfav.io.frame_folders import list_frames
from tfav.io.output_names import as_paths, check_target, name_results, short_name
from tfav.io.video import iter_frames
from tfav.report import write_comparison
from tfav.systems import next_frame
from tfav.systems.lipnet import predict as lipnet
from tfav.training import run_folder as runs

two_stream = importlib.import_module("tfav.systems.two_stream.predict")

LONG = ("A very long title of a talk " * 9)[:250]
JAPANESE = "長い題名の動画" * 11 + "動画で"  # 80 letters, 240 bytes


def names_of(folder, *files):
    return name_results([Path(file) for file in files], folder)


def test_one_path_is_a_list_of_one(tmp_path):
    assert as_paths("clip.mp4") == as_paths(Path("clip.mp4")) == as_paths(["clip.mp4"]) == [Path("clip.mp4")]
    assert as_paths(iter(["a", "b"])) == [Path("a"), Path("b")]
    assert as_paths("~/clip.mp4") == [Path.home() / "clip.mp4"]
    for wrong in (None, 3, [3]):
        with pytest.raises(UsageError, match="a path or several"):
            as_paths(wrong)
    with pytest.raises(UsageError, match="needs two different runs or more"):
        write_comparison("one_run")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/v/take.mp4", "/v/other.mp4"], ["take", "other"]),
        (["/a/take.mp4", "/b/take.mp4"], ["a_take", "b_take"]),
        (["/a/take.mp4", "/b/take.mov", "/c/x.mp4"], ["a_take", "b_take", "x"]),
        (["/a/take.mp4", "/a/take.mov"], ["take_mp4", "take_mov"]),
        (["/1/a/take.mp4", "/2/a/take.mp4"], ["1_a_take", "2_a_take"]),
        (["/a/Take.mp4", "/b/take.mp4"], ["a_Take", "b_take"]),  # one file on macOS and Windows
        (["/a/take.mp4", "/a/take.mp4"], ["take", "take"]),
        (["/a/t.mp4", "/a/t.mov", "/b/t.mp4"], ["a_t_mp4", "a_t_mov", "b_t_mp4"]),
    ],
)
def test_files_of_one_name(tmp_path, files, names):
    assert names_of(tmp_path / "out", *files) == names


def test_an_accent_in_one_part_or_two_is_one_name(tmp_path):
    composed, parted = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    assert names_of(tmp_path, f"/a/{composed}.mp4", f"/b/{parted}.mp4") == [f"a_{composed}", f"b_{parted}"]


def test_names_that_cannot_be_told_apart_by_folders_still_differ(tmp_path):
    files = ["/1/x/a/t.mp4", "/2/x/a/t.mp4", "/a/x_t.mp4", "/a/x/t.mp4"]
    names = names_of(tmp_path, *files)
    assert len(set(names)) == 4


def test_a_file_that_is_none_of_ours_is_never_written_over(tmp_path):
    """GRID's own alignments lie beside its videos, and what is read of them may be written there."""
    (tmp_path / "bbaf2n.align").write_text("0 74500 sil\n")
    (tmp_path / "lrae3s.align").symlink_to("gone")
    files = [Path(f"/s1/{name}.mpg") for name in ("bbaf2n", "lrae3s", "prwq3s")]
    names = name_results(files, tmp_path, [".srt", ".align"])
    assert names == ["s1_bbaf2n", "s1_lrae3s", "prwq3s"]
    (tmp_path / "prwq3s.align").write_text("ours")
    assert name_results(files, tmp_path, [".srt", ".align"]) == names  # ours are replaced by what is newer


def test_a_result_is_never_written_over_its_own_source(tmp_path, monkeypatch):
    video, link = tmp_path / "a.mp4", tmp_path / "linked.mp4"
    video.write_bytes(b"filmed once")
    link.symlink_to(video)
    monkeypatch.setattr(two_stream, "_open_streams", lambda *_: pytest.fail("opened"))
    monkeypatch.setattr(lipnet, "open_predictor", lambda *_, **__: pytest.fail("opened"))
    for target in (video, link, str(tmp_path / "." / "a.mp4")):
        with pytest.raises(UsageError, match=r"--demo .*: the video itself, which would be lost"):
            two_stream.predict_streams("s", "m", video, demo=target)
        with pytest.raises(UsageError, match=r"--captions .*: the video itself, which would be lost"):
            lipnet.predict_files("run", [video], captions=target)
    check_target(tmp_path / "new.mp4", [video, tmp_path / "gone.mp4"], "--demo")
    check_target(None, [video], "--demo")
    assert video.read_bytes() == b"filmed once"


def test_a_later_command_takes_no_name_of_an_earlier_one(tmp_path):
    assert names_of(tmp_path, "/a/take.mp4") == ["take"]
    assert names_of(tmp_path, "/b/take.mp4") == ["b_take"]
    assert names_of(tmp_path, "/a/take.mp4") == ["take"]  # the same file replaces its own results
    assert names_of(tmp_path, "/b/take.mp4", "/c/take.mp4", "/a/take.mp4") == ["b_take", "c_take", "take"]
    (tmp_path / ".sources.json").write_text("[]")  # damaged: begun anew
    assert names_of(tmp_path, "/b/take.mp4") == ["take"]


def test_both_are_kept(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        write_clip(tmp_path / folder / "take.avi", 12)
    files = [tmp_path / folder / "take.avi" for folder in "ab"]
    rows = next_frame.predict_files("pretrained", files, out=tmp_path / "out", frames=1)["files"]
    wrote = [path for row in rows for path in row["wrote"]]
    assert len(set(wrote)) == 4 and all(Path(path).is_file() for path in wrote)
    (row,) = next_frame.predict_files("pretrained", str(files[0]), out=tmp_path / "out", frames=1)["files"]
    assert row["wrote"] == rows[0]["wrote"]


@pytest.mark.parametrize("name", [LONG, JAPANESE, "😀" * 62, os.fsdecode(b"\xe9" * 250)])
def test_names_are_cut_where_something_is_added(tmp_path, name):
    short = short_name(name)
    assert len(os.fsencode(short)) <= 215
    assert short_name(short) == short and short_name("clip") == "clip"
    assert short_name(name + "x") != short  # told apart by what was cut off
    with partial_file(tmp_path / f"{name}.txt") as partial:
        partial.write_text("whole")
    assert (tmp_path / f"{name}.txt").read_text() == "whole"
    staged = staging_path(tmp_path, f"s1/{name}x")
    staged.parent.mkdir(parents=True)
    staged.touch()


@pytest.mark.parametrize("name", [LONG, JAPANESE])
def test_videos_with_names_near_the_limit_are_prepared(tmp_path, name):
    source = tmp_path / "v" / "a" / f"{name}.avi"
    source.parent.mkdir(parents=True)
    write_clip(source, 3)
    options = {"workers": 0, "quiet": True}
    report = frame_extraction.extract_frames(tmp_path / "v", tmp_path / "f", num_frames=2, **options)
    assert (report.failed, len(list_frames(tmp_path / "f" / "a" / name))) == ({}, 2)
    assert frame_extraction.extract_frames(tmp_path / "v", tmp_path / "f", num_frames=2, **options).skipped
    flow = flow_extraction.extract_flow(tmp_path / "v", tmp_path / "g", method="farneback", **options)
    assert flow.failed == {}
    assert flow_extraction.extract_flow(tmp_path / "v", tmp_path / "g", method="farneback", **options).skipped
    from tfav.systems.next_frame import frame_sequences

    assert frame_sequences.cut_folder(
        tmp_path / "v", tmp_path / "s.npy", num_frames=2, size=8, channels=1, **options
    ).ok


# What is told where a path is not what was meant -------------------------------------------------------------------


def test_what_is_no_run_folder_is_told_for_what_it_is(tmp_path):
    run = tmp_path / "runs" / "mine"
    runs.start(run, "cnn_lstm", {}, {"labels": ["a"]})
    (run / "best.keras").write_bytes(b"x")
    (run / "backup").mkdir()
    (tmp_path / "old.h5").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for path, said in (
        (run / "best.keras", rf"a file, and a run is the folder of its files. Give --run-dir {run}\."),
        (tmp_path / "old.h5", r"a file, .* Give the folder that tfav train made\."),
        (tmp_path / "runs", r"not a run folder, but holds some: mine\. Give one"),
        (run / "backup", rf"a part of a run\. Give --run-dir {run}\."),
        (tmp_path / "empty", "not a run folder .*Train one first"),
        (tmp_path / "gone", "not a run folder: it is not there. Check the spelling"),
    ):
        with pytest.raises(UsageError, match=said):
            runs.load(path)


def test_a_folder_of_videos_in_place_of_a_video_is_told_for_what_it_is(tmp_path):
    (tmp_path / "v" / "disk").mkdir(parents=True)
    write_clip(tmp_path / "v" / "disk" / "clip1.avi", 2)
    with pytest.raises(DataError, match=r"a folder of 1 videos.*Name the videos themselves, such as .*disk/clip1\.avi"):
        list_frames(tmp_path / "v" / "disk")
    with pytest.raises(DataError, match=r"holds folders and no images\. Name what is inside, such as .*v/disk"):
        list_frames(tmp_path / "v")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no images in it") as told:
        list_frames(tmp_path / "none")
    assert "remove" not in str(told.value)  # it is not known to be worthless


def test_the_home_folder_is_found_where_shells_leave_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, meant in (
        ("--data-dir=~/v", f"--data-dir={tmp_path}/v"),
        ("~/v", f"{tmp_path}/v"),
        ("~", str(tmp_path)),
        ("--run-dir=~", f"--run-dir={tmp_path}"),
        ("two_stream=~/a,~/b", f"two_stream={tmp_path}/a,{tmp_path}/b"),
        ("backup~/v", "backup~/v"),
        ("--x=~nobody_is_called_so/v", "--x=~nobody_is_called_so/v"),
        ("v/~/w", "v/~/w"),
    ):
        assert parsing.expand_home([given]) == [meant]
    assert next_frame.Config.preset("demo", data_dir="~/v").data_dir == f"{tmp_path}/v"


@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_variable_is_one_that_is_not_set(monkeypatch, tmp_path, value):
    for name in ("TFAV_DECODE_THREADS", "TFAV_CACHE", "TFAV_FACE_DETECTOR"):
        monkeypatch.setenv(name, value)
    write_clip(tmp_path / "a.avi", 2)
    assert len(list(iter_frames(tmp_path / "a.avi"))) == 2
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tfav"
    assert env_vars.variable("TFAV_FACE_DETECTOR") == ""


def test_a_variable_that_is_no_number_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("TFAV_DECODE_THREADS", "two")
    write_clip(tmp_path / "a.avi", 2)
    with pytest.raises(UsageError, match=r"\$TFAV_DECODE_THREADS must be a whole number.*'two'"):
        list(iter_frames(tmp_path / "a.avi"))
    monkeypatch.setenv("TFAV_DECODE_THREADS", "2")
    assert len(list(iter_frames(tmp_path / "a.avi"))) == 2


def test_a_file_whose_name_begins_like_a_flag(tmp_path, monkeypatch):
    """Downloads are called by the address they come from, `-dQw4w9WgX.mp4`."""

    @dataclasses.dataclass
    class Flags:
        files: tyro.conf.Positional[tuple[Path, ...]]
        run_dir: Path = Path("run")

    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "-abc.mp4", 2)
    for given in (["--", "-abc.mp4"], ["./-abc.mp4"], ["--run-dir", "x", "--", "-abc.mp4"]):
        assert parsing.parse(Flags, "tfav predict", given).files == (Path("-abc.mp4"),)
    with pytest.raises(UsageError, match=r"-abc.mp4: a file whose name begins like a flag. Write \./-abc.mp4"):
        parsing.parse(Flags, "tfav predict", ["-abc.mp4"])
    with pytest.raises(UsageError, match=r"-gone\.mp4"):
        parsing.parse(Flags, "tfav predict", ["-gone.mp4"])
