"""Words are found where posteriors put them, and files say so."""

import numpy as np
import pytest

from tests.systems.lipnet.test_decoding import COMPACT, spell
from tfav.errors import DataError
from tfav.speech import alignment, grid, subtitles
from tfav.speech.transcripts import TimedWord

WORDS = [TimedWord("bin", 0.4, 0.8), TimedWord("blue", 0.8, 1.2), TimedWord("at", 1.4, 1.48)]


def test_letters_stand_where_they_are_spelt():
    letters = alignment.align_letters("bin at", spell("bin at"), COMPACT)
    assert letters.tolist() == [[3 * n, 3 * n + 1] for n in range(6)]


def test_words_by_letters_and_by_the_head():
    log_probs = spell("bin at")
    by_letters = alignment.align("bin at", log_probs, COMPACT)
    assert [word.text for word in by_letters] == ["bin", "at"]
    assert by_letters[0].start_sec == 0 and by_letters[1].start_sec == pytest.approx(11 / 25, abs=0.05)
    heads = np.full((18, 52), -5.0)
    heads[:2, 0] = heads[2:9, 1 + grid.WORDS.index("bin")] = heads[9:16, 1 + grid.WORDS.index("at")] = 0
    heads[16:, 0] = 0
    by_head = alignment.align("bin at", log_probs, COMPACT, heads)
    assert by_head == [TimedWord("bin", 2 / 25, 9 / 25), TimedWord("at", 9 / 25, 16 / 25)]
    assert alignment.align("bat in", log_probs, COMPACT, heads)[0].text == "bat"  # not GRID's: by letters
    assert alignment.align("", log_probs, COMPACT) == []


def test_too_few_frames():
    with pytest.raises(DataError, match="4 frames are too few for 'bin blue'"):
        alignment.align("bin blue", spell("bin")[:4], COMPACT)
    with pytest.raises(DataError, match="1 frames are too few for 2 words"):
        alignment.align("bin at", spell("b")[:1], COMPACT, np.zeros((1, 52)))


def test_files(tmp_path):
    path = subtitles.write_times(tmp_path / "a.align", WORDS, 3.0)
    assert path.read_text().splitlines()[0] == "0 10000 sil"
    read = grid.read_alignment(path)
    assert [(word.text, word.start / 25, word.end / 25) for word in read] == [tuple(word) for word in WORDS]
    srt = subtitles.write_times(tmp_path / "a.srt", WORDS, 3.0).read_text()
    assert srt.startswith("1\n00:00:00,400 --> 00:00:00,800\nbin\n\n2\n")
    vtt = subtitles.write_times(tmp_path / "a.vtt", WORDS, 3.0).read_text()
    assert vtt.startswith("WEBVTT\n\n00:00:00.400 --> 00:00:01.480\n<00:00:00.400>bin <00:00:00.800>blue")
    with pytest.raises(DataError, match=r"times are written as .srt, .vtt, .align"):
        subtitles.write_times(tmp_path / "a.txt", WORDS, 3.0)


def test_whole_files_as_their_formats_have_them(tmp_path):
    """GRID counts thousandths of a frame, 25 frames a second: 0.4 s is 10000."""
    align = subtitles.write_times(tmp_path / "a.align", WORDS, 3.0).read_text()
    assert align.splitlines() == [
        "0 10000 sil",
        "10000 20000 bin",
        "20000 30000 blue",
        "30000 35000 sp",
        "35000 37000 at",
        "37000 75000 sil",
    ]
    to_the_end = subtitles.write_times(tmp_path / "b.align", WORDS, 1.48).read_text()
    assert to_the_end == "\n".join(align.splitlines()[:-1]) + "\n"
    at_once = subtitles.write_times(tmp_path / "c.align", [TimedWord("bin", 0.0, 0.4)], 0.4).read_text()
    assert at_once == "0 10000 bin\n"
    later = [*WORDS, TimedWord("now", 3725.5, 3726.0)]
    srt = subtitles.write_times(tmp_path / "a.srt", later, 4000.0).read_text()
    assert srt.endswith("4\n01:02:05,500 --> 01:02:06,000\nnow\n\n")
    vtt = subtitles.write_times(tmp_path / "a.vtt", later, 4000.0).read_text().splitlines()
    # A pause of a second and more begins a cue of its own.
    assert vtt[2] == "00:00:00.400 --> 00:00:01.480" and vtt[5] == "01:02:05.500 --> 01:02:06.000"
    assert vtt[3] == "<00:00:00.400>bin <00:00:00.800>blue <00:00:01.400>at"


def test_spans_of_known_scores():
    """Three words of which the second is seen in frames 4 to 6 and the rest of the time nothing: the best division."""
    scores = np.full((10, 3), -3.0)
    scores[0:3, 0] = scores[4:7, 1] = scores[7:9, 2] = 0.0
    silence = np.full(10, -2.0)
    silence[3] = silence[9] = 0.0
    assert alignment.align_spans(scores, silence) == [(0, 3), (4, 7), (7, 9)]
    assert alignment.align_spans(scores, np.full(10, -9.0)) in ([(0, 3), (3, 7), (7, 10)], [(0, 4), (4, 7), (7, 10)])
    assert alignment.align_spans(np.zeros((2, 2)), np.zeros(2)) == [(0, 1), (1, 2)]
