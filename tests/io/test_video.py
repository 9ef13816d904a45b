"""Reading and writing video: exact frame numbers, true times, upright pictures, and every way a file can be bad."""

import os
import shutil
import struct
import subprocess
import warnings

import cv2
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from tests.io.clips import draw_number, read_number, read_numbers, write_clip
from tfav.errors import MediaError, UsageError
from tfav.io.encoding import write_gif, write_video
from tfav.io.video import iter_frames, probe, read_video

CONTAINERS = [
    ("a.avi", {}),
    ("a.mp4", {"codec": "libx264"}),
    ("a.m4v", {"codec": "mpeg4", "format": "mp4"}),
    ("a.mov", {}),
    ("a.mkv", {"codec": "libx264"}),
    ("a.webm", {"codec": "libvpx-vp9"}),
    ("a.mpg", {"codec": "mpeg1video"}),
    ("a.mpeg", {"codec": "mpeg2video"}),
    ("a.ts", {"codec": "libx264"}),
    ("a.wmv", {"codec": "wmv2"}),
    ("a.flv", {"codec": "flv"}),
    ("a.3gp", {}),
]


@pytest.mark.parametrize(("name", "options"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_every_container_gives_all_frames_in_order(tmp_path, name, options):
    path = tmp_path / name
    write_clip(path, 30, **options)
    clip = read_video(path)
    assert read_numbers(clip.frames) == list(range(30))
    assert clip.frames.dtype == np.uint8
    assert clip.frames.shape == (30, 48, 176, 3)
    assert np.allclose(clip.times_sec, np.arange(30) / 25, atol=1e-3)
    info = probe(path)
    assert (info.num_frames, info.fps, info.width, info.height) == (30, 25, 176, 48)
    assert info.duration_sec == pytest.approx(1.2, abs=0.002)
    assert not info.has_audio and not info.variable_rate and not info.damage and info.exact


def test_colour_order_is_rgb(tmp_path):
    write_clip(tmp_path / "a.mp4", 2, codec="libx264")
    corner = read_video(tmp_path / "a.mp4").frames[0, 20:28, 4:12].reshape(-1, 3).mean(0)
    assert corner[0] > 200 and corner[1] < 60 and corner[2] < 60


@pytest.mark.parametrize("path_type", [str, lambda path: path])
def test_sampling_is_exact_on_the_frame_number(tmp_path, path_type):
    path = tmp_path / "a.mp4"
    write_clip(path, 101, codec="libx264")
    path = path_type(path)
    assert read_numbers(read_video(path, every_sec=1).frames) == [0, 25, 50, 75, 100]
    assert read_numbers(read_video(path, num_frames=5).frames) == [0, 25, 50, 75, 100]
    clip = read_video(path, [7, 3, 3, 90])
    assert read_numbers(clip.frames) == clip.indices.tolist() == [7, 3, 3, 90]
    assert np.allclose(clip.times_sec, [0.28, 0.12, 0.12, 3.6])


def test_variable_frame_rate_keeps_its_times(tmp_path):
    times_ms = [0, 40, 80, 1080, 1120, 2000, 2040, 2500, 4000, 4040]
    for name in ("a.mp4", "a.mkv"):
        write_clip(tmp_path / name, len(times_ms), codec="libx264", times_ms=times_ms)
        clip = read_video(tmp_path / name, every_sec=1)
        # On screen at 0, 1, 2, 3 and 4 s; frame 2 stands from 0.08 s to 1.08 s.
        assert read_numbers(clip.frames) == [0, 2, 5, 7, 8]
        assert np.allclose(read_video(tmp_path / name).times_sec * 1000, times_ms, atol=1)
        assert probe(tmp_path / name).variable_rate


@pytest.mark.parametrize(("anticlockwise", "clockwise"), [(90, 270), (180, 180), (-90, 90)])
def test_the_rotation_flag_is_applied(tmp_path, anticlockwise, clockwise):
    path = tmp_path / "a.mp4"
    write_clip(path, 3, codec="libx264", rotation=anticlockwise)
    info, frames = probe(path), read_video(path).frames
    assert info.rotation == clockwise
    assert (info.height, info.width) == frames.shape[1:3]
    assert frames.shape[1:3] == ((48, 176) if anticlockwise == 180 else (176, 48))
    assert read_numbers(np.rot90(frames, -anticlockwise // 90, axes=(1, 2))) == [0, 1, 2]
    assert [read_number(np.rot90(frame, -anticlockwise // 90)) for _, _, frame in iter_frames(path)] == [0, 1, 2]


def set_display_matrix(path, a, b, c, d):
    """Writes the four numbers of a display matrix that turn and mirror into the track header of an MP4."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40  # behind version, times, volume
    numbers = [round(value * 65536) for value in (a, b, 0, c, d, 0, 0, 0)]
    data[start : start + 36] = struct.pack(">9i", *numbers, 1 << 30)
    path.write_bytes(data)


MATRICES = {
    (1, 0, 0, 1): lambda frame: frame,
    (-1, 0, 0, 1): lambda frame: frame[:, ::-1],  # a selfie as the mirror shows it
    (-1, 0, 0, -1): lambda frame: frame[::-1, ::-1],
    (1, 0, 0, -1): lambda frame: frame[::-1],
    (0, 1, 1, 0): lambda frame: frame.swapaxes(0, 1),
    (0, 1, -1, 0): lambda frame: np.rot90(frame, -1),
    (0, -1, -1, 0): lambda frame: np.rot90(frame, 2).swapaxes(0, 1),
    (0, -1, 1, 0): lambda frame: np.rot90(frame),
}


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("size", [(48, 176), (49, 175)])
def test_videos_are_turned_and_mirrored_as_players_do(tmp_path, matrix, size):
    path, options = tmp_path / "a.mp4", {"codec": "libx264", "pix_fmt": "yuv444p", "size": size}
    write_clip(path, 3, **options)
    stored = read_video(path).frames
    set_display_matrix(path, *matrix)
    expected = np.stack([MATRICES[matrix](frame) for frame in stored])
    info = probe(path)
    assert np.array_equal(read_video(path).frames, expected)
    assert np.array_equal(np.stack([frame for _, _, frame in iter_frames(path)]), expected)
    assert (info.height, info.width) == expected.shape[1:3]
    by_facts = stored[:, :, ::-1] if info.mirrored else stored
    assert np.array_equal(np.rot90(by_facts, -info.rotation // 90, axes=(1, 2)), expected)
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    shown = subprocess.run(
        [ffmpeg, "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True
    ).stdout
    shown = np.frombuffer(shown, np.uint8).reshape(expected.shape)
    assert np.abs(shown.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (0, 0, 0, -1), (-1, 0, 0, 0)])
def test_a_display_matrix_that_leaves_nothing_of_a_picture_is_none(tmp_path, matrix):
    path = tmp_path / "a.mp4"
    write_clip(path, 2, codec="libx264")
    stored = read_video(path).frames
    set_display_matrix(path, *matrix)
    assert np.array_equal(read_video(path).frames, stored) and not probe(path).mirrored


@pytest.mark.parametrize(("degrees", "turned"), [(0.5, 0), (30, 0), (60, 90), (-100, 270), (170, 180)])
def test_another_angle_is_read_at_the_nearest_quarter_turn_and_told(tmp_path, degrees, turned):
    path, angle = tmp_path / "a.mp4", np.radians(degrees)
    write_clip(path, 2, codec="libx264")
    set_display_matrix(path, np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle))
    off = round(abs((degrees + 45) % 90 - 45))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frames = read_video(path).frames
    assert read_numbers(np.rot90(frames, turned // 90, axes=(1, 2))) == [0, 1]
    assert probe(path).rotation == turned
    assert [str(line.message).split(" degrees")[0].split()[-1] for line in told] == [str(off)] * (off > 1)


def test_a_start_time_other_than_zero_is_taken_off(tmp_path):
    times_ms = [700 + 40 * number for number in range(10)]
    write_clip(tmp_path / "a.ts", 10, codec="libx264", times_ms=times_ms)
    clip = read_video(tmp_path / "a.ts")
    assert clip.times_sec[0] == 0
    assert np.allclose(np.diff(clip.times_sec), 0.04, atol=1e-3)


def test_a_wrong_stated_frame_count_is_not_believed(tmp_path):
    path = tmp_path / "a.avi"
    write_clip(path, 30)
    data = bytearray(path.read_bytes())
    for tag, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):  # dwTotalFrames, dwLength
        start = data.index(tag) + offset
        data[start : start + 4] = (9999).to_bytes(4, "little")
    path.write_bytes(data)
    info = probe(path)
    assert (info.num_frames, info.stated_frames) == (30, 9999)
    assert read_numbers(read_video(path, num_frames=4).frames) == [0, 10, 19, 29]


def test_no_stated_frame_count_is_counted(tmp_path):
    path = tmp_path / "a.mkv"
    write_clip(path, 30, codec="libx264", options={"live": "1"})  # as a browser records: no duration, no index
    info = probe(path)
    assert (info.num_frames, info.stated_frames) == (30, 0)
    assert read_numbers(read_video(path, num_frames=3).frames) == [0, 15, 29]


def test_a_sound_stream_is_noticed(tmp_path):
    write_clip(tmp_path / "a.mp4", 30, codec="libx264", audio=True)
    assert probe(tmp_path / "a.mp4").has_audio
    assert len(read_video(tmp_path / "a.mp4").frames) == 30


def test_streaming_equals_reading(tmp_path):
    write_clip(tmp_path / "a.mp4", 20, codec="libx264")
    clip = read_video(tmp_path / "a.mp4")
    streamed = list(iter_frames(tmp_path / "a.mp4"))
    assert [index for index, _, _ in streamed] == list(range(20))
    assert np.array_equal([time_sec for _, time_sec, _ in streamed], clip.times_sec)
    assert np.array_equal([frame for _, _, frame in streamed], clip.frames)


def test_threads_change_nothing(tmp_path):
    write_clip(tmp_path / "a.mp4", 40, codec="libx264")
    one, four = (read_video(tmp_path / "a.mp4", threads=threads).frames for threads in (1, 4))
    assert np.array_equal(one, four)


def test_fast_probe_agrees_on_an_ordinary_file(tmp_path):
    write_clip(tmp_path / "a.mp4", 30, codec="libx264")
    fast = probe(tmp_path / "a.mp4", exact=False)
    assert not fast.exact
    assert (fast.num_frames, fast.fps) == (30, 25)


def test_names_with_spaces_letters_and_colons(tmp_path):
    path = tmp_path / "größe 测试 a:b" / "Übung %d éà.mp4"
    path.parent.mkdir()
    write_clip(tmp_path / "a.mp4", 5, codec="libx264")
    shutil.move(tmp_path / "a.mp4", path)
    assert read_numbers(read_video(path).frames) == [0, 1, 2, 3, 4]


# What cannot be read ------------------------------------------------------------------------------------------------


def assert_refused(path, *words):
    """All readers refuse the file with one line that names it and holds the words."""
    for read in (probe, read_video, lambda path: list(iter_frames(path))):
        with pytest.raises(MediaError) as caught:
            read(path)
        message = str(caught.value)
        assert "\n" not in message
        assert str(path) in message
        assert all(word in message for word in words), message
        assert caught.value.remedy


def test_missing(tmp_path):
    assert_refused(tmp_path / "none.mp4", "no such file")


def test_folder(tmp_path):
    assert_refused(tmp_path, "a folder")


def test_empty(tmp_path):
    (tmp_path / "a.avi").touch()
    assert_refused(tmp_path / "a.avi", "empty (0 bytes)")


@pytest.mark.parametrize("text", ["These are notes, not a video.\n" * 50, "#EXTM3U\nhttp://127.0.0.1:9/x.ts\n", "x"])
def test_text_named_avi(tmp_path, text):
    (tmp_path / "a.avi").write_text(text)
    assert_refused(tmp_path / "a.avi")


def test_sound_alone(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(8000), file.writeframes(b"\0\0" * 8000)
    (tmp_path / "a.wav").rename(tmp_path / "a.avi")
    assert_refused(tmp_path / "a.avi", "no video stream", "audio")


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "libx264")])
def test_no_frames_after_the_header(tmp_path, name, codec):
    path = tmp_path / name
    write_clip(path, 30, codec=codec)
    data = path.read_bytes()
    start = data.index(b"movi") + 4 if name == "a.avi" else data.index(b"\x1f\x43\xb6\x75")  # the first cluster
    path.write_bytes(data[:start])
    assert_refused(path)
    with pytest.raises(MediaError, match=r"no frames after its header|not a readable"):
        read_video(path, strict=False)


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.webm", "a.flv", "a.mpg", "a.wmv"])
def test_truncated_is_refused_or_read_as_far_as_it_goes(tmp_path, name):
    path = tmp_path / name
    codecs = {".avi": "mpeg4", ".mkv": "libx264", ".webm": "libvpx-vp9", ".flv": "flv", ".mpg": "mpeg1video"}
    codecs[".wmv"] = "wmv2"
    write_clip(path, 90, codec=codecs[path.suffix])
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.7)])
    with pytest.raises(MediaError, match=r"truncated or corrupt.*can be read. Replace it"):
        read_video(path)
    with pytest.raises(MediaError, match="truncated or corrupt"):
        list(iter_frames(path))
    info = probe(path)
    assert info.damage
    assert 30 < info.num_frames <= 90  # ASF ends in padding here: the frames may all be there
    numbers = read_numbers(read_video(path, strict=False).frames)
    assert len(numbers) == info.num_frames
    assert numbers[:30] == list(range(30))


def test_truncated_mp4(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, 30, codec="libx264")
    path.write_bytes(path.read_bytes()[:-600])  # its table of frames stood at the end
    assert_refused(path)


def test_truncated_mp4_with_the_table_in_front(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, 60, codec="libx264", options={"movflags": "+faststart"})
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(MediaError, match="bytes are missing"):
        read_video(path)
    assert 0 < len(read_video(path, strict=False).frames) < 60


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "a.avi"
    write_clip(path, 3)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything: then the system's answer is put in its mouth
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert_refused(path, "no permission to read it")


def test_wrong_calls(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, 5, codec="libx264")
    with pytest.raises(UsageError, match=r"5 frames, 0 to 4. Received: index 5"):
        read_video(path, [0, 5])
    with pytest.raises(UsageError, match="whole numbers"):
        read_video(path, [-1])
    with pytest.raises(UsageError, match="one of"):
        read_video(path, [0], num_frames=3)
    with pytest.raises(UsageError):
        read_video(path, num_frames=0)


def test_random_damage_gives_frames_or_the_documented_error(tmp_path):
    import random

    randomness = random.Random(8)
    sources = []
    for name, options in CONTAINERS:
        write_clip(tmp_path / name, 30, **options)
        sources.append((tmp_path / name).read_bytes())
    outcomes = {"read": 0, "refused": 0}
    for number in range(150):
        data = bytearray(sources[number % len(sources)])
        for _ in range(randomness.choice([1, 5, 30])):
            place = randomness.randrange(len(data))
            data[place : place + randomness.choice([0, 1, 4])] = randomness.randbytes(randomness.choice([1, 4, 20]))
        path = tmp_path / "damaged.avi"
        path.write_bytes(data)
        try:
            clip = read_video(path, every_sec=0.5, strict=False)
            outcomes["read"] += 1
        except MediaError:
            outcomes["refused"] += 1
        else:
            assert clip.frames.dtype == np.uint8 and clip.frames.shape[-1] == 3
            assert np.all(np.diff(clip.times_sec) >= 0)
    assert min(outcomes.values()) > 10, outcomes


# Writing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 176), (49, 177)])
def test_written_video_comes_back(tmp_path, size):
    frames = np.stack([draw_number(number, *size) for number in range(12)])
    write_video(tmp_path / "a.mp4", frames, 30000 / 1001, crf=5)
    clip = read_video(tmp_path / "a.mp4")
    assert clip.frames.shape[1:3] == tuple(side + side % 2 for side in size)
    assert read_numbers(clip.frames) == list(range(12))
    assert probe(tmp_path / "a.mp4").fps == pytest.approx(30000 / 1001)
    assert np.abs(clip.frames[:, 34:48, 100:176].astype(int) - 128).max() <= 2


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50), (255, 255, 255), (0, 0, 0)])
def test_colours_survive_writing(tmp_path, colour):
    frames = np.broadcast_to(np.uint8(colour), (3, 32, 32, 3))
    write_video(tmp_path / "a.mp4", frames, 25)
    assert np.abs(read_video(tmp_path / "a.mp4").frames.astype(int) - colour).max() <= 3
    capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))  # another reader agrees, as far as it heeds the colour matrix
    assert np.abs(capture.read()[1][..., ::-1].astype(int) - colour).max() <= 40


def test_written_video_starts_with_its_index_and_plays_in_browsers(tmp_path):
    write_video(tmp_path / "a.mp4", (draw_number(number) for number in range(5)), 25)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert probe(tmp_path / "a.mp4").codec == "h264"


def test_gif(tmp_path):
    write_gif(tmp_path / "a.gif", [draw_number(number) for number in range(6)], 10)
    assert read_numbers(read_video(tmp_path / "a.gif").frames) == list(range(6))
    assert probe(tmp_path / "a.gif").fps == 10
    write_gif(tmp_path / "grey.gif", np.arange(4, dtype=np.uint8)[:, None, None] * np.full((1, 8, 8), 60, np.uint8), 10)
    assert read_video(tmp_path / "grey.gif").frames[3, 0, 0].tolist() == [180, 180, 180]


def test_gif_reads_as_imageio_reads_it(tmp_path):
    """Uneven times, and frames that say only what has changed."""
    frames = [Image.fromarray(draw_number(number)) for number in range(6)]
    durations = [100, 50, 200, 20, 500, 30]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations)
    clip = read_video(path)
    np.testing.assert_array_equal(clip.frames, np.stack(list(iio.imiter(path, mode="RGB"))))
    np.testing.assert_allclose(clip.times_sec, np.cumsum([0, *durations[:-1]]) / 1000)


def test_gif_of_few_colours_keeps_each_of_them(tmp_path):
    rng = np.random.default_rng(0)
    clips = []
    for count in (1, 2, 256):
        colours = rng.integers(0, 256, (count, 3), np.uint8)
        clips.append(colours[rng.integers(0, count, (24, 32))])
    clips += [clips[-1][:, ::-1], np.full((24, 32, 3), 255, np.uint8)]  # a view that is not contiguous; white
    write_gif(tmp_path / "few.gif", clips, 10)
    with Image.open(tmp_path / "few.gif") as gif:
        for number, clip in enumerate(clips):
            gif.seek(number)
            np.testing.assert_array_equal(gif.convert("RGB"), clip)


@pytest.mark.parametrize("write", [write_video, write_gif])
@pytest.mark.parametrize(
    "frames",
    [
        [],
        [np.zeros((8, 8, 3), np.float32)],
        [np.zeros((8, 8, 4), np.uint8)],
        [np.zeros((0, 8, 3), np.uint8)],
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, write, frames):
    name = "a.mp4" if write is write_video else "a.gif"
    with pytest.raises(UsageError, match=name):
        write(tmp_path / name, frames, 25)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_frames_keeps_the_old_file(tmp_path):
    write_video(tmp_path / "a.mp4", [draw_number(1)], 25)
    before = (tmp_path / "a.mp4").read_bytes()

    def broken():
        yield draw_number(2)
        raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError):
        write_video(tmp_path / "a.mp4", broken(), 25)
    with pytest.raises(UsageError, match="as the first"):
        write_video(tmp_path / "a.mp4", [draw_number(1), draw_number(1, 64)], 25)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_wrong_rates_and_names(tmp_path):
    with pytest.raises(UsageError, match="positive"):
        write_video(tmp_path / "a.mp4", [draw_number(1)], 0)
    with pytest.raises(UsageError, match=r"\.mp4"):
        write_video(tmp_path / "a.avi", [draw_number(1)], 25)
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", [draw_number(1)], 25)


# Real files ---------------------------------------------------------------------------------------------------------


def test_real_clips_decode_as_opencv_decodes_them(shared_data):
    for path in sorted(shared_data("ucf101/videos").glob("*/*.avi"))[::15]:
        capture = cv2.VideoCapture(str(path))
        num_frames = 0
        for index, _, frame in iter_frames(path):
            read, theirs = capture.read()
            assert read
            num_frames += 1
            if index % 20 == 0:
                assert np.abs(frame.astype(int) - theirs[..., ::-1]).mean() < 2, (path, index)
        assert not capture.read()[0]
        assert probe(path).num_frames == num_frames


def test_real_clips_of_wrong_stated_length(shared_data):
    info = probe(shared_data("ut_interaction/handshake/set1_g01_004.avi"))
    assert (info.num_frames, info.stated_frames, info.fps, info.damage) == (183, 185, 30, "")
    clip = read_video(info.path, num_frames=8)
    assert clip.indices[-1] == 182
    assert np.all(np.diff(clip.times_sec) > 0)


def test_real_mpeg_files_are_whole(shared_data):
    for path in sorted(shared_data("grid/s1_mpg").glob("*.mpg"))[::6]:
        info = probe(path)
        assert (info.width, info.height, info.fps, info.damage) == (360, 288, 25, "")
        assert info.num_frames in (74, 75)
        assert info.has_audio


JOINED = [("mpegts", {}, 188), ("mpegts", {"mpegts_m2ts_mode": "1"}, 192)]


def write_parts(tmp_path, options, codec="libx264", sizes=((48, 176), (48, 176), (48, 176))):
    """Transport streams of 12 numbered frames each, as bytes."""
    parts = []
    for size in sizes:
        write_clip(tmp_path / "part.ts", 12, codec=codec, format="mpegts", options=options, size=size)
        parts.append((tmp_path / "part.ts").read_bytes())
    return parts


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize(("format", "options", "stride"), JOINED)
def test_joined_transport_streams_are_whole(tmp_path, codec, format, options, stride):
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(write_parts(tmp_path, options, codec)))
    info = probe(path)
    assert (info.num_frames, info.damage) == (36, "")
    clip = read_video(path)
    assert read_numbers(clip.frames) == [*range(12)] * 3
    assert np.allclose(np.diff(clip.times_sec), 0.04)
    assert read_numbers(read_video(path, num_frames=4).frames) == [0, 0, 11, 11]  # frames 0, 12, 23, 35


@pytest.mark.parametrize(("format", "options", "stride"), JOINED)
def test_losses_in_transport_streams_are_not_taken_for_joints(tmp_path, format, options, stride):
    first, second, _ = write_parts(tmp_path, options)
    path = tmp_path / "lossy.ts"
    path.write_bytes(second + first[: 6 * stride] + second)  # ends in the middle of its first, large frame
    assert "cut short" in probe(path).damage
    path.write_bytes(first + second[: 5 * stride] + second[7 * stride :])  # a joint, and a loss behind it
    assert "cut short" in probe(path).damage
    path.write_bytes(second + first[: 6 * stride + 50] + second)  # no whole number of packets
    assert probe(path).damage


def test_pictures_that_go_on_in_another_stream_are_told(tmp_path):
    first = write_parts(tmp_path, {})[0]
    second = write_parts(tmp_path, {"mpegts_start_pid": "512"})[0]
    (tmp_path / "a.ts").write_bytes(first + second)
    assert "go on in another stream" in probe(tmp_path / "a.ts").damage
