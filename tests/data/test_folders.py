"""Class trees: natural order, every way in which a tree can be wrong, and that nothing is left out in silence."""

import json
import os
import unicodedata
import warnings

import pytest

from tfav.data import classification, splits
from tfav.data.folders import scan
from tfav.errors import DataError, UsageError
from tfav.io import flow_extraction, frame_extraction
from tfav.speech import lrw
from tfav.speech.grid import find_clips
from tfav.systems import two_stream
from tfav.systems.next_frame import frame_sequences
from tfav.systems.two_stream import sampling


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_bytes(b"x")


def test_videos_and_labels_in_natural_order(tmp_path):
    make(tmp_path, "class10/v10.avi", "class2/v10.mp4", "class2/v9.AVI", "class2/notes.txt", ".hidden/v.avi")
    with pytest.warns(
        UserWarning, match=r"2 left out: 1 hidden.*\(\.hidden\); 1 of another kind.*\(class2/notes\.txt\)"
    ):
        tree = scan(tmp_path)
    assert tree.labels == ["class2", "class10"]
    assert [e.name for e in tree.examples] == ["v9", "v10", "v10"]
    assert tree.kind == "videos"


def test_frame_folders_with_spaces_and_non_ascii(tmp_path):
    make(tmp_path, "a b/véloß 1/f_00.jpg", "c/w/f_00.png")
    tree = scan(tmp_path)
    assert (tree.kind, [e.name for e in tree.examples]) == ("frames", ["véloß 1", "w"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no class folders"),
        (["a/v.avi", "b/"], "/b: holds no videos"),
        (["a/v.avi", "b/w/f_0.jpg"], "Use one kind"),
        (["a/v.avi", "a/v.mp4", "b/w.avi"], "share the name v"),
    ],
)
def test_trees_that_cannot_be_used(tmp_path, names, message):
    make(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="gone"):
        scan(tmp_path / "gone")


def listed(root):
    """What `scan` finds, and what it says."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        tree = scan(root)
    assert len(said) <= 1
    return tree, "".join(str(line.message) for line in said)


def test_names_of_any_beginning_count(tmp_path):
    make(
        tmp_path,
        "a/_1W44_000.mp4",
        "a/-a44.mp4",
        "a/#1.mp4",
        "a/clip.MP4",
        "_b/v.mp4",
        "-c/f/0.jpg".replace("f/0.jpg", "w.mp4"),
    )
    tree, said = listed(tmp_path)
    assert {example.name for example in tree.examples} == {"_1W44_000", "-a44", "#1", "clip", "v", "w"}
    assert (sorted(tree.labels), said) == (["-c", "_b", "a"], "")
    make(tmp_path / "frames", "a/_x/0.jpg", "a/-y/0.jpg")
    assert [example.name for example in scan(tmp_path / "frames").examples] == ["-y", "_x"]


# What lies beside three good videos, and what must be said of it.
LEFT_OUT = {
    "links": (
        lambda d: (d / "a" / "far.mp4").symlink_to("/not/mounted/far.mp4"),
        "1 that are links to nothing (a/far.mp4)",
    ),
    "linked class": (lambda d: (d / "c").symlink_to("/not/mounted/c"), "1 that are links to nothing (c)"),
    "circle": (lambda d: (d / "a" / "up").symlink_to(d), "1 that are links to a folder they lie in (a/up)"),
    "beside classes": (lambda d: make(d, "top.mp4"), "1 beside the class folders (top.mp4)"),
    "deeper": (
        lambda d: make(d, "a/s1/deep.mp4", "a/s2/deep.mp4"),
        "2 deeper than CLASS/VIDEO (a/s1/deep.mp4, a/s2/deep",
    ),
    "deeper frames": (lambda d: make(d, "a/s1/w/0.jpg"), "1 deeper than CLASS/VIDEO (a/s1/w)"),
    "frames": (lambda d: make(d, "a/w/0.jpg"), "1 folders of frames beside videos (a/w)"),
    "pictures": (lambda d: make(d, "a/cover.jpg"), "1 with pictures in no folder of their own (a)"),
    "suffix": (lambda d: make(d, "a/w.rm", "a/w.mp4.part"), "2 of another kind by their suffix (a/w.mp4.part, a/w.rm)"),
    "many": (
        lambda d: make(d, *(f"a/{n}.xyz" for n in range(9))),
        "9 of another kind by their suffix (a/0.xyz, a/1.xyz, a/2.xyz, ...)",
    ),
    "hidden": (lambda d: make(d, "a/.h.mp4", ".c/w.mp4"), "2 hidden, or an operating system's own (.c, a/.h.mp4)"),
    "macOS": (
        lambda d: make(d, ".DS_Store", "a/._v1.mp4", "__MACOSX/a/._v1.mp4"),
        "3 hidden, or an operating system's own",
    ),
    "Windows": (
        lambda d: make(d, "a/Thumbs.db", "desktop.ini"),
        "2 hidden, or an operating system's own (a/Thumbs.db, desk",
    ),
    "Jupyter": (lambda d: make(d, ".ipynb_checkpoints/v.mp4"), "1 hidden, or an operating system's own (.ipynb_check"),
    "pipe": (lambda d: os.mkfifo(d / "a" / "pipe.mp4"), "1 that are no regular files (a/pipe.mp4)"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_all_that_is_left_out_is_counted_and_told(tmp_path, what):
    make(tmp_path, "a/v1.mp4", "a/v2.mp4", "b/v1.mp4")
    lay, expected = LEFT_OUT[what]
    lay(tmp_path)
    tree, said = listed(tmp_path)
    assert [(e.label, e.name) for e in tree.examples] == [("a", "v1"), ("a", "v2"), ("b", "v1")]
    assert expected in said and "\n" not in said


def test_an_empty_video_is_an_example_and_named(tmp_path):
    make(tmp_path, "a/v1.mp4", "b/v1.mp4")
    (tmp_path / "a" / "none.mp4").touch()
    tree, said = listed(tmp_path)
    assert [e.name for e in tree.examples] == ["none", "v1", "v1"]  # reading it is an error, and counted
    assert "1 unusable: 1 empty (0 bytes) (a/none.mp4)" in said and "left out" not in said


def test_what_tfav_itself_wrote_is_no_oddity(tmp_path):
    make(tmp_path, "a/v1.mp4", "b/v1.mp4", "a/v1/v1_frame_00.jpg", "a/v1/frames.json", "prepare_report.json")
    tree, said = listed(tmp_path)
    assert (tree.kind, len(tree.examples), said) == ("videos", 2, "")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/a/v.mp4", "train/b/v.mp4", "val/a/w.mp4"], r"train and val are called like .*--data-dir .*/train "),
        (["train/a/0.jpg", "val/a/0.jpg"], "would become classes"),
        (["training_set/v.mp4", "test_set/v.mp4"], "would become classes"),
        (["Train/a/v.mp4", "Validation/a/v.mp4", "labels/x.csv"], "Train and Validation"),
        (["a/s1/v.mp4", "a/s2/v.mp4", "b/s1/v.mp4"], r"/a: its 2 videos lie deeper than .*first a/s1/v\.mp4\. Move"),
        (["a/s1/w/0.jpg", "b/s1/w/0.jpg"], "/a: its 1 videos lie deeper"),
        (["UCF/a/v.mp4", "UCF/b/v.mp4"], r"lie deeper.*Give --data-dir .*/UCF, if a is a class"),
        (["a/0.jpg", "b/0.jpg"], r"/a: holds pictures themselves.*a/VIDEO/frame_00\.jpg"),
        (["a/v.mp4", "b/v.rm"], r"/b: holds no videos .*1 of another kind by their suffix \(b/v\.rm\)"),
        (["v.mp4"], "holds no class folders, but videos"),
    ],
)
def test_layouts_are_told_for_what_they_are(tmp_path, names, message):
    make(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        scan(tmp_path)


def test_a_class_of_links_to_nothing_says_so(tmp_path):
    make(tmp_path, "a/v.mp4", "b/")
    (tmp_path / "b" / "w.mp4").symlink_to("/not/mounted")
    with pytest.raises(DataError, match=r"/b: holds no videos.*1 that are links to nothing \(b/w\.mp4\)"):
        scan(tmp_path)


def test_classes_that_are_words_like_train_are_classes(tmp_path):
    make(tmp_path, "train/v.mp4", "bus/v.mp4", "strain/v.mp4", "contest/v.mp4")
    assert sorted(scan(tmp_path).labels) == ["bus", "contest", "strain", "train"]


def test_every_listing_tells_the_same(tmp_path):
    """What training leaves out, preparing names as well."""
    make(tmp_path / "v", "s1/bbaf2n.rm", "s1/.DS_Store", "s1/lwaz9s.mp4", "s1/lwaz9s.align", "s2/cover.jpg", "s2/w.mp4")
    (tmp_path / "v" / "s1" / "far.mp4").symlink_to("/not/mounted")
    extract = {"workers": 0, "quiet": True}
    reports = [
        frame_extraction.extract_frames(tmp_path / "v", tmp_path / "f", num_frames=2, **extract),
        flow_extraction.extract_flow(tmp_path / "v", tmp_path / "g", **extract),
        frame_sequences.cut_folder(tmp_path / "v", tmp_path / "n.npy", num_frames=2, size=8, channels=1, **extract),
    ]
    found = [find_clips(tmp_path / "v"), lrw.find_clips(tmp_path / "v")]
    for failed, warned in [(r.failed, r.warnings) for r in reports] + [(f.failures, f.warnings) for f in found]:
        assert "a link to nothing (/not/mounted). Mount or fetch" in failed["s1/far.mp4"]
        assert "of another kind by their suffix (" in warned[-1] and "s1/bbaf2n.rm" in warned[-1]
        assert "1 hidden, or an operating system's own (s1/.DS_Store)" in warned[-1]
    assert "bbaf2n.rm" in json.loads((tmp_path / "f" / "prepare_report.json").read_text())["warnings"][-1]
    assert "lwaz9s.align" not in found[0].warnings[-1]  # it belongs to its video
    with pytest.warns(UserWarning, match=r"s1/bbaf2n\.rm"):
        scan(tmp_path / "v")


def test_videos_too_deep_to_train_on_are_told_when_they_are_prepared(tmp_path):
    make(tmp_path / "v", "train/a/v.mp4", "b/w.mp4")
    report = frame_extraction.extract_frames(tmp_path / "v", tmp_path / "f", num_frames=2, workers=0, quiet=True)
    assert "1 videos lie deeper than CLASS/VIDEO" in report.warnings[0]


def test_accents_in_one_part_or_two_are_the_same(tmp_path):
    composed, parted = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    for root, name in (("mac", parted), ("linux", composed)):
        make(tmp_path / root, *(f"{name}/{name}{n}.mp4" for n in range(8)), *(f"b/v{n}.mp4" for n in range(8)))
    mac, linux = scan(tmp_path / "mac"), scan(tmp_path / "linux")
    assert mac.labels == linux.labels == ["b", composed]
    classification.check_known_classes("mac", mac.labels, linux.labels)
    classification.check_known_classes(
        "linux", linux.labels, [unicodedata.normalize("NFD", name) for name in linux.labels]
    )
    for tree in (mac, linux):
        assert all(example.path.exists() for example in tree.examples)
    parts = [splits.by_fraction(tree.examples, val=0.3, test=0.3, seed=1) for tree in (mac, linux)]
    of_mac, of_linux = ([[unicodedata.normalize("NFC", e.name) for e in part] for part in split] for split in parts)
    assert of_mac == of_linux
    (tmp_path / "train.txt").write_text(f"{composed}/{composed}1.mp4\nb/v1.mp4\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text(f"{parted}/{parted}2.mp4\nb/v2.mp4\n", encoding="utf-8")
    for tree in (mac, linux):
        split = splits.by_lists(tree.examples, tmp_path / "train.txt", tmp_path / "test.txt")
        assert (len(split.train), len(split.test)) == (2, 2)


def test_one_class_in_both_forms_is_refused(tmp_path):
    make(tmp_path, *(f"{unicodedata.normalize(form, 'café')}/v.mp4" for form in ("NFC", "NFD")))
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system has one form only")
    with pytest.raises(DataError, match="two folders are called café"):
        scan(tmp_path)


def test_what_lies_beside_prepared_folders_is_told(tmp_path):
    make(tmp_path, "jpegs_256/v_a_g01_c01/frame000001.jpg", "jpegs_256/.DS_Store", "jpegs_256/list.txt", "tvl1_flow/u/")
    config = two_stream.Config.preset("demo", data_dir=str(tmp_path))
    with pytest.warns(UserWarning, match=r"2 left out: 2 that are no folders of frames \(.*\.DS_Store, .*list\.txt\)"):
        found = sampling.find_examples(config)
    assert [example.name for example in found.examples] == ["v_a_g01_c01"]
