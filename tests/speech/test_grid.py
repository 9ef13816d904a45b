"""GRID's trees, alignments and names; alphabets that are their own inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.systems.lipnet.conftest import ALIGNMENT
from tfav.errors import DataError
from tfav.speech import grid
from tfav.speech.grid import Word, find_clips, read_alignment, sentence_of
from tfav.speech.tokenizer import TOKENIZERS, required_frames

# Alphabets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(TOKENIZERS))
@given(data=st.data())
def test_decoding_is_the_inverse_of_encoding(name, data):
    symbols = TOKENIZERS[name]
    text = data.draw(st.text(symbols.symbols, max_size=60))
    classes = symbols.encode(text)
    assert classes.dtype == np.int32
    assert symbols.decode(classes) == text
    assert symbols.blank not in classes
    assert all(0 <= number < symbols.num_classes for number in classes)
    assert symbols.decode([*classes, symbols.blank, -1]) == text


@given(st.lists(st.integers(1, 39), max_size=60))
def test_encoding_is_the_inverse_of_decoding(classes):
    assert TOKENIZERS["notebook"].encode(TOKENIZERS["notebook"].decode(classes)).tolist() == classes


def test_the_numbers_are_those_of_the_notebook_and_of_keras():
    assert TOKENIZERS["notebook"].encode("az'?!19 ").tolist() == [1, 26, 27, 28, 29, 30, 38, 39]
    assert (TOKENIZERS["notebook"].blank, TOKENIZERS["notebook"].num_classes) == (40, 41)
    assert TOKENIZERS["compact"].encode("az ").tolist() == [1, 26, 27]
    assert (TOKENIZERS["compact"].blank, TOKENIZERS["compact"].num_classes) == (0, 28)


def test_an_unknown_symbol_or_alphabet_is_refused():
    with pytest.raises(DataError, match="'caf\u00e9 2' holds '2' '\u00e9', which the tokenizer compact does not have"):
        TOKENIZERS["compact"].encode("caf\u00e9 2")


@given(st.lists(st.integers(1, 3), max_size=12))
def test_frames_that_ctc_needs(classes):
    path = []  # the shortest path that collapses to the labels
    for label in classes:
        path += [0, label] if path and path[-1] == label else [label]
    assert required_frames(classes) == len(path)


# Alignments ---------------------------------------------------------------------------------------------------------


def test_pauses_are_dropped_and_times_are_frames(tmp_path):
    (tmp_path / "a.align").write_text(ALIGNMENT)
    words = read_alignment(tmp_path / "a.align")
    assert words[0] == Word("bin", 5.0, 9.0)
    assert [word.text for word in words] == ["bin", "blue", "at", "f", "two", "now"]
    assert words[4] == Word("two", 21.0, 26.5)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("14000 15500", r"a\.align, line 4: .*3 columns. Received 2: '14000 15500'"),
        ("14000 15500 at home", r"line 4: .*Received 4"),
        ("14000 13000 at", "line 4: times run backwards"),
        ("8000 15500 at", "line 4: times run backwards.*after 14000"),
        ("-1 15500 at", "line 4: times run backwards"),
        ("nan 15500 at", "line 4: times run backwards"),
        ("x 15500 at", "line 4: expected two numbers"),
        ("14000 15500 <at>", "line 4: unknown symbol '<' '>' in the word"),
    ],
)
def test_a_broken_alignment_names_file_and_line(tmp_path, line, words):
    lines = ALIGNMENT.splitlines()
    lines[3] = line
    (tmp_path / "a.align").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_alignment(tmp_path / "a.align")


@pytest.mark.parametrize(("content", "words"), [(b"0 100 sil\n", "no words"), (b"\xff\xee", "not a text file")])
def test_an_alignment_without_words_or_text(tmp_path, content, words):
    (tmp_path / "a.align").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_alignment(tmp_path / "a.align")


def test_names_spell_sentences():
    assert sentence_of("bbaf2n") == "bin blue at f two now"
    assert sentence_of("srizza") == "set red in z zero again"
    for name in ("bbaf2", "bbaf2nn", "xbaf2n", "bbaw2n", "bbaf0n", "clip01"):
        assert sentence_of(name) == ""
    assert len(grid.WORDS) == len(set(grid.WORDS)) == 51


UNITS = {"seconds": 25_000, "1/100 of a second": 250, "milliseconds": 25, "frames": 1000}


def in_unit(factor):
    rows = [line.split() for line in ALIGNMENT.splitlines()]
    return "".join(f"{float(start) / factor:.4f} {float(end) / factor:.4f} {word}\n" for start, end, word in rows)


@pytest.mark.parametrize("unit", UNITS)
def test_times_in_another_unit_are_refused_with_the_unit(tmp_path, unit):
    (tmp_path / "a.align").write_text(in_unit(UNITS[unit]))
    told = rf"a\.align: its words last .* Are they in {unit}\? Then multiply them by {UNITS[unit]}\.$"
    with pytest.raises(DataError, match=told):
        read_alignment(tmp_path / "a.align")
    (tmp_path / "a.align").write_text("0 500 bin\n500 500 blue\n")
    with pytest.raises(DataError, match="last 10 ms on average"):
        read_alignment(tmp_path / "a.align")


def test_times_are_held_against_the_video():
    words = [Word("bin", 10.0, 18.0), Word("blue", 18.0, 25.0)]
    assert grid.describe_misfit(words, 75) == grid.describe_misfit(words, 23) == grid.describe_misfit([], 75) == ""
    assert grid.describe_misfit(words, 22) == "it has 22 frames, and its alignment goes on to frame 25"
    # One long word in milliseconds lasts as long as a short one in GRID's unit, but all is over at once.
    assert "milliseconds?" in grid.describe_misfit([Word("seven", 0.2, 1.4)], 30)
    assert grid.describe_misfit([Word("a", 10.0, 11.4)], 30) == grid.describe_misfit([Word("a", 0.2, 1.4)], 6) == ""
    for per_second, unit in ((10**6, "microseconds"), (10**7, "100 ns")):
        far = [Word(text, start * per_second / 25_000, end * per_second / 25_000) for text, start, end in words]
        assert f"goes on to frame {far[-1].end:.0f}: its words" in grid.describe_misfit(far, 75)
        assert f"{unit}? Then" in grid.describe_misfit(far, 75)


def test_all_real_alignments_say_what_their_names_spell(shared_data):
    files = sorted(shared_data("grid/align/s1").glob("*.align"))
    assert len(files) == 800
    for file in files:
        words = read_alignment(file)
        assert " ".join(word.text for word in words) == sentence_of(file.stem), file


# Trees --------------------------------------------------------------------------------------------------------------


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(ALIGNMENT if name.endswith(".align") else "")


@pytest.mark.parametrize(
    ("files", "source"),
    [
        (("s1/bbaf2n.mpg", "align/s1/bbaf2n.align"), "."),
        (("s1/bbaf2n.mpg", "align/s1/bbaf2n.align"), "s1"),
        (("data/s1/bbaf2n.mp4", "data/alignments/s1/bbaf2n.align"), "."),
        (("data/s1/bbaf2n.mpg", "data/alignments/s1/bbaf2n.align"), "data"),
        (("s1/video/mpg_6000/bbaf2n.mpg", "s1/align/bbaf2n.align"), "."),
        (("s1/bbaf2n.mpg", "s1/bbaf2n.align"), "."),
        (("s1/bbaf2n.mpg", "s1/align/bbaf2n.align"), "s1"),
    ],
)
def test_every_known_tree_is_read(tmp_path, files, source):
    touch(tmp_path, *files)
    (clip,), failures, _ = find_clips(tmp_path / source)
    assert clip.id == "s1/bbaf2n"
    assert clip.align.samefile(tmp_path / files[1])
    assert not failures


def test_speakers_keep_their_own_alignments_and_copies_of_a_speaker_share_them(tmp_path):
    touch(
        tmp_path, "s1/bbaf2n.mpg", "s2/bbaf2n.mpg", "s1_mpg/bbaf2n.mpg", "align/s1/bbaf2n.align", "others/x/lbbc2a.mpg"
    )
    clips = {clip.id: clip for clip in find_clips(tmp_path)[0]}
    assert list(clips) == ["x/lbbc2a", "s1/bbaf2n", "s1_mpg/bbaf2n", "s2/bbaf2n"]
    assert clips["s1/bbaf2n"].align == clips["s1_mpg/bbaf2n"].align
    assert clips["s2/bbaf2n"].align is None


def test_a_flat_folder_of_alignments_belongs_to_one_speaker_only(tmp_path):
    touch(tmp_path, "s1/bbaf2n.mpg", "s2/bbaf2n.mpg", "align/bbaf2n.align")
    assert [clip.align for clip in find_clips(tmp_path)[0]] == [None, None]


def test_two_videos_of_one_name_both_fail(tmp_path):
    touch(tmp_path, "s1/bbaf2n.mpg", "s1/bbaf2n.mp4", "s1/srwi5a.mpg")
    clips, failures, _ = find_clips(tmp_path)
    assert [clip.id for clip in clips] == ["s1/srwi5a"]
    assert list(failures) == ["s1/bbaf2n"]
    assert "share the name s1/bbaf2n" in failures["s1/bbaf2n"]


def test_a_folder_without_videos(tmp_path):
    with pytest.raises(DataError, match="no videos in it"):
        find_clips(tmp_path)
