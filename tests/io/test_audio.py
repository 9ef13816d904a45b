"""Sound out of any container: known tones at known times, windows equal to the whole, clear refusals."""

import wave

import numpy as np
import pytest

from tests.io.clips import write_clip
from tests.io.sounds import write_sound
from tfav.errors import MediaError, UsageError
from tfav.io.audio import NoSoundError, read_audio, take_samples


def tone(hertz, rate, seconds=1.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("rate", "layout", "codec", "name"),
    [
        (8000, "mono", "pcm_s16le", "a.wav"),
        (16000, "mono", "pcm_u8", "a.wav"),
        (44100, "stereo", "pcm_f32le", "a.wav"),
        (48000, "5.1", "pcm_s32le", "a.wav"),
        (48000, "5.1", "flac", "a.mkv"),
    ],
)
def test_a_tone_is_the_same_tone_at_any_rate_and_of_any_channels(tmp_path, rate, layout, codec, name):
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    weights = np.arange(1, channels + 1)[:, None] / channels  # each channel of its own loudness: the mean is known
    path = write_sound(tmp_path / name, weights * tone(300, rate), rate, layout=layout, codec=codec)
    samples = read_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == 16000
    expected = weights.mean() * tone(300, 16000)
    np.testing.assert_allclose(samples[400:-400], expected[400:-400], atol=6e-3 if codec == "pcm_u8" else 1e-3)


def test_loud_sound_stays_within_range(tmp_path):
    path = write_sound(tmp_path / "a.wav", np.sign(tone(100, 44100)) * 1.5, 44100, codec="pcm_f32le")
    assert np.abs(read_audio(path, 44100)).max() == 1.0
    assert np.abs(read_audio(path)).max() < 1.3  # ringing of the filter, as any resampler has it


def test_a_window_is_that_part_of_the_whole_and_silence_beyond_it(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * 44100)
    path = write_sound(tmp_path / "a.wav", noise, 44100)
    whole = read_audio(path)
    window = read_audio(path, start_sec=1.25, duration_sec=0.5)
    assert len(window) == 8000
    np.testing.assert_allclose(window, whole[20000:28000], atol=2e-4)
    early = read_audio(path, start_sec=-0.5, duration_sec=1.0)
    assert not early[:8000].any()
    np.testing.assert_allclose(early[8000:], whole[:8000], atol=2e-4)
    late = read_audio(path, start_sec=1.5, duration_sec=1.0)
    np.testing.assert_allclose(late[:8000], whole[24000:], atol=2e-4)
    assert not late[8000:].any()
    np.testing.assert_allclose(read_audio(path, start_sec=1.5), whole[24000:], atol=2e-4)
    assert not read_audio(path, start_sec=5, duration_sec=1).any()


@pytest.mark.parametrize("start_sec", [0.0, 0.2])
def test_sound_that_begins_later_than_the_pictures_stays_where_it_is(tmp_path, start_sec):
    samples = np.zeros(44100)
    samples[22050] = 0.9  # a click half a second into the sound
    path = write_sound(
        tmp_path / "a.mkv", samples, 44100, start_sec=start_sec, frames=np.zeros((40, 32, 32, 3), np.uint8)
    )
    assert abs(int(np.abs(read_audio(path)).argmax()) - 8000) <= 1  # without a window: its own samples
    window = read_audio(path, start_sec=0.0, duration_sec=1.6)
    assert len(window) == 25600
    assert abs(int(np.abs(window).argmax()) - round((0.5 + start_sec) * 16000)) <= 16  # mkv counts milliseconds


def test_priming_of_aac_is_no_delay(tmp_path):
    samples = np.zeros(44100)
    samples[22050:22094] = tone(1000, 44100, 0.001, 0.9)
    path = write_sound(tmp_path / "a.mp4", samples, 44100, codec="aac", frames=np.zeros((25, 32, 32, 3), np.uint8))
    window = read_audio(path, start_sec=0.0, duration_sec=1.0)
    assert abs(int(np.abs(window).argmax()) - 8004) <= 8


def test_refusals(tmp_path):
    write_clip(tmp_path / "mute.mp4", 5)
    with pytest.raises(NoSoundError, match=r"mute\.mp4: no sound in it \(found: video\)\. Use a file with"):
        read_audio(tmp_path / "mute.mp4")
    (tmp_path / "text.wav").write_bytes(b"no sound at all")
    with pytest.raises(MediaError, match=r"text\.wav: not a readable media file"):
        read_audio(tmp_path / "text.wav")
    with pytest.raises(MediaError, match="no such file"):
        read_audio(tmp_path / "none.wav")
    empty = tmp_path / "empty.wav"
    with wave.open(str(empty), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    with pytest.raises(NoSoundError, match=r"empty\.wav: its sound track holds no sound"):
        read_audio(empty)
    for wrong in ({"sample_rate": 0}, {"duration_sec": 0.0}, {"duration_sec": float("nan")}):
        with pytest.raises(UsageError, match=r"must be .*(1 or more|above 0)"):
            read_audio(empty, **wrong)


def test_taking_samples_beyond_either_end():
    samples = np.arange(1, 6, dtype=np.int16)
    assert take_samples(samples, -2, 4).tolist() == [0, 0, 1, 2]
    assert take_samples(samples, 3, 4).tolist() == [4, 5, 0, 0]
    assert take_samples(samples, 9, 2).tolist() == [0, 0]
    assert take_samples(samples, -9, 2).tolist() == [0, 0]


def test_real_clips_equal_librosa(shared_data):
    librosa = pytest.importorskip("librosa")
    for path in sorted(shared_data("grid/s1").glob("*.mp4"))[:8]:
        expected, _ = librosa.load(path, sr=16000)
        samples = read_audio(path)
        assert len(samples) == len(expected)
        np.testing.assert_allclose(samples, expected, atol=1e-3)
