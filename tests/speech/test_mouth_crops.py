"""Videos become recordings in which pictures and sound begin at the same moment; bad ones are named."""

import json

import numpy as np
import pytest

from tests.io.sounds import write_sound
from tests.systems.av_words.conftest import RATE, flashes_and_clicks
from tfav.cli.commands import parsed
from tfav.data import shards
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.encoding import write_video
from tfav.speech import lrw
from tfav.speech.mouth_crops import LRW_PLACE, Cut, crop_fixed, make_word
from tfav.systems.av_words.dataset import prepare

FIXED = LRW_PLACE._replace(width=24, height=24)
MOMENTS = (6, 11, 17, 33, 38)


def run(source, out, **options):
    return prepare(source, out, mouth_crop="fixed", crop_size=(24, 24), workers=0, quiet=True, **options)


def record_of(index, name):
    entries = shards.in_stored_order(index, [name])
    return next(shards.read_rows(index, entries).map(shards.decoder(index)).as_numpy_iterator())


def bright_frames(frames):
    return np.flatnonzero(frames.reshape(len(frames), -1).mean(axis=1) > 120)


def click_frames(samples):
    loud = np.flatnonzero(np.abs(samples.astype(float)) > 0.4 * 32768)
    starts = loud[np.diff(loud, prepend=-1000) > 200]
    return starts


# GRID ---------------------------------------------------------------------------------------------------------------


def test_flash_and_click_coincide_in_every_sentence(grid_tree, tmp_path):
    report = run(grid_tree, tmp_path / "out")
    assert report.ok and len(report.done) == 6
    index = shards.read_index(tmp_path / "out", check_content=True)
    assert index.settings["words"][:2] == ["bin", "lay"] and len(index.settings["words"]) == 51
    entry = index.by_id()["s1/bbaf2n"]
    assert (entry.num_frames, entry.height, entry.width, entry.channels) == (40, 24, 24, 1)
    assert (entry.audio_samples, entry.audio_rate_hz, index.audio_type) == (40 * 640, RATE, "int16")
    assert entry.words == ("bin", "blue", "at", "f", "now")
    record = record_of(index, "s1/bbaf2n")
    assert bright_frames(record["frames"]).tolist() == list(MOMENTS)
    np.testing.assert_allclose(click_frames(record["audio"]), 640 * np.array(MOMENTS), atol=2)
    assert (tmp_path / "out" / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    again = run(grid_tree, tmp_path / "out")
    assert (len(again.skipped), again.done) == (6, [])


def test_sound_that_begins_late_keeps_its_place(tmp_path, make_clip):
    frames, sound = flashes_and_clicks(40, MOMENTS)
    path = tmp_path / "WORD" / "test" / "WORD_1.mkv"
    write_sound(path, sound[3200:], RATE, frames=frames, start_sec=0.2)  # the first 5 frames have no sound
    record, _ = make_word([str(path)], "WORD/test/WORD_1", "WORD", Cut(FIXED, "", needs_sound=True))
    np.testing.assert_allclose(click_frames(record.audio), 640 * np.array(MOMENTS), atol=16)
    assert not record.audio[:3100].any()


def test_bad_recordings_are_named_each_with_its_reason(grid_tree, tmp_path, make_clip):
    align = grid_tree / "align" / "s1"
    words = (align / "bbaf1n.align").read_text()
    for name in ("lbax4n", "lbbc2a", "lrwp9a", "swiz3s", "pgbq4p"):
        (align / f"{name}.align").write_text(words)
    write_video(grid_tree / "s1" / "lbax4n.mp4", np.zeros((40, 256, 256, 3), np.uint8), fps=25)  # no sound
    write_sound(grid_tree / "s1" / "lbbc2a.mp4", np.zeros(RATE), RATE, codec="aac")  # no pictures
    make_clip(grid_tree / "s1" / "lrwp9a.mkv", 40, seconds=0.8)  # sound that ends early
    make_clip(grid_tree / "s1" / "swiz3s.mkv", 20, (6,))  # the words go on
    (grid_tree / "s1" / "pgbq4p.mkv").write_bytes(b"no video")
    make_clip(grid_tree / "s1" / "sbbc1p.mkv", 40)  # no alignment
    make_clip(grid_tree / "s1" / "holiday.mkv", 40)
    report = run(grid_tree, tmp_path / "out")
    assert "s1/lrwp9a" in report.done and len(report.done) == 7
    assert "lbax4n.mp4: no sound in it (found: video)" in report.failed["s1/lbax4n"]
    assert "lbbc2a.mp4: no video stream in it (found: audio)" in report.failed["s1/lbbc2a"]
    assert "it has 20 frames, and its alignment goes on to frame 40" in report.failed["s1/swiz3s"]
    assert "pgbq4p.mkv: not a readable media file" in report.failed["s1/pgbq4p"]
    assert "not known when its words are said" in report.failed["s1/sbbc1p"]
    assert "its name is no GRID code" in report.failed["s1/holiday"]
    (warning,) = report.warnings
    assert "s1/lrwp9a" in warning and "its sound ends 0.80 s before its pictures" in warning
    record = record_of(shards.read_index(tmp_path / "out"), "s1/lrwp9a")
    assert len(record["audio"]) == 40 * 640 and not record["audio"][13000:].any()
    stored = json.loads((tmp_path / "out" / "prepare_report.json").read_text())
    assert stored["failed"] == 6


def test_options_that_do_not_fit(grid_tree, tmp_path):
    for options, words in (
        ({"layout": "cd"}, r"\(--from\) must be one of grid, recordings, lrw"),
        ({"mouth_crop": "none"}, "tracked, fixed"),
        ({"crop_size": (4, 4)}, "8 pixels or more"),
        ({"mouth_crop": "fixed", "speakers": ("s9",)}, r"no speaker s9\. There are: s1"),
        ({"layout": "lrw", "speakers": ("s1",)}, "no speakers"),
    ):
        with pytest.raises(UsageError, match=words):
            prepare(grid_tree, tmp_path / "out", workers=0, quiet=True, **options)


def test_flags_of_the_command_line():
    words = ["av_words", "--source", "a", "--out", "b", "--from", "lrw", "--crop-size", "96", "96"]
    _, _, options = parsed("prepare", words)
    assert (options.layout, options.crop_size) == ("lrw", (96, 96))


# LRW ----------------------------------------------------------------------------------------------------------------


def lrw_clip(path, num_frames=29, seconds=1.216, rate=RATE, layout="mono", moments=(3, 14, 28)):
    frames, sound = flashes_and_clicks(num_frames, [moment for moment in moments if moment < num_frames])
    sound = np.repeat(np.resize(sound, round(seconds * RATE)), 3) if rate == 48000 else sound
    if rate == 8000:
        sound = sound[::2]
    if rate == RATE:
        sound = np.concatenate([sound, np.zeros(max(0, round(seconds * RATE) - len(sound)))])[: round(seconds * RATE)]
    channels = {"mono": 1, "5.1": 6}[layout]
    return write_sound(path, np.tile(sound, (channels, 1)), rate, frames=frames, layout=layout)


def test_lrw_becomes_one_recording_a_clip(tmp_path):
    source = tmp_path / "lrw"
    for name in ("ABOUT/train/ABOUT_00001", "ABOUT/val/ABOUT_00001", "ZERO/test/ZERO_00002"):
        lrw_clip(source / f"{name}.mkv")
    report = run(source, tmp_path / "out", layout="lrw")
    assert report.ok and not report.warnings
    index = shards.read_index(tmp_path / "out")
    assert index.settings["words"] == ["ABOUT", "ZERO"]
    entry = index.by_id()["ZERO/test/ZERO_00002"]
    assert (entry.num_frames, entry.audio_samples, entry.words) == (29, 19456, ("ZERO",))
    record = record_of(index, entry.id)
    assert bright_frames(record["frames"]).tolist() == [3, 14, 28]
    np.testing.assert_allclose(click_frames(record["audio"]), [1920, 8960, 17920], atol=2)


def test_the_last_samples_count_where_a_codec_put_some_before(tmp_path):
    path = lrw_clip(tmp_path / "a.mkv")
    plain, _ = make_word([str(path)], "a", "A", Cut(FIXED, "", needs_sound=True))
    frames, sound = flashes_and_clicks(29, (3, 14, 28))
    sound = np.concatenate([np.zeros(1024), sound, np.zeros(896)])  # 20,480 samples, as some decoders give them
    longer = write_sound(tmp_path / "b.mkv", sound, RATE, frames=frames)
    record, _ = make_word([str(longer)], "b", "A", Cut(FIXED, "", needs_sound=True))
    assert len(record.audio) == 19456
    np.testing.assert_array_equal(click_frames(record.audio), click_frames(plain.audio))


@pytest.mark.parametrize("num_frames", [28, 30])
def test_a_frame_too_few_or_too_many_is_used_with_a_warning(tmp_path, num_frames):
    path = lrw_clip(tmp_path / "a.mkv", num_frames, seconds=num_frames / 25)
    record, warning = make_word([str(path)], "a", "A", Cut(FIXED, "", needs_sound=True))
    assert len(record.frames) == num_frames and len(record.audio) == num_frames * 640
    assert f"it has {num_frames} frames, not 29" in warning
    np.testing.assert_allclose(record.word_times_sec, [[0, num_frames / 25]])


@pytest.mark.parametrize(("rate", "layout"), [(8000, "mono"), (48000, "5.1")])
def test_any_rate_and_channels(tmp_path, rate, layout):
    path = lrw_clip(tmp_path / "a.mkv", rate=rate, layout=layout)
    record, _ = make_word([str(path)], "a", "A", Cut(FIXED, "", needs_sound=True))
    assert len(record.audio) >= 29 * 640
    np.testing.assert_allclose(click_frames(record.audio), [1920, 8960, 17920], atol=8)


def test_the_fixed_box_is_lrws(tmp_path):
    top, bottom, left, right = lrw.BOX
    frames = np.full((29, 256, 256, 3), 40, np.uint8)
    frames[:, top:bottom, left:right] = 200
    path = write_sound(tmp_path / "a.mkv", np.zeros(19456), RATE, frames=frames)
    record, _ = make_word([str(path)], "a", "A", Cut(LRW_PLACE, "", needs_sound=True))
    assert record.frames.shape == (29, 96, 96, 1)
    assert np.median(record.frames) > 190 and (record.frames > 150).mean() > 0.97
    small = write_sound(tmp_path / "b.mkv", np.zeros(19456), RATE, frames=frames[:, :128, :128])
    with pytest.raises(MediaError, match="made for 256x256, this video is 128x128"):
        make_word([str(small)], "b", "A", Cut(LRW_PLACE, "", needs_sound=True))


def test_arrays_of_the_notebook_become_recordings(tmp_path):
    frames = np.full((29, 24, 24), 30, np.uint8)
    frames[[3, 14]] = 220
    sound = np.zeros(19456, np.float32)
    sound[[3 * 640, 14 * 640]] = 0.8
    lrw.write_npz(tmp_path / "npz/video/at/test/at_1.npz", frames)
    lrw.write_npz(tmp_path / "npz/audio/at/test/at_1.npz", sound)
    report = run(tmp_path / "npz", tmp_path / "out", layout="lrw")
    assert report.ok and report.done == ["at/test/at_1"]
    index = shards.read_index(tmp_path / "out")
    assert index.settings["words"] == ["at"]
    record = record_of(index, "at/test/at_1")
    np.testing.assert_array_equal(record["frames"][..., 0], frames)
    np.testing.assert_allclose(record["audio"], sound * 32768, atol=1)


def test_arrays_that_cannot_be_used(tmp_path):
    lrw.write_npz(tmp_path / "video/A/test/A_1.npz", np.zeros((29, 96, 96, 3), np.float32))
    lrw.write_npz(tmp_path / "audio/A/test/A_1.npz", np.zeros(19456, np.float32))
    lrw.write_npz(tmp_path / "video/B/test/B_1.npz", np.full((29, 96, 96, 3), 9, np.uint8))
    np.savez((tmp_path / "audio/B/test").mkdir(parents=True) or tmp_path / "audio/B/test/B_1.npz", sound=np.zeros(9))
    lrw.write_npz(tmp_path / "video/C/test/C_1.npz", np.full((29, 96, 96, 3), 9, np.uint8))
    lrw.write_npz(tmp_path / "audio/C/test/C_1.npz", np.full(19000, 0.5))
    report = run(tmp_path, tmp_path / "out", layout="lrw")
    assert report.done == ["C/test/C_1"]
    assert "expected pictures [T, H, W, 3] or [T, H, W], uint8" in report.failed["A/test/A_1"]
    assert "it holds no array called data (found: sound)" in report.failed["B/test/B_1"]
    record = record_of(shards.read_index(tmp_path / "out"), "C/test/C_1")
    assert (record["audio"][:19000] == 16384).all() and not record["audio"][19000:].any()


def test_the_fixed_box_is_the_notebooks_and_refuses_other_sizes():
    frame = np.random.default_rng(0).integers(0, 255, (288, 360, 3), np.uint8)
    (crop,) = crop_fixed([frame])
    expected = frame[190:236, 80:220] @ np.array([0.299, 0.587, 0.114])
    assert crop.shape == (46, 140)
    assert np.abs(crop - expected).max() <= 1
    with pytest.raises(DataError, match="made for 360x288, this video is 320x240"):
        list(crop_fixed([np.zeros((240, 320, 3), np.uint8)]))
