"""Text as every editor and system leaves it: marks, encodings, line ends, accents; and names that are no UTF-8."""

import json
import os
from pathlib import Path

import pytest

from tfav.data import splits
from tfav.data.folders import Example
from tfav.errors import DataError, TfavError, UsageError
from tfav.io import text_files
from tfav.io.atomic_write import write_json
from tfav.speech import splits as recording_splits
from tfav.speech.grammar import read_grammar
from tfav.speech.grid import read_alignment
from tfav.speech.lrw import read_words
from tfav.systems.two_stream.stream import read_labels
from tfav.training import run_folder as runs

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")  # Python's own utf-16 and utf-32 begin with a mark
# What reads a list, what a person writes into it, and what must come out.
READERS = {
    "split list": (splits.read_list, "walk/é1.mp4\nrun/b.mp4 1\n", [("walk", "é1"), ("run", "b")]),
    "names": (lambda path: recording_splits.read_names(path, ["s1/é", "s1/b"]), "s1/é\ns1/b\n", ["s1/é", "s1/b"]),
    "class list": (read_labels, "1 café\n2 run\n", ["café", "run"]),
    "words": (read_words, "été\nrun\n", ("été", "run")),
    "grammar": (lambda path: read_grammar(path).slots, "bin été\nblue\n", (("bin", "été"), ("blue",))),
    "alignment": (lambda path: [word.text for word in read_alignment(path)], "0 9000 sil\n9000 19000 bin\n", ["bin"]),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("kind", READERS)
def test_every_reader_takes_every_encoding(tmp_path, kind, encoding, end):
    read, text, expected = READERS[kind]
    path = tmp_path / "list.txt"
    path.write_bytes(("\n" + text).replace("\n", end).encode(encoding))
    assert read(path) == expected


@pytest.mark.parametrize("kind", READERS)
def test_marks_within_spaces_and_parted_accents_change_nothing(tmp_path, kind):
    read, text, expected = READERS[kind]
    path = tmp_path / "list.txt"  # as `type a.txt b.txt` joins them
    lines = [f"\ufeff  {line} \t".replace("é", "e\u0301") for line in text.splitlines()]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read(path) == expected


@pytest.mark.parametrize("content", ["é".encode("latin-1"), "walk".encode("utf-16-le"), b"\x89PNG\r\n\0\0"])
@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_text_is_named_in_one_line(tmp_path, kind, content):
    path = tmp_path / "odd.txt"
    path.write_bytes(content + b"\n")
    with pytest.raises(DataError, match=r"odd\.txt: not a text file in UTF-8.*Save it as UTF-8") as told:
        READERS[kind][0](path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", READERS)
def test_a_list_that_is_not_there_or_a_folder_is_named(tmp_path, kind):
    with pytest.raises(TfavError, match=r"gone\.txt: cannot be read as .* Check the spelling"):
        READERS[kind][0](tmp_path / "gone.txt")
    with pytest.raises(TfavError, match="Name the file"):
        READERS[kind][0](tmp_path)


def test_a_configuration_saved_by_an_editor_is_read(tmp_path):
    runs.start(tmp_path / "run", "cnn_lstm", {"seed": 1}, {"labels": ["a"]})
    path = tmp_path / "run" / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert runs.load(tmp_path / "run").config == {"seed": 1}


def test_names_that_are_no_utf8_are_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    assert text_files.shown(f"{name} é") == "caf\\xe9.mp4 é"
    write_json(tmp_path / "a.json", {name: "é"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {name: "é"}  # as it was, byte for byte
    text_files.write_text(tmp_path / "a.html", f"<p>{name}</p>")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == "<p>caf\\xe9.mp4</p>"
    assert text_files.shown("half a pair \ud800") == "half a pair \\ud800"


def examples(*names):
    return [Example(Path("d", name), name.split("/")[0], name.split("/")[1].removesuffix(".mp4")) for name in names]


@pytest.mark.parametrize(
    "row",
    [
        "walk/take 1.mp4",
        "walk/take 1.mp4 2",
        "walk/take 1.mp4, 2",
        "walk/take 1.avi 164 0",
        "walk/take 1",
        '"walk/take 1.mp4"',
        r"walk\take 1.mp4 1",
        "UCF-101/walk/take 1.mp4",
        "./data//UCF-101/walk/take 1.mp4 1",
        r"C:\data\UCF-101\walk\take 1.mp4",
        "walk/take 1/",
    ],
)
def test_public_split_lists(tmp_path, row):
    (tmp_path / "train.txt").write_text(f"{row}\nwalk/noah.smith\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("walk/b\n", encoding="utf-8")
    found = examples("walk/take 1.mp4", "walk/noah.smith", "walk/b.mp4")
    split = splits.by_lists(found, tmp_path / "train.txt", tmp_path / "test.txt")
    assert [example.name for example in split.train] == ["take 1", "noah.smith"]


def test_a_row_that_may_mean_two_videos_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("walk/take 1\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("walk/b\n", encoding="utf-8")
    found = examples("walk/take 1.mp4", "walk/take.mp4", "walk/b.mp4")
    with pytest.raises(DataError, match=r"'walk/take 1' may mean .* with its suffix"):
        splits.by_lists(found, tmp_path / "train.txt", tmp_path / "test.txt")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("s1/video/mpg_6000/pbio7a", "s1/pbio7a"),
        ("GRID/s2/video/mpg_6000/bbaf2n.mpg", "s2/bbaf2n"),
        ("/corpora/grid/s2/bbaf2n.align", "s2/bbaf2n"),
        (r"s1\pbio7a.mpg", "s1/pbio7a"),
        ("s1/take 1.mp4", "s1/take 1"),
        ("take 1", "s1/take 1"),
        ("s1/pbio7a 75", "s1/pbio7a"),
        ("s1/pbio7a.mpg,train", "s1/pbio7a"),
        ("noah.smith", "s1/noah.smith"),
        ("s1/noah.smith.mp4", "s1/noah.smith"),
        ("lipread_mp4/ABOUT/test/ABOUT_1.mp4", "ABOUT/test/ABOUT_1"),
        (r"ABOUT\test\ABOUT_1", "ABOUT/test/ABOUT_1"),
    ],
)
def test_public_lists_of_recordings(tmp_path, row, name):
    names = ["s1/bbaf2n", "s1/pbio7a", "s2/bbaf2n", "s1/take 1", "s1/noah.smith", "ABOUT/test/ABOUT_1"]
    (tmp_path / "list.txt").write_text(row + "\n", encoding="utf-8")
    assert recording_splits.read_names(tmp_path / "list.txt", names) == [name]


@pytest.mark.parametrize("row", ["s3/bbaf2n", "s3/video/mpg_6000/pbio7a", "x/take"])
def test_a_recording_of_another_speaker_is_missing(tmp_path, row):
    (tmp_path / "list.txt").write_text(row + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 of 1 listed clips are not in the data"):
        recording_splits.read_names(tmp_path / "list.txt", ["s1/bbaf2n", "s1/pbio7a", "s2/bbaf2n", "s1/take 1"])


def test_an_accent_in_one_part_or_two_is_the_same_side():
    names = [f"s1/{letter}{number}" for letter in "éüå" for number in range(9)]
    parted = [text_files.unicodedata.normalize("NFD", name) for name in names]
    composed = recording_splits.by_hash(names, val=0.3, test=0.3)
    again = recording_splits.by_hash(parted, val=0.3, test=0.3)
    assert [[text_files.same_form(name) for name in part] for part in again] == [list(part) for part in composed]


def test_reading_says_what_the_file_was_to_be(tmp_path):
    with pytest.raises(UsageError, match="cannot be read as a grammar"):
        read_grammar(tmp_path / "gone.grammar")
