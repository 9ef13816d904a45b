"""Names that are no UTF-8, as old archives and disks have them: everything works, and everything can be written."""

import json
import os

import cv2
import numpy as np
import pytest

from tests.io.clips import write_clip
from tfav.cli import parsing
from tfav.data import pipeline, shards, splits
from tfav.data.example_files import Record, fingerprint, load_staged, stage_record
from tfav.data.folders import scan
from tfav.data.shard_verification import verify_shards
from tfav.errors import MediaError
from tfav.io import flow_extraction, frame_extraction
from tfav.io.atomic_write import write_json
from tfav.io.contact_sheet import write_contact_sheet
from tfav.io.frame_folders import list_frames
from tfav.io.parallel import PrepareReport
from tfav.io.text_files import write_text
from tfav.report import markup, plots
from tfav.report.video_clips import gif_data_url
from tfav.speech import splits as recording_splits
from tfav.systems.cnn_lstm import feature_cache
from tfav.systems.next_frame import frame_sequences
from tfav.systems.two_stream import demo_video

CAFE = os.fsdecode(b"caf\xe9")
QUIET = {"workers": 0, "quiet": True}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A class tree in which folders and files have such names."""
    root = tmp_path_factory.mktemp("latin1")
    try:
        (root / CAFE).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    for name in (f"{CAFE}/{CAFE}1", f"{CAFE}/{CAFE}2", f"b/{CAFE}3", f"b/{CAFE}4"):
        (root / name).parent.mkdir(exist_ok=True)
        write_clip(root / "clip.avi", 6)
        (root / "clip.avi").rename(root / f"{name}.avi")
    return root


def test_videos_are_prepared_and_listed(videos, tmp_path):
    tree = scan(videos)
    assert tree.labels == ["b", CAFE]
    report = frame_extraction.extract_frames(videos, tmp_path / "f", num_frames=3, **QUIET)
    assert (len(report.done), report.failed) == (4, {})
    assert json.loads((tmp_path / "f" / "prepare_report.json").read_bytes())["done"] == 4
    assert frame_extraction.extract_frames(videos, tmp_path / "f", num_frames=3, **QUIET).skipped == report.done
    assert [example.name for example in scan(tmp_path / "f").examples] == [example.name for example in tree.examples]
    flow = flow_extraction.extract_flow(videos, tmp_path / "g", method="farneback", **QUIET)
    assert len(flow.done) == 4
    assert flow_extraction.extract_flow(videos, tmp_path / "g", method="farneback", **QUIET).skipped == flow.done
    assert frame_sequences.cut_folder(videos, tmp_path / "s.npy", num_frames=2, size=8, channels=1, **QUIET).ok
    assert frame_sequences.group_sizes(tmp_path / "s.npy", 12) == [3] * 4
    assert len(frame_sequences.read_frames(tmp_path / "f" / CAFE / f"{CAFE}1", 8, 1)) == 3
    assert frame_sequences.frame_size(tmp_path / "f" / CAFE / f"{CAFE}1") == frame_sequences.frame_size(
        videos / CAFE / f"{CAFE}1.avi"
    )
    assert gif_data_url(tmp_path / "f" / CAFE / f"{CAFE}1").startswith("data:image/gif")


def test_pictures_are_read_inside_the_graph(videos, tmp_path):
    frame_extraction.extract_frames(videos, tmp_path / "f", num_frames=3, **QUIET)
    files = [list_frames(example.path) for example in scan(tmp_path / "f").examples]
    decode = pipeline.decode_frames(8, 8)
    columns = {"paths": pipeline.frame_column(files, 3)}
    dataset = pipeline.for_evaluation(columns, lambda row: decode(row["paths"]), batch_size=4)
    (((pixels, mask),),) = [list(dataset)]
    assert pixels.shape == (4, 3, 8, 8, 3) and np.all(mask)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    folder = tmp_path / CAFE
    folder.mkdir()
    picture = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    (folder / "f_0.jpg").write_bytes(picture[: len(picture) // 2])
    decode = pipeline.decode_frames(8, 8)
    columns = {"paths": pipeline.frame_column([[folder / "f_0.jpg"]], 1)}
    with pytest.raises(MediaError) as told, pipeline.naming_bad_pictures():
        list(pipeline.for_evaluation(columns, lambda row: decode(row["paths"]), batch_size=1))
    assert told.value.path == str(folder / "f_0.jpg")


def test_keys_and_splits_take_them(videos):
    examples = scan(videos).examples
    assert fingerprint(examples[0].path, str(examples[0].path))
    assert feature_cache._video_key(examples[0].path)
    assert len(splits.by_fraction(examples, val=0.5, test=0.0).val) == 2
    assert sum(map(len, recording_splits.by_hash([f"s1/{CAFE}"], val=0.1, test=0.1))) == 1


def test_shards_keep_them(tmp_path):
    record = Record(f"s1/{CAFE}", np.zeros((3, 2, 2, 1), np.uint8), text=CAFE)
    stage_record(lambda: (record, ""), (), str(tmp_path), record.id, "mark")
    assert load_staged(tmp_path, record.id).id == record.id
    shards.write_shards(tmp_path / "out", [record.id], lambda name: record, fingerprints={record.id: "mark"})
    index = shards.read_index(tmp_path / "out")
    assert [entry.id for entry in index.entries] == [record.id]
    assert not verify_shards(tmp_path / "out").problems


def test_all_that_is_written_takes_them(tmp_path, capsys):
    write_json(tmp_path / "a.json", {CAFE: [CAFE]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {CAFE: [CAFE]}
    page = markup.page(CAFE, CAFE, [(CAFE, markup.table([CAFE], [[CAFE]]) + markup.json_block({CAFE: CAFE}))])
    write_text(tmp_path / "a.html", page)
    assert "caf\\xe9" in (tmp_path / "a.html").read_text(encoding="utf-8")
    report = PrepareReport(failed={CAFE: f"{CAFE}: broken"}, warnings=[CAFE])
    write_json(tmp_path / "r.json", report.as_dict())
    with (tmp_path / "console.txt").open("w", encoding="utf-8", errors="backslashreplace") as file:
        print(report.summary(), file=file)
    assert parsing.expand_home([f"--data-dir={CAFE}"]) == [f"--data-dir={CAFE}"]


@pytest.mark.parametrize("name", [CAFE, "$5 to $_10", "a$"])
def test_plots_and_pictures_take_any_name(tmp_path, name):
    for drawn in (
        plots.confusion([[1, 0], [0, 1]], [name, "b"]),
        plots.intervals([(name, 0.5, (0.4, 0.6))], name),
        plots.curves_of([(name, [{"epoch": 1, "loss": 1.0}])]),
        plots.heat(np.zeros((3, 2)), [name, "b"], title=name),
    ):
        assert "<svg" in drawn
    demo_video.DemoCanvas(name, [name, "b", name], [name, "b"], (48, 64))
    assert demo_video._ink_of(name, 50).any()
    assert write_contact_sheet(tmp_path / "sheet.png", [np.zeros((8, 8), np.uint8)], [name]).is_file()
