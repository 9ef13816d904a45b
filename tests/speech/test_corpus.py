"""What is said in a folder's videos: which transcript belongs to which, and what a recording is cut into."""

import av
import numpy as np
import pytest

from tfav.errors import DataError, MediaError, UsageError
from tfav.io.audio import read_audio
from tfav.io.encoding import write_video
from tfav.io.video import read_video
from tfav.io.video_spans import read_span
from tfav.speech.corpus import find_spoken
from tfav.speech.mouth_crops import Cut, FixedPlace, make_sentence

SIZE = 32, 48
CUT = Cut(FixedPlace(SIZE, (0, 32, 0, 48), 48, 32), "", max_seconds=4.0)
RATE = 16000


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Twelve seconds at 30 frames a second; each frame's grey and each moment's tone tell the time."""
    path = tmp_path_factory.mktemp("long") / "talk.mp4"
    frames = (np.full((*SIZE, 3), 20 + number // 2, np.uint8) for number in range(360))
    sound = 0.5 * np.sin(np.cumsum(2 * np.pi * (200 + 20 * np.arange(12 * RATE) / RATE) / RATE)).astype(np.float32)
    return write_video(path, frames, 30, sound=sound, sample_rate=RATE)


def put(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


SRT = (
    "1\n00:00:00,500 --> 00:00:01,500\nBuenos días\n\n2\n00:00:01,600 --> 00:00:03,000\nOtro día\n\n"
    "3\n00:00:08,000 --> 00:00:09,500\nHasta mañana\n"
)


def test_each_kind_of_transcript_says_the_same_of_a_whole_recording(tmp_path):
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n3\n<exists>\n1\n'
    texts = {
        "txt": "¡Buenos DÍAS!",
        "srt": "1\n00:00:00,400 --> 00:00:02,600\nBuenos días\n",
        "TextGrid": head + '"IntervalTier"\n"text"\n0\n3\n1\n0.4\n2.6\n"buenos días"\n',
    }
    said = {}
    for kind, text in texts.items():
        touch(tmp_path / kind, "ana/a.mp4")
        (tmp_path / kind / "ana" / f"a.{kind}").write_text(text, encoding="utf-8")
        said[kind] = find_spoken(tmp_path / kind).spoken
    touch(tmp_path / "csv", "x/a.mp4", "x/left.mp4")
    put(tmp_path, csv__table_dot_csv="video;text;speaker\nx\\a.mp4;Buenos días;ana\nx/none.mp4;no\n")
    by_table = find_spoken(tmp_path / "csv", transcripts=tmp_path / "csv" / "table.csv")
    said["csv"] = by_table.spoken
    assert {(one.id, one.text, one.is_only) for spoken in said.values() for one in spoken} == {
        ("ana/a", "buenos días", True)
    }
    assert [len(spoken) for spoken in said.values()] == [1] * 4
    assert "x/none.mp4 is not among the videos of" in by_table.failures["x/none.mp4"]
    assert any("1 of 2 videos stand in no row" in line for line in by_table.warnings)
    assert by_table.changes["letters made lower case"] == 1


def test_a_long_recording_is_cut_at_its_subtitles_with_a_margin_that_takes_no_word_of_others(tmp_path):
    touch(tmp_path, "ana/talk.mp4")
    put(tmp_path, ana__talk_dot_srt=SRT)
    spoken = find_spoken(tmp_path).spoken
    assert [(one.id, one.span_sec) for one in spoken] == [
        ("ana/talk@0.50", (0.3, 1.6)),
        ("ana/talk@1.60", (1.5, 3.2)),
        ("ana/talk@8.00", (7.8, 9.7)),
    ]
    assert not any(one.is_only for one in spoken)


def test_what_is_too_long_is_divided_at_pauses_or_named(tmp_path):
    touch(tmp_path, "s/a.mp4", "s/b.mp4")
    words = [("uno", 0, 1), ("dos", 1, 2), ("tres", 3, 4), ("cuatro", 4.05, 5), ("cinco", 5.5, 6)]
    table = "".join(f"{word.upper()} {start} {end} 1\n" for word, start, end in words)
    put(tmp_path, s__a_dot_txt=f"Text: UNO DOS TRES CUATRO CINCO\n\nWORD START END ASDSCORE\n{table}")
    put(tmp_path, s__b_dot_srt="1\n00:00:00,000 --> 00:00:05,000\nalgo\n\n2\n00:00:06,000 --> 00:00:07,000\nmás\n")
    corpus = find_spoken(tmp_path, max_seconds=2.5)
    assert [(one.id, one.text) for one in corpus.spoken] == [
        ("s/a@0.00", "uno dos"),
        ("s/a@3.00", "tres cuatro"),
        ("s/a@5.50", "cinco"),
        ("s/b", "más"),
    ]
    (reason,) = corpus.failures.values()
    assert "at 0.00 s lasts 5.0 s, more than max_seconds=2.5, and no pause is told" in reason
    assert not corpus.spoken[-1].is_only  # the rest of the recording is something else


def test_what_has_no_transcript_or_two_is_a_failure_of_its_own(tmp_path):
    touch(
        tmp_path, "s1/bbaf2n.mpg", "s1/holiday.mp4", "s1/two.mp4", "s1/good.mp4", "s2/bbaf2n.mpg", "align/bbaf2n.align"
    )
    put(tmp_path, s1__two_dot_txt="a", s1__two_dot_srt=SRT, s1__good_dot_txt="good", s1__stray_dot_txt="stray")
    put(tmp_path, s1__bad_dot_txt="\n")
    touch(tmp_path, "s1/bad.mp4")
    corpus = find_spoken(tmp_path)
    assert {one.id: one.text for one in corpus.spoken} == {
        "s1/good": "good",
        "s1/bbaf2n": "bin blue at f two now",  # a flat folder of alignments belongs to neither speaker
        "s2/bbaf2n": "bin blue at f two now",
    }
    assert (
        "no transcript of its name" in corpus.failures["s1/holiday"]
        and "Add holiday.txt" in corpus.failures["s1/holiday"]
    )
    assert "2 transcripts have its name" in corpus.failures["s1/two"]
    assert "bad.txt" in corpus.failures["s1/bad"]
    assert any("2 transcripts belong to no video" in line for line in corpus.warnings)
    with pytest.raises(UsageError, match=r"text\.docx: neither a table"):
        find_spoken(tmp_path, transcripts="text.docx")


def test_a_span_is_what_the_whole_video_shows_then(long_video, tmp_path):
    formats = [long_video, *(write_with_av(tmp_path / name) for name in ("a.mpg", "a.avi", "a.ts", "a.mkv"))]
    for path in formats:
        frames = read_video(path)
        for start, end in ((0.0, 1.0), (7.5, 9.0), (11.0, 14.0)):
            moments = start + np.arange(round((min(end, 12.0) - start) * 25)) / 25
            wanted = [
                frames.frames[int(np.searchsorted(frames.times_sec, m + 1 / 60, side="right")) - 1] for m in moments
            ]
            found = read_span(path, start, end, 1 / 25)
            assert abs(len(found) - len(wanted)) <= 1, path
            count = min(len(found), len(wanted))
            np.testing.assert_array_equal(found[:count], wanted[:count], err_msg=f"{path} {start}")
    with pytest.raises(MediaError, match="no frames from 20"):
        read_span(long_video, 20.0, 21.0, 1 / 25)


def write_with_av(path):
    """As the long video, by libav's own choice of codec."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(container.default_video_codec, rate=30)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(360):
            frame = av.VideoFrame.from_ndarray(np.full((*SIZE, 3), 20 + number // 2, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_sound_that_is_sought_is_that_of_the_whole(tmp_path):
    rng = np.random.default_rng(0)
    sound = (0.2 * rng.normal(size=40 * RATE)).astype(np.float32)
    frames = (np.full((*SIZE, 3), number % 200, np.uint8) for number in range(40 * 5))
    path = write_video(tmp_path / "a.mp4", frames, 5, sound=sound, sample_rate=RATE)
    whole = read_audio(path, RATE, 0.0)
    np.testing.assert_allclose(read_audio(path, RATE, 31.0, 2.0), whole[31 * RATE : 33 * RATE], atol=1e-3)


def test_a_cut_record_has_its_own_pictures_sound_and_times(long_video):
    words = [("hasta", 8.0, 8.5), ("mañana", 8.6, 9.5)]
    record, warning = make_sentence(
        str(long_video), "ana/talk@8.00", "hasta mañana", words, CUT, (7.8, 9.8), is_only=False
    )
    assert len(record.frames) == 50 and record.fps == 25 and not warning
    seconds = (record.frames.mean(axis=(1, 2, 3)) - 20) * 2 / 30
    np.testing.assert_allclose(seconds, 7.8 + np.arange(50) / 25, atol=0.12)
    assert len(record.audio) == 2 * RATE
    crossings = np.sum(np.diff(np.signbit(record.audio[:RATE])))  # two each period; the tone rises by 20 Hz a second
    assert crossings / 2 == pytest.approx(200 + 20 * 8.3, abs=4)
    np.testing.assert_allclose(record.word_times_sec, [[0.2, 0.7], [0.8, 1.7]], atol=1e-5)
    # Alone in a recording that is short enough, an utterance takes all of it.
    whole, _ = make_sentence(str(long_video), "a", "hasta", [], CUT._replace(max_seconds=20), (7.8, 9.8))
    assert len(whole.frames) == 300
    at_50, _ = make_sentence(str(long_video), "a", "hasta", [], CUT._replace(fps=50), (7.8, 9.8), is_only=False)
    assert len(at_50.frames) == 100 and len(at_50.audio) == 2 * RATE


def test_times_beyond_the_end_and_recordings_without_borders_are_refused(long_video):
    with pytest.raises(MediaError, match=r"ends at 12.00 s, and its transcript goes on to 14.00 s"):
        make_sentence(str(long_video), "a", "x", [], CUT, (11.0, 14.0), is_only=False)
    with pytest.raises(MediaError, match=r"it lasts 12.0 s, more than max_seconds=4. Give it subtitles"):
        make_sentence(str(long_video), "a", "x", [], CUT)


def test_alignments_of_a_tree_given_by_a_relative_path_are_in_use(tmp_path, monkeypatch):
    touch(tmp_path, "data/s1/bbaf2n.mpg")
    put(tmp_path, data__align__s1__bbaf2n_dot_align="0 9000 sil\n9000 17000 bin\n17000 75000 sil\n")
    monkeypatch.chdir(tmp_path)
    corpus = find_spoken("data")
    assert [one.text for one in corpus.spoken] == ["bin"] and not corpus.warnings


def test_no_videos(tmp_path):
    with pytest.raises(DataError, match="no videos in it"):
        find_spoken(tmp_path)
