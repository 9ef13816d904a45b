"""Tables of labels: what they may say, every way in which they can be wrong, and the splits that follow from them."""

import dataclasses
import json

import pytest

from tests.io.clips import write_clip
from tfav import cli
from tfav.data.classification import make_split
from tfav.data.folders import scan
from tfav.data.label_tables import describe_classes, list_examples, read_table, write_table
from tfav.errors import DataError, UsageError
from tfav.training.config import ClassifierConfig


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """One second of ten frames."""
    path = tmp_path_factory.mktemp("videos") / "v.mp4"
    write_clip(path, 10, fps=10)
    return path


def table_of(folder, text, name="labels.csv"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def test_a_table_lists_what_a_folder_does_in_its_order(tmp_path):
    names = ["b10/v_g1_.mp4", "b10/v_g2_.mp4", "b2/w10_g1_.mp4", "b2/w9_g2_.mp4"]
    make(tmp_path, *names)
    for text in (
        "\ufefflabel,video\n" + "".join(f"{name.split('/')[0]},{name}\r\n" for name in reversed(names)),
        "\n".join(json.dumps({"video": name, "label": name.split("/")[0]}) for name in names),
    ):
        tree = read_table(table_of(tmp_path, text))
        (tmp_path / "labels.csv").unlink()
        assert tree == scan(tmp_path)


def test_columns_of_group_and_part_and_a_round_trip(tmp_path):
    make(tmp_path, *(f"{n}.mp4" for n in range(8)))
    rows = [f"{n}.mp4,{'ab'[n % 2]},s{n // 2},{('train', 'train', 'val', 'test')[n // 2]}" for n in range(8)]
    tree = read_table(table_of(tmp_path, "\n".join(["video,label,group,part", *rows])))
    config = ClassifierConfig(val_fraction=0.25, test_fraction=0.25)
    split = make_split(tree.examples, config)
    assert [[e.name for e in part] for part in split] == [["0", "2", "1", "3"], ["4", "5"], ["6", "7"]]
    assert read_table(write_table(tmp_path / "again.csv", tree.examples)) == tree
    without_val = [e._replace(part="train" if e.part == "val" else e.part) for e in tree.examples]
    cut = make_split(without_val, config)
    assert {len({e.group for e in part}) for part in cut} == {2, 1} - {0} and [e.name for e in cut.test] == [
        "6",
        "7",
    ]
    by_group = make_split(
        [e._replace(part="") for e in tree.examples], dataclasses.replace(config, test_groups=("s3",))
    )
    assert {e.group for e in by_group.test} == {"s3"} and len({e.group for e in by_group.val}) == 1


def test_stretches_stay_on_one_side_and_none_is_what_lies_between(tmp_path, video):
    text = f"video,label,start_sec,end_sec\n{video},a,0.2,0.4\n{video},b,.6,.8\n{video},none,,\n"
    tree = read_table(table_of(tmp_path, text))
    assert [(e.label, e.span) for e in tree.examples] == [
        ("a", (0.2, 0.4)),
        ("b", (0.6, 0.8)),
        ("none", (0.0, 0.2)),
        ("none", (0.4, 0.6)),
        ("none", (0.8, pytest.approx(1.0))),
    ]
    again = [e._replace(path=e.path.with_name(f"{n}.mp4")) for n in range(4) for e in tree.examples]
    split = make_split(again, ClassifierConfig(val_fraction=0.25))
    assert [len({e.path for e in part}) for part in split] == [3, 1, 0] and len(split.val) == 5
    several = read_table(tmp_path / "labels.csv", multi_label=True)
    assert several.labels == ["a", "b"] and [e.labels for e in several.examples][:3] == [(), (), ()]


BAD = {
    "unknown column": ("video,label,speed\nV,a,3\n", "unknown column 'speed'. A table has video and label"),
    "no label column": ("video,start_sec\nV,0\n", "no column video, or none label"),
    "cells": ("video,label\nV,a,b\n", "line 2: 3 cells, and the first line names 2"),
    "semicolon": ("video,label\nV,a;b\n", r"line 2: several labels \('a;b'\).*--multi-label"),
    "no label": ("video,label\nV,\n", "line 2: no label"),
    "no video": ("video,label\n,a\n", "line 2: names no video"),
    "beyond": ("video,label,start_sec,end_sec\nV,a,0,9\n", "line 2: 0 to 9 s, beyond the end of the video at 1.00 s"),
    "behind": ("video,label,start_sec,end_sec\nV,a,3,\n", "beyond the end"),
    "backwards": ("video,label,start_sec,end_sec\nV,a,.5,.2\n", "from 0.5 to 0.2 s is backwards"),
    "empty": ("video,label,start_sec,end_sec\nV,a,.5,.5\n", "is empty"),
    "overlap": (
        "video,label,start_sec,end_sec\nV,a,0,.5\nV,b,.4,.6\n",
        "line 3: its stretch from 0.4 s overlaps the one",
    ),
    "no number": ("video,label,start_sec,end_sec\nV,a,soon,1\n", "start_sec must be seconds.*'soon'"),
    "negative": ("video,label,start_sec\nV,a,-1\n", "0 or more. Received: '-1'"),
    "twice": ("video,label\nV,a\nV,b\n", "line 3: names its video once more"),
    "part": ("video,label,part\nV,a,trian\n", "part must be one of train, val, test"),
    "some groups": ("video,label,group,start_sec,end_sec\nV,a,g,0,.5\nV,a,,.5,1\n", "line 3: no group, which 1 other"),
    "two groups": ("video,label,group,start_sec,end_sec\nV,a,g,0,.5\nV,a,h,.5,1\n", "another group than other rows"),
    "no JSON": ('{"video": "V"\n', "line 1: no JSON"),
    "no object": ('{"video": "V", "label": "a"}\n[1]\n', "line 2: no JSON object"),
    "nothing": ("\n\n", "a table of labels that is empty"),
    "header alone": ("video,label\n", "without rows"),
    "all missing": (
        "video,label\ngone.mp4,a\nV,b\n",
        r"1 of 2 rows name videos that are not there: .*gone\.mp4\. Paths",
    ),
    "kinds": ("video,label\n.,a\nV,b\n", "a folder of frames, and .* a video file"),
}


@pytest.mark.parametrize("what", BAD)
def test_tables_that_cannot_be_used_are_one_line(tmp_path, video, what):
    text, message = BAD[what]
    table = table_of(tmp_path, text.replace("V,", f"{video},").replace('"V"', json.dumps(str(video))))
    with pytest.raises(DataError, match=message) as caught:
        read_table(table)
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)


def test_few_missing_videos_are_left_out_and_told(tmp_path):
    make(tmp_path, *(f"{n}.mp4" for n in range(19)))
    table = table_of(tmp_path, "\n".join(["video,label", *(f"{n}.mp4,{'ab'[n % 2]}" for n in range(20))]))
    with pytest.warns(UserWarning, match=r"1 of 20 rows name videos that are not there: .*19\.mp4; they are left out"):
        assert len(read_table(table).examples) == 19


def test_no_table_there_and_one_that_is_a_video(tmp_path, video):
    with pytest.raises(UsageError, match="cannot be read as a table of labels"):
        list_examples(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="not a text file in UTF-8, so not a table of labels"):
        list_examples(video)


def test_counts_and_what_is_odd(tmp_path, capsys):
    make(tmp_path, *(f"{n}.mp4" for n in range(23)))
    rows = [f"{n}.mp4,{'rare' if n < 2 else 'often'},g1" for n in range(23)]
    table = table_of(tmp_path, "\n".join(["video,label,group", *rows]))
    counts, told = describe_classes(read_table(table).examples)
    assert counts == {"often": 21, "rare": 2} and len(told) == 3
    assert cli.main(["doctor", "--data-dir", str(table)]) == 0
    said = capsys.readouterr().out
    assert "23 examples of 23 videos in 2 classes: often 21, rare 2" in said
    for line in (
        "1 of 2 classes have fewer than 10 examples: rare 2",
        "often has 21 examples, rare 2",
        "of one group, g1",
    ):
        assert line in said


def test_videos_of_one_name_in_several_folders_are_told_apart(tmp_path):
    make(tmp_path, "p1/clip.mp4", "p2/clip.mp4", "p3/other.mp4")
    text = "video,label\np1/clip.mp4,a\np2/clip.mp4,a\np3/other.mp4,b\n"
    assert len({e.name for e in read_table(table_of(tmp_path, text)).examples}) == 3
