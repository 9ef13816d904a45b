"""Transcripts of every kind that people have, and what is wrong with them."""

import pytest

from tfav.errors import DataError, UsageError
from tfav.speech import subtitles
from tfav.speech.corpus import find_transcripts
from tfav.speech.text_normalization import normalize_text
from tfav.speech.transcripts import (
    TimedWord,
    Utterance,
    read_manifest,
    read_transcript,
)

SRT = """1
00:00:00,400 --> 00:00:01,900
¡Buenos días!

2
00:00:02,000 --> 00:00:03,500
<i>Mañana</i> será
otro día.
"""
VTT = "WEBVTT\n\n" + SRT.replace(",", ".")
TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
3
<exists>
2
"IntervalTier"
"{first}"
0
3
3
0
0.4
""
0.4
0.9
"Buenos"
0.9
1.9
"días"
"IntervalTier"
"other"
0
3
1
0
3
"x"
"""
TIMED = (TimedWord("buenos", 0.4, 0.9), TimedWord("días", 0.9, 1.9))


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("¡Señor O\u2019Neill, por favor!", "señor o'neill por favor"),
        ("man\u0303ana", "mañana"),
        ("GROẞ und groß", "groß und groß"),
        ("ПРИВЕТ, мир", "привет мир"),
        ("ΟΔΟΣ", "οδοσ"),
        ("हिन्दी में।", "हिन्दी में"),
        ("مرحبا، بالعالم", "مرحبا بالعالم"),
        ("안녕하세요", "안녕하세요"),
        ("你好\uff0c世界", "你好 世界"),
        ("well-known - rock 'n' roll", "well-known rock n roll"),
        ("col·lecció", "col·lecció"),
        ("at 10 o'clock", "at 10 o'clock"),
        ("\u202bשלם\u202c", "שלם"),
        ("yes/no\u2014maybe", "yes no maybe"),
        (" ... ", ""),
    ],
)
def test_text_has_one_form(text, expected):
    assert normalize_text(text).text == expected
    assert normalize_text(expected).text == expected


def test_changes_are_counted_and_digits_may_be_refused():
    assert normalize_text("Él man\u0303ana.").changes == {
        "accents composed": 1,
        "letters made lower case": 1,
        "punctuation and symbols dropped": 1,
    }
    with pytest.raises(DataError, match="'1' is a digit: 'at 10'"):
        normalize_text("at 10", digits="refuse")
    with pytest.raises(UsageError, match="keep, refuse"):
        normalize_text("x", digits="drop")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(("name", "text"), [("a.srt", SRT), ("A.VTT", VTT)])
def test_subtitles(tmp_path, name, text, ends, encoding):
    read = read_transcript(write(tmp_path / name, text.replace("\n", ends), encoding))
    assert read.utterances == (Utterance("buenos días", 0.4, 1.9), Utterance("mañana será otro día", 2.0, 3.5))
    assert read.refused == () and read.changes["markup taken out"] == 2


def test_what_nobody_says_is_taken_out_of_subtitles(tmp_path):
    said = ["♪ la la ♪", "[door slams] Hello (sighs)", "- JOHN: Come in", "{\\an8}<b>Now</b>", "Note: this stays"]
    blocks = (f"{n}\n00:00:0{n},000 --> 00:00:0{n},900\n{text}\n" for n, text in enumerate(said))
    read = read_transcript(write(tmp_path / "a.srt", "\n".join(blocks)))
    assert [one.text for one in read.utterances] == ["la la", "hello", "come in", "now", "note this stays"]
    assert {kind: count for kind, count in read.changes.items() if "taken out" in kind} == {
        "music notes taken out": 2,
        "descriptions of sounds taken out": 2,
        "names of speakers taken out": 1,
        "markup taken out": 3,
    }


def test_the_rest_of_the_subtitles_stands(tmp_path):
    blocks = [("00:00:02,000 --> 00:00:01,000", "backwards"), ("00:00:03,000 --> 00:00:05,000", "first")]
    blocks += [("00:00:04,000 --> 00:00:06,000", "second"), ("00:00:07,000 --> 00:00:08,000", "...")]
    blocks += [("00:00:09,000 --> 00:00:10,000", "last")]
    text = "\n".join(f"{n}\n{times}\n{said}\n" for n, (times, said) in enumerate(blocks, 1))
    read = read_transcript(write(tmp_path / "a.srt", text))
    assert [one.text for one in read.utterances] == ["first", "last"]
    told = "\n".join(read.refused)
    assert "a.srt, at 2.00 s: its times run backwards" in told and "at 7.00 s: nothing in it can be said" in told
    assert "at 4.00 s: 'second' overlaps" in told and len(read.refused) == 3


def test_a_cue_with_digits_is_refused_with_its_place_where_digits_are(tmp_path):
    path = write(tmp_path / "a.srt", SRT.replace("otro", "el 2"))
    read = read_transcript(path, digits="refuse")
    assert [one.text for one in read.utterances] == ["buenos días"]
    (told,) = read.refused
    assert told.startswith(f"{path}, at 2.00 s: '2' is a digit: ") and told.endswith("take digits=keep.")
    assert read_transcript(path).utterances[1].text == "mañana será el 2 día"


def test_plain_text_and_the_form_of_lrs(tmp_path):
    assert read_transcript(write(tmp_path / "a.txt", "Buenos\ndías.\n")).utterances == (Utterance("buenos días"),)
    lrs = "Text:  BUENOS DÍAS\nConf:  4\n\nWORD START END ASDSCORE\nBUENOS 0.40 0.90 3.1\nDÍAS 0.90 1.90 2.0\n"
    assert read_transcript(write(tmp_path / "b.txt", lrs)).utterances == (Utterance("buenos días", words=TIMED),)
    with pytest.raises(DataError, match=r"c.txt, line 5: expected `WORD START END`"):
        read_transcript(write(tmp_path / "c.txt", lrs.replace("0.40", "soon")))


def test_alignments_in_any_language(tmp_path):
    lines = "0 10000 sil\n10000 22500 Buenos\n22500 47500 días\n47500 75000 sil\n"
    assert read_transcript(write(tmp_path / "a.align", lines)).utterances == (Utterance("buenos días", words=TIMED),)
    with pytest.raises(DataError, match=r"b.align, line 3: times run backwards"):
        read_transcript(write(tmp_path / "b.align", lines.replace("22500 47500", "12500 47500")))
    with pytest.raises(DataError, match=r"c.align: .*Are they in seconds\? Then multiply them by 25000"):
        read_transcript(write(tmp_path / "c.align", "0 0.4 sil\n0.4 0.9 Buenos\n0.9 1.9 días\n"))


@pytest.mark.parametrize("name", ["words", "Words - ana"])
def test_textgrids(tmp_path, name):
    read = read_transcript(write(tmp_path / "a.TextGrid", TEXTGRID.format(first=name)))
    assert read.utterances == (Utterance("buenos días", words=TIMED),)


def test_a_textgrid_of_utterances_and_one_that_does_not_tell(tmp_path):
    grid = write(tmp_path / "a.TextGrid", TEXTGRID.format(first="sentences"))
    assert read_transcript(grid).utterances == (Utterance("buenos", 0.4, 0.9), Utterance("días", 0.9, 1.9))
    with pytest.raises(DataError, match=r"a.TextGrid: expected one tier .* It has: notes, other"):
        read_transcript(write(tmp_path / "a.TextGrid", TEXTGRID.format(first="notes")))
    with pytest.raises(DataError, match=r"b.TextGrid: not a TextGrid of Praat"):
        read_transcript(write(tmp_path / "b.TextGrid", "hello"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_of_recordings(tmp_path, delimiter):
    rows = [("Video", "speaker", "text", "start_sec", "end_sec"), ("v\\a.mp4", "ana", '"Hola; qué, tal"', "0.5", "2")]
    rows += [("v/a.mp4", "ana", "Adiós", "2", "3.5"), ("", "", "", "", ""), ("b.mp4", "", "mañana", "", "")]
    read = read_manifest(write(tmp_path / "t.csv", "\ufeff" + "\r\n".join(map(delimiter.join, rows)), "utf-8"))
    assert [row.video for row in read.rows] == [tmp_path / "v/a.mp4", tmp_path / "v/a.mp4", tmp_path / "b.mp4"]
    assert [row.utterance for row in read.rows] == [
        Utterance("hola qué tal", 0.5, 2.0),
        Utterance("adiós", 2.0, 3.5),
        Utterance("mañana"),
    ]
    assert [row.speaker for row in read.rows] == ["ana", "ana", ""] and read.refused == ()


def test_rows_that_cannot_be_used_are_told_and_the_rest_stands(tmp_path):
    rows = "video,text,start_sec,end_sec\na.mp4,one,0,1\na.mp4,two,soon,2\n,three,,\na.mp4,four,4,3\n"
    rows += "a.mp4,five,0.5,1.5\na.mp4,six, seven,8,9\na.mp4,eight,8,9\n"
    read = read_manifest(write(tmp_path / "t.csv", rows))
    assert [row.utterance.text for row in read.rows] == ["one", "eight"]
    told = "\n".join(read.refused)
    for part in (
        "line 3: start_sec and end_sec must be two numbers",
        "line 4: names no video",
        "line 5: its times run",
    ):
        assert part in told
    assert "a.mp4: 'five' overlaps what is said before it" in told and "line 7: has more columns" in told
    assert len(read.refused) == 5


def test_a_table_of_50_000_rows(tmp_path):
    lines = "".join(f"v{number}.mp4,frase {number}\n" for number in range(50_000))
    assert len(read_manifest(write(tmp_path / "t.csv", "video,text\n" + lines)).rows) == 50_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "a.txt: .*nothing in it can be said"),
        ("a.srt", b"", "a.srt: it is empty"),
        ("a.srt", b"hello\n", "a.srt: no line with times"),
        ("a.txt", "mañana".encode("latin-1"), "a.txt: not a text file in UTF-8"),
        ("a.csv", b"v.mp4,hello\n", "first line must name the columns video and text"),
        ("a.csv", b"video,words\nv.mp4,hello\n", "It has no text: 'video,words'"),
        ("a.ass", b"x", "a.ass: not a kind of transcript. Known: .align, .txt"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        (read_manifest if name.endswith(".csv") else read_transcript)(path)
    assert "\n" not in str(error.value)


def test_transcripts_are_found_by_name(tmp_path):
    for name in ("v/ana/0001.mp4", "v/bob/0001.mp4", "v/bob/0002.mp4", "v/0003.mp4", "v/ana/0004.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "._0003.txt").touch()  # what macOS leaves beside a file on other systems' disks
    for name in ("t/ana/0001.es.srt", "t/bob/0001.txt", "t/bob/0002.txt", "t/bob/0002.SRT", "t/0004.txt", "t/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    videos = sorted((tmp_path / "v").rglob("*.mp4"))
    paired = find_transcripts(videos, tmp_path / "v", tmp_path / "t")
    names = {video.relative_to(tmp_path).as_posix(): text.name for video, text in paired.pairs.items()}
    assert names == {"v/ana/0001.mp4": "0001.es.srt", "v/bob/0001.mp4": "0001.txt", "v/ana/0004.mp4": "0004.txt"}
    failures = {video.name: reason for video, reason in paired.failures.items()}
    assert "2 transcripts have its name: bob/0002.SRT and bob/0002.txt. Keep one" in failures["0002.mp4"]
    assert [video.name for video in paired.missing] == ["0003.mp4"]
    assert [path.name for path in paired.unused] == ["x.txt"]


@pytest.mark.parametrize("kind", [".srt", ".vtt", ".align", ".TextGrid"])
def test_what_is_written_is_read_again(tmp_path, kind):
    words = [TimedWord("buenos", 0.4, 0.88), TimedWord("d\u00edas", 0.88, 1.4), TimedWord("se\u00f1or", 1.6, 2.0)]
    path = subtitles.write_times(tmp_path / f"a{kind}", words, 3.0)
    (read,) = read_transcript(path).utterances
    assert read.text == "buenos d\u00edas se\u00f1or"
    starts = [word.start_sec for word in read.words]
    assert starts == pytest.approx([0.4, 0.88, 1.6], abs=1e-3)


def test_cues_with_stamps_and_cues_of_a_word(tmp_path):
    cue = "00:00:00.400 --> 00:00:01.900\n"
    partly = write(tmp_path / "a.vtt", f"WEBVTT\n\n{cue}<v Ana>Buenos d\u00edas <00:00:01.000>se\u00f1or\n")
    (read,) = read_transcript(partly).utterances
    assert (read.text, read.words) == ("buenos d\u00edas se\u00f1or", ())  # nobody tells when the second word begins
    shown = write(tmp_path / "b.vtt", f"WEBVTT\n\n{cue}Buenos<00:00:01.000><c> d\u00edas</c>\n")
    assert read_transcript(shown).utterances[0].words == (
        TimedWord("buenos", 0.4, 1.0),
        TimedWord("d\u00edas", 1.0, 1.9),
    )
    cues = "1\n00:00:01,000 --> 00:00:01,500\nuno\n\n2\n00:00:01,600 --> 00:00:02,000\ndos\n\n"
    far = "3\n00:00:04,000 --> 00:00:04,500\ntres\n"
    read = read_transcript(write(tmp_path / "c.srt", cues + far)).utterances
    assert [(one.text, len(one.words), one.end_sec) for one in read] == [("uno dos", 2, 2.0), ("tres", 1, 4.5)]
    assert len(read_transcript(write(tmp_path / "d.srt", cues + far.replace("tres", "tres m\u00e1s"))).utterances) == 3
