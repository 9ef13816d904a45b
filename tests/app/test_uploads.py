"""What is refused before anything decodes it, and in which words."""

import subprocess

import av
import pytest

from tests.io import clips
from tfav.app import page, uploads
from tfav.app.uploads import Limits, check_upload, sniff
from tfav.errors import MediaError
from tfav.io.listing import VIDEO_SUFFIXES
from tfav.io.video import read_video

WORDS = {
    "empty": "empty.mp4: empty (0 bytes).",
    "text": "notes.mp4: not a video: its content is text. Choose MP4,",
    "playlist": "list.mp4: not a video: its content is text.",
    "picture": "picture.mp4: not a video: its content is a picture.",
    "header": "header.mp4: ",
    "noise": "noise.avi: ",
    "one frame": "one.mp4: a single picture, not a video.",
    "still": "still.gif: a single picture, not a video.",
    "hour": "hour.mp4: 60 minutes long, and the limit is 60 seconds.",
}


@pytest.mark.parametrize("what", WORDS)
def test_bad_files_are_refused_in_one_line(what, bad_files):
    with pytest.raises(MediaError) as refused:
        check_upload(bad_files[what], Limits())
    said = str(refused.value)
    assert said.startswith(WORDS[what]) and "\n" not in said
    assert str(bad_files[what].parent) not in said


def test_good_files_pass_and_limits_are_limits(clip, tmp_path):
    found = check_upload(clip, Limits())
    assert (found.num_frames, found.width, found.height) == (20, 64, 48) and found.duration_sec == pytest.approx(2)
    with pytest.raises(MediaError, match=r"2 seconds long, and the limit is 1.5 seconds"):
        check_upload(clip, Limits(max_sec=1.5))
    with pytest.raises(MediaError, match=r"the limit is 0.001 MB"):
        check_upload(clip, Limits(max_mb=0.001))
    with pytest.raises(MediaError, match="no longer there"):
        check_upload(tmp_path / "gone.mp4", Limits())


def test_a_recording_of_which_the_browser_kept_nothing_is_empty(tmp_path):
    (tmp_path / "sample.webm").write_bytes(b"\0")
    with pytest.raises(MediaError, match=r"^sample.webm: empty \(1 byte\)\. Record or choose it again\.$"):
        check_upload(tmp_path / "sample.webm", Limits())


def test_size_is_refused_before_a_byte_is_read(tmp_path, monkeypatch):
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(2_000_000_001)  # a hole: it takes no space
    monkeypatch.setattr(uploads, "sniff", lambda head: pytest.fail("was opened"))
    with pytest.raises(MediaError, match=r"large.mp4: 2000 MB, and the limit is 200 MB"):
        check_upload(large, Limits())


def test_a_decoder_that_hangs_or_dies_is_a_line(clip, monkeypatch):
    monkeypatch.setattr(uploads, "_TIMEOUT_SEC", 0.001)
    with pytest.raises(MediaError, match="cannot be read; it may be damaged"):
        check_upload(clip, Limits())


CONTAINERS = [
    ("mp4", "mpeg4", {}),
    ("mov", "mpeg4", {}),
    ("mkv", "mpeg4", {}),
    ("webm", "libvpx-vp9", {}),
    ("avi", "mpeg4", {}),
    ("flv", "flv", {}),
    ("wmv", "wmv2", {}),
    ("ogv", "libtheora", {}),
    ("mpg", "mpeg1video", {}),
    ("vob", "mpeg2video", {}),
    ("m2v", "mpeg2video", {"format": "mpeg2video"}),
    ("ts", "libx264", {}),
    ("MTS", "libx264", {"format": "mpegts", "options": {"mpegts_m2ts_mode": "1"}}),  # of a camcorder
    ("mxf", "mpeg2video", {}),
    ("ivf", "libvpx-vp9", {}),
    ("nut", "mpeg4", {}),
    ("h264", "libx264", {}),
    ("y4m", "wrapped_avframe", {"format": "yuv4mpegpipe"}),
]


@pytest.mark.parametrize(("suffix", "codec", "options"), CONTAINERS)
def test_containers_are_known_by_their_first_bytes(tmp_path, suffix, codec, options):
    path = tmp_path / f"a.{suffix}"
    if codec not in av.codecs_available:
        pytest.skip(f"no {codec} here")
    clips.write_clip(path, 12, codec=codec, **options)
    assert len(read_video(path).frames) == 12
    assert check_upload(path, Limits()).num_frames == 12


@pytest.mark.parametrize("options", [{}, {"mpegts_m2ts_mode": "1"}])
def test_a_recording_that_begins_within_a_packet_is_taken(tmp_path, options):
    path = tmp_path / "a.ts"
    clips.write_clip(path, 12, codec="libx264", options=options, format="mpegts")
    path.write_bytes(path.read_bytes()[-100:] + path.read_bytes())
    assert check_upload(path, Limits()).num_frames == 12


def test_a_machine_that_starts_no_process_is_asked_twice_and_then_named(tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    clips.write_clip(path, 4)
    run, refusals = subprocess.run, [OSError(11, "Resource temporarily unavailable")]
    monkeypatch.setattr(uploads, "_PAUSE_SEC", 0.01)
    monkeypatch.setattr(subprocess, "run", lambda *args, **how: run(*args, **how) if not refusals else _raise(refusals))
    assert check_upload(path, Limits()).num_frames == 4
    refusals += [OSError(11, "Resource temporarily unavailable")] * 2
    with pytest.raises(MediaError, match=r"a.mp4: not looked at: the server is too busy \(Resource .*Try again soon"):
        check_upload(path, Limits())


def _raise(errors):
    raise errors.pop()


def test_what_is_no_video_has_a_name():
    assert sniff(b"RIFF\0\0\0\0WAVEfmt ") == "sound"
    assert sniff(b"PK\x03\x04") == "an archive"
    assert sniff(b"\xef\xbb\xbfWord") == "text"
    assert sniff(bytes(range(200))) == "unknown"
    assert sniff(b"\0\0\0\x20ftypheic") == "a picture"


def test_the_page_offers_every_suffix_that_is_listed():
    assert set(VIDEO_SUFFIXES) | {"video"} == set(page._ACCEPTED)
