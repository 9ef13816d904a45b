"""Frame folders from videos: what is written, what is skipped, what is done again, and what is said of failures."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest

from tests.io.clips import read_number, write_clip
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.frame_extraction import extract_frames
from tfav.io.frame_folders import inspect_frames, list_classes, list_frames
from tfav.io.listing import VIDEO_SUFFIXES, videos_to_extract, walk_files


def videos_in(folder):
    return walk_files(folder, VIDEO_SUFFIXES).files


def frame_folders(folder):
    return walk_files(folder, VIDEO_SUFFIXES, frames=True).frame_folders


def extract(videos_dir, out_dir, **options):
    """Extract in this process: what processes change is tested in test_parallel.py."""
    return extract_frames(videos_dir, out_dir, **({"workers": 0, "quiet": True} | options))


def read_folder(folder) -> list[int]:
    """Return the numbers drawn into the frames of a folder."""
    return [read_number(cv2.imread(str(path))) for path in list_frames(folder)]


def snapshot(folder) -> dict:
    """Return every file under a folder with its content, but for the report, which holds the time it took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "prepare_report.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def videos_dir(tmp_path):
    """Two classes, three videos of 75, 75 and 30 frames."""
    folder = tmp_path / "videos"
    for name, num_frames in (("hop/one.avi", 75), ("hop/two.mp4", 75), ("skip/three.mkv", 30)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_clip(folder / name, num_frames, codec="mpeg4" if name.endswith("avi") else "libx264")
    return folder


def test_videos_in_the_folder_of_results_are_no_sources(tmp_path):
    for name in ("a/one.mp4", "out/annotated.mp4", "out/frames/two.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"video")
    assert videos_to_extract(tmp_path, tmp_path / "out") == ([tmp_path / "a/one.mp4"], {}, "")


def test_names_numbers_and_report(videos_dir, tmp_path):
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert (report.done, report.skipped, report.failed) == (["hop/one.avi", "hop/two.mp4", "skip/three.mkv"], [], {})
    assert report.ok
    names = [path.name for path in list_frames(tmp_path / "out" / "hop" / "one")]
    assert names == ["one_frame_00.jpg", "one_frame_01.jpg", "one_frame_02.jpg"]
    assert read_folder(tmp_path / "out" / "hop" / "one") == [0, 25, 50]
    assert read_folder(tmp_path / "out" / "skip" / "three") == [0, 25]
    written = json.loads((tmp_path / "out" / "prepare_report.json").read_text())
    assert (written["done"], written["skipped"], written["failed"], written["failures"]) == (3, 0, 0, [])
    manifest = json.loads((tmp_path / "out" / "hop" / "one" / "frames.json").read_text())
    assert manifest["source"]["name"] == "one.avi"
    assert [frame["index"] for frame in manifest["frames"]] == [0, 25, 50]
    assert [frame["time_sec"] for frame in manifest["frames"]] == [0, 1, 2]
    assert not [path for path in (tmp_path / "out").rglob(".*")]


def test_evenly_and_all(videos_dir, tmp_path):
    extract(videos_dir, tmp_path / "even", num_frames=5)
    assert read_folder(tmp_path / "even" / "hop" / "two") == [0, 19, 37, 56, 74]
    extract(videos_dir, tmp_path / "all")
    assert read_folder(tmp_path / "all" / "skip" / "three") == list(range(30))


def test_names_widen_for_many_frames(tmp_path):
    (tmp_path / "v" / "c").mkdir(parents=True)
    write_clip(tmp_path / "v" / "c" / "long.avi", 101)
    extract(tmp_path / "v", tmp_path / "out")
    paths = list_frames(tmp_path / "out" / "c" / "long")
    assert (paths[0].name, paths[-1].name) == ("long_frame_000.jpg", "long_frame_100.jpg")


def test_a_step_finer_than_the_frames_repeats_them(tmp_path):
    (tmp_path / "v" / "c").mkdir(parents=True)
    write_clip(tmp_path / "v" / "c" / "a.avi", 3)
    extract(tmp_path / "v", tmp_path / "out", every_sec=0.02)
    assert read_folder(tmp_path / "out" / "c" / "a") == [0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (48, 176)), (24, (24, 88)), (100, (48, 176)), ((32, 32), (32, 32))]
)
def test_size(videos_dir, tmp_path, size, expected):
    extract(videos_dir, tmp_path / "out", num_frames=1, size=size)
    (path,) = list_frames(tmp_path / "out" / "hop" / "one")
    assert cv2.imread(str(path)).shape[:2] == expected


def test_colours_and_quality(videos_dir, tmp_path):
    extract(videos_dir, tmp_path / "best", num_frames=1, quality=100)
    extract(videos_dir, tmp_path / "small", num_frames=1, quality=10)
    best, small = (list_frames(tmp_path / name / "hop" / "one")[0] for name in ("best", "small"))
    assert small.stat().st_size < best.stat().st_size
    blue, green, red = cv2.imread(str(best))[24, 8]
    assert red > 200 and green < 60 and blue < 60


def test_a_complete_folder_is_skipped_and_any_other_done_again(videos_dir, tmp_path):
    out = tmp_path / "out"
    extract(videos_dir, out, every_sec=1)
    whole = snapshot(out)
    assert len(extract(videos_dir, out, every_sec=1).skipped) == 3
    frame = out / "hop" / "one" / "one_frame_01.jpg"
    for spoil in (
        lambda: frame.unlink(),
        lambda: frame.write_bytes(frame.read_bytes()[:-10]),
        lambda: (frame.parent / "frames.json").unlink(),
        lambda: (frame.parent / "frames.json").write_text("{"),
        lambda: (frame.parent / "frames.json").write_text("[]"),
    ):
        spoil()
        report = extract(videos_dir, out, every_sec=1)
        assert (report.done, len(report.skipped)) == (["hop/one.avi"], 2)
        assert snapshot(out) == whole


def test_other_settings_or_another_source_are_done_again(videos_dir, tmp_path):
    out = tmp_path / "out"
    extract(videos_dir, out, every_sec=1)
    assert len(extract(videos_dir, out, num_frames=7).done) == 3
    assert len(list_frames(out / "hop" / "one")) == 7  # and no frame of before
    write_clip(videos_dir / "hop" / "one.avi", 10)
    assert extract(videos_dir, out, num_frames=7).done == ["hop/one.avi"]
    assert read_folder(out / "hop" / "one")[-1] == 9


def test_what_a_killed_run_left_is_cleared_away(videos_dir, tmp_path):
    out = tmp_path / "out"
    (out / "hop" / ".partial-1234-one").mkdir(parents=True)
    (out / "hop" / ".partial-1234-one" / "3.jpg").write_bytes(b"half")
    (out / ".partial-5678-prepare_report.json").write_text("{")
    extract(videos_dir, out, every_sec=1)
    assert not [path for path in out.rglob(".*")]


def test_bad_videos_are_named_and_stop_no_other(videos_dir, tmp_path):
    (videos_dir / "hop" / "zero.avi").touch()
    (videos_dir / "hop" / "notes.avi").write_text("These are notes.\n" * 100)
    whole = (videos_dir / "hop" / "one.avi").read_bytes()
    (videos_dir / "skip" / "cut.avi").write_bytes(whole[: int(len(whole) * 0.9)])
    (videos_dir / "skip" / "header.avi").write_bytes(whole[: whole.index(b"movi") + 4])
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert len(report.done) == 3
    assert set(report.failed) == {"hop/zero.avi", "hop/notes.avi", "skip/cut.avi", "skip/header.avi"}
    assert "empty (0 bytes)" in report.failed["hop/zero.avi"]
    assert "not a readable media file" in report.failed["hop/notes.avi"]
    assert "truncated or corrupt" in report.failed["skip/cut.avi"]
    assert not report.ok
    for name, reason in report.failed.items():
        assert name in reason and "\n" not in reason
        assert name in report.summary()
    written = json.loads((tmp_path / "out" / "prepare_report.json").read_text())
    assert {failure["name"]: failure["reason"] for failure in written["failures"]} == report.failed
    assert [folder.name for folder in frame_folders(tmp_path / "out")] == [
        "one",
        "two",
        "three",
    ]
    assert not [path for path in (tmp_path / "out").rglob(".*")]
    # The whole ones are not done again, the bad ones tried again: one of them may have been mended.
    shutil.copy(videos_dir / "hop" / "one.avi", videos_dir / "hop" / "zero.avi")
    again = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert (len(again.skipped), again.done, len(again.failed)) == (3, ["hop/zero.avi"], 3)


def test_damaged_videos_may_be_kept(videos_dir, tmp_path):
    whole = (videos_dir / "hop" / "one.avi").read_bytes()
    (videos_dir / "hop" / "cut.avi").write_bytes(whole[: int(len(whole) * 0.9)])
    report = extract(videos_dir, tmp_path / "out", every_sec=1, keep_damaged=True)
    assert report.ok
    assert "hop/cut.avi: damaged" in report.warnings[0]
    assert read_folder(tmp_path / "out" / "hop" / "cut")[:2] == [0, 25]


def test_a_source_that_went_bad_does_not_leave_its_old_frames(videos_dir, tmp_path):
    extract(videos_dir, tmp_path / "out", every_sec=1)
    (videos_dir / "hop" / "one.avi").write_bytes(b"")
    assert list(extract(videos_dir, tmp_path / "out", every_sec=1).failed) == ["hop/one.avi"]
    assert not (tmp_path / "out" / "hop" / "one").exists()


def test_two_videos_of_one_name_both_fail(videos_dir, tmp_path):
    shutil.copy(videos_dir / "hop" / "one.avi", videos_dir / "hop" / "one.mp4")
    shutil.copy(videos_dir / "hop" / "one.avi", videos_dir / "skip" / "one.avi")  # in another class: no clash
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert set(report.failed) == {"hop/one.avi", "hop/one.mp4"}
    assert "hop/one.avi and hop/one.mp4 would share the folder hop/one. Rename" in report.failed["hop/one.mp4"]
    assert "skip/one.avi" in report.done
    assert not (tmp_path / "out" / "hop" / "one").exists()


def test_a_class_without_videos_and_other_files_are_warned_of(videos_dir, tmp_path):
    (videos_dir / "jump").mkdir()
    (videos_dir / "hop" / "clip.xyz").touch()
    (videos_dir / ".hidden").mkdir()
    (videos_dir / "hop" / "._one.avi").write_bytes(b"left by another system")
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert report.ok
    assert len(report.warnings) == 2
    assert "class jump has no videos" in report.warnings[0]
    assert "clip.xyz" in report.warnings[1]


def test_no_videos_at_all(tmp_path):
    (tmp_path / "v" / "hop").mkdir(parents=True)
    for folder in (tmp_path / "v", tmp_path / "v" / "hop"):
        with pytest.raises(DataError, match=r"no videos in it.*\.avi"):
            extract(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_calls(videos_dir, tmp_path):
    for options, words in (
        ({"every_sec": 1, "num_frames": 3}, "every_sec or num_frames"),
        ({"every_sec": 0}, "every_sec"),
        ({"num_frames": 0}, "num_frames|n=0"),
        ({"quality": 0}, "quality"),
        ({"size": 0}, "size"),
        ({"size": (1, 2, 3)}, "size"),
        ({"workers": -1}, "workers"),
        ({"backend": "threads"}, "backend.*loky"),
    ):
        with pytest.raises(UsageError, match=words):
            extract(videos_dir, tmp_path / "out", **options)
    with pytest.raises(UsageError, match="no such folder"):
        extract(tmp_path / "none", tmp_path / "out")
    with pytest.raises(UsageError, match="not a folder"):
        extract(videos_dir / "hop" / "one.avi", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written to"):
        extract(videos_dir, tmp_path / "file")


def test_spaces_letters_and_videos_without_a_class(tmp_path):
    videos_dir = tmp_path / "Meine Vidéos 视频"
    (videos_dir / "Klasse größer").mkdir(parents=True)
    write_clip(tmp_path / "a.avi", 30)
    shutil.copy(tmp_path / "a.avi", videos_dir / "Klasse größer" / "ein %s clip é.AVI")
    shutil.copy(tmp_path / "a.avi", videos_dir / "ohne.avi")
    report = extract_frames(videos_dir, videos_dir, every_sec=1, workers=1, quiet=True)
    assert report.ok and len(report.done) == 2
    assert read_folder(videos_dir / "Klasse größer" / "ein %s clip é") == [0, 25]
    assert read_folder(videos_dir / "ohne") == [0, 25]
    # Frames beside their videos are neither taken for videos nor for something odd.
    again = extract(videos_dir, videos_dir, every_sec=1)
    assert (len(again.skipped), again.warnings) == (2, [])


def test_a_folder_that_holds_other_things_is_left_alone(videos_dir, tmp_path):
    precious = tmp_path / "out" / "hop" / "one" / "thesis.tex"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert list(report.failed) == ["hop/one.avi"]
    assert "holds other things than frames" in report.failed["hop/one.avi"]
    assert precious.read_text() == "years of work"


def test_unreadable_video(videos_dir, tmp_path, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "one.avi" not in str(path) and real(path, mode))
    report = extract(videos_dir, tmp_path / "out", every_sec=1)
    assert list(report.failed) == ["hop/one.avi"]
    assert "no permission" in report.failed["hop/one.avi"]


def test_links_in_a_circle_end(videos_dir, tmp_path):
    (videos_dir / "hop" / "loop").symlink_to(videos_dir)
    assert len(videos_in(videos_dir)) == 3


def test_real_clips_of_wrong_stated_length(shared_data, tmp_path):
    source = shared_data("ut_interaction/handshake/set1_g01_004.avi")  # states 185 frames and has 183
    (tmp_path / "v" / "handshake").mkdir(parents=True)
    shutil.copy(source, tmp_path / "v" / "handshake")
    extract(tmp_path / "v", tmp_path / "out", num_frames=16)
    manifest = json.loads((tmp_path / "out" / "handshake" / source.stem / "frames.json").read_text())
    indices = [frame["index"] for frame in manifest["frames"]]
    assert (len(indices), indices[0], indices[-1]) == (16, 0, 182)
    assert len(list_frames(tmp_path / "out" / "handshake" / source.stem)) == 16


# Listing ------------------------------------------------------------------------------------------------------------


def write_images(folder, names, size=(8, 6)):
    """Write an image under each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((*size, 3), np.uint8))


def test_frames_come_in_natural_order(tmp_path):
    write_images(tmp_path / "f", [f"img{number}.png" for number in range(12)])
    assert [path.name for path in list_frames(tmp_path / "f")] == [f"img{number}.png" for number in range(12)]


def test_classes_and_folders_come_in_natural_order(tmp_path):
    for name in ("class10", "class2", "Class1"):
        write_images(tmp_path / name / "clip", ["0.jpg"])
    (tmp_path / ".cache").mkdir()
    assert list_classes(tmp_path) == ["Class1", "class2", "class10"]
    assert [folder.parent.name for folder in frame_folders(tmp_path)] == [
        "Class1",
        "class2",
        "class10",
    ]


def test_numbers_may_start_at_one(tmp_path):
    write_images(tmp_path / "f", ["f_1.jpg", "f_2.jpg"])
    assert len(list_frames(tmp_path / "f")) == 2


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["f_0.jpg", "f_1.jpg", "f_3.jpg"], "frame number 2 is missing"),
        (["f_0.jpg", "f_5.jpg"], r"frame number 1 \(and 3 more\) is missing"),
        (["f_4.jpg", "f_5.jpg"], "frame number 1 "),
        (["f_0.jpg", "f_99999999999999999.jpg"], "frame number 1 "),
        (["f_1.jpg", "f_01.jpg"], "frame 1 is there twice"),
        (["first.jpg"], "no frame number"),
        ([], "no images"),
    ],
)
def test_gaps_are_errors_that_name_folder_and_number(tmp_path, names, words):
    write_images(tmp_path / "clip é", names)
    with pytest.raises(DataError, match=words) as caught:
        list_frames(tmp_path / "clip é")
    assert "clip é" in str(caught.value)
    if names:
        assert len(list_frames(tmp_path / "clip é", check=False)) == len(names)


def test_images_may_differ_in_size_and_it_is_told(tmp_path):
    write_images(tmp_path / "f", ["f_0.jpg", "f_1.jpg"])
    assert inspect_frames(tmp_path / "f").describe_sizes() == ""
    write_images(tmp_path / "f", ["f_2.jpg"], size=(9, 6))
    assert len(list_frames(tmp_path / "f")) == 3
    told = inspect_frames(tmp_path / "f").describe_sizes()
    assert told == "pictures of 2 sizes (f_2.jpg has 6x9, most 6x8)"


def test_a_cut_image_is_an_error_that_names_it(tmp_path):
    write_images(tmp_path / "f", ["f_0.jpg", "f_1.jpg"], size=(64, 64))
    whole = (tmp_path / "f" / "f_1.jpg").read_bytes()
    (tmp_path / "f" / "f_1.jpg").write_bytes(whole[:-40])
    with pytest.raises(MediaError, match=r"f_1.jpg: an image that is cut short"):
        list_frames(tmp_path / "f")


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_an_unreadable_image_is_an_error(tmp_path, content):
    write_images(tmp_path / "f", ["f_0.jpg", "f_1.jpg"])
    (tmp_path / "f" / "f_1.jpg").write_bytes(content)
    with pytest.raises(MediaError, match=r"f_1.jpg: not a readable image"):
        list_frames(tmp_path / "f")


def test_no_such_folder(tmp_path):
    for listing in (list_frames, list_classes, videos_in, frame_folders):
        with pytest.raises(UsageError, match="no such folder"):
            listing(tmp_path / "none")
