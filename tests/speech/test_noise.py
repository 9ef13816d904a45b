"""The ratio is exact, spectra are what they are called, babble never holds the window's own recording."""

import numpy as np
import pytest
import tensorflow as tf

from tests.io.sounds import write_sound
from tfav.errors import DataError, MediaError, UsageError
from tfav.speech import noise
from tfav.systems.av_words.config import Config

LENGTH = 19456
SEED = tf.constant([3, 4], tf.int64)


def voices_of_tones(count, length=48000):
    """Recording `i` is the tone of `300 + 100 i` Hz, each of another loudness."""
    times = np.arange(length) / 16000
    tones = [(i + 1) * 500 * np.sin(2 * np.pi * (300 + 100 * i) * times) for i in range(count)]
    return noise.Voices(tuple(f"s1/{i}" for i in range(count)), np.array(tones).round().astype(np.int16))


def tones_in(sound, count):
    """Which of the recordings are heard, and how loud."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    places = np.fft.rfftfreq(len(sound), 1 / 16000)
    power = np.array([spectrum[np.abs(places - 300 - 100 * i) < 20].sum() for i in range(count)])
    return power / power.max()


@pytest.mark.parametrize("kind", ["white", "pink", "babble", "folder"])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_the_ratio_is_exact_on_the_window(tmp_path, kind, snr_db):
    write_sound(tmp_path / "a.wav", np.random.default_rng(1).normal(0, 0.1, 8000), 16000)
    config = Config(noise_dir=str(tmp_path))
    source = noise.build_source(config, [kind], voices_of_tones(8))
    rng = np.random.default_rng(0)
    signal = (rng.normal(0, 0.05, LENGTH) * np.hanning(LENGTH)).astype(np.float32)
    mixed = noise.mix(tf.constant(signal), source(SEED, -1), snr_db).numpy()
    added = mixed.astype(np.float64) - signal
    assert 10 * np.log10((signal.astype(np.float64) ** 2).mean() / (added**2).mean()) == pytest.approx(snr_db, abs=1e-2)
    again = noise.mix(tf.constant(signal), source(SEED, -1), snr_db).numpy()
    np.testing.assert_array_equal(mixed, again)
    assert not np.array_equal(added, noise.mix(tf.constant(signal), source(SEED + 1, -1), snr_db).numpy() - signal)


def test_silence_stays_silent_and_finite():
    silent = tf.zeros([LENGTH])
    loud = noise.white(LENGTH)(SEED, -1)
    assert not noise.mix(silent, loud, -5.0).numpy().any()
    assert not noise.standardise(silent).numpy().any()
    signal = loud * 0.01
    np.testing.assert_array_equal(noise.mix(signal, silent, -5.0), signal)
    normal = noise.standardise(0.3 + signal).numpy()
    assert abs(normal.mean()) < 1e-4 and normal.std() == pytest.approx(1, abs=1e-3)


def test_spectra():
    white, pink = noise.white(LENGTH)(SEED, -1).numpy(), noise.pink(LENGTH)(SEED, -1).numpy()
    octaves = [(250, 500), (500, 1000), (1000, 2000), (2000, 4000)]
    places = np.fft.rfftfreq(LENGTH, 1 / 16000)

    def powers(sound):
        spectrum = np.abs(np.fft.rfft(sound)) ** 2
        return np.array([spectrum[(places >= low) & (places < high)].sum() for low, high in octaves])

    np.testing.assert_allclose(powers(white)[1:] / powers(white)[:-1], 2, rtol=0.2)
    np.testing.assert_allclose(powers(pink)[1:] / powers(pink)[:-1], 1, rtol=0.2)


def test_babble_is_so_many_equally_loud_others_and_never_ones_own():
    source = noise.babble(voices_of_tones(7), LENGTH, 5)
    heard = set()
    for number in range(12):
        powers = tones_in(source(tf.constant([number, 0], tf.int64), 2).numpy(), 7)
        assert powers[2] < 1e-3
        assert (powers > 0.5).sum() == 5
        heard |= set(np.flatnonzero(powers > 0.5))
    assert heard == {0, 1, 3, 4, 5, 6}
    strangers = {tuple(tones_in(source(tf.constant([n, 1], tf.int64), -1).numpy(), 7) > 0.5) for n in range(12)}
    assert any(chosen[2] for chosen in strangers)  # of another's window it may well be a part


def test_silent_recordings_are_no_voices():
    voices = voices_of_tones(6)
    voices.samples[1] = 0
    source = noise.babble(voices, LENGTH, 4)
    for number in range(8):
        assert (tones_in(source(tf.constant([number, 0], tf.int64), 5).numpy(), 6) > 0.5).sum() == 4


def test_babble_of_too_few():
    with pytest.raises(DataError, match="babble of 5 voices needs 6 recordings or more, there are 5"):
        noise.babble(voices_of_tones(5), LENGTH, 5)


def test_several_kinds_take_turns():
    kinds = [lambda seed, own, level=level: tf.fill([4], level) for level in (1.0, 2.0, 3.0)]
    source = noise.one_of(kinds)
    drawn = [float(source(tf.constant([n, 0], tf.int64), -1)[0]) for n in range(40)]
    assert {1.0, 2.0, 3.0} == set(drawn)


def test_a_folder_of_sounds(tmp_path):
    hum = 0.01 * np.sin(2 * np.pi * 100 * np.arange(48000) / 48000)
    write_sound(tmp_path / "deep" / "hum.wav", np.tile(hum, (6, 1)), 48000, layout="5.1")
    write_sound(tmp_path / "silent.wav", np.zeros(8000), 16000)
    sound = noise.read_folder(tmp_path, 16000)
    assert len(sound) == 16000
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1, abs=0.02)
    with pytest.raises(DataError, match="no sound in it that can be heard"):
        noise.read_folder(write_sound(tmp_path / "quiet" / "a.wav", np.zeros(800), 16000).parent, 16000)
    (tmp_path / "broken.wav").write_bytes(b"nothing")
    with pytest.raises(MediaError, match=r"broken\.wav: .*Remove it from the folder of noise"):
        noise.read_folder(tmp_path, 16000)
    with pytest.raises(UsageError, match="needs noise_dir"):
        noise.build_source(Config(), ["folder"])
    with pytest.raises(UsageError, match="Received: brown"):
        noise.build_source(Config(), ["brown"])


def test_voices_of_shards(made_index):
    names = [entry.id for entry in made_index.entries]
    voices = noise.read_voices(made_index, names[3:9])
    assert voices.ids == tuple(names[3:9])
    assert voices.samples.dtype == np.int16
    lengths = [entry.audio_samples for entry in made_index.entries[3:9]]
    assert voices.samples.shape == (6, max(lengths))
    shortest = int(np.argmin(lengths))
    length = lengths[shortest]
    part = voices.samples[shortest]
    np.testing.assert_array_equal(part[length:], part[: len(part) - length])
