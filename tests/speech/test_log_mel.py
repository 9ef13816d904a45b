"""The sound of each frame: what is told of it, its way from a video into training, and that reading does without."""

import dataclasses

import numpy as np
import pytest

from tfav.data import shards
from tfav.data.example_files import Record
from tfav.errors import UsageError
from tfav.io.encoding import write_video
from tfav.speech.log_mel import BANDS, SIZE, STEPS, describe_sound
from tfav.speech.mouth_crops import SAMPLE_RATE, SAMPLES_PER_FRAME
from tfav.systems.lipnet import dataset
from tfav.systems.lipnet.config import Config
from tfav.systems.lipnet.export import write_pretrained
from tfav.systems.lipnet.reader import open_reader
from tfav.systems.lipnet.train import train
from tfav.training import run_folder as runs

NUM_FRAMES = 16
WORDS = (("bin", 0.08, 0.24), ("blue", 0.24, 0.4))
SMALL = {
    "crop_size": (16, 32),
    "num_frames": NUM_FRAMES,
    "filters": (2, 3, 4),
    "rnn_units": 4,
    "epochs": 2,
    "grammar": "none",
}


def tone(hertz, frames, level=0.3):
    time_sec = np.arange(frames * SAMPLES_PER_FRAME) / SAMPLE_RATE
    return np.round(32767 * level * np.sin(2 * np.pi * hertz * time_sec)).astype(np.int16)


def steps(samples, num_frames=NUM_FRAMES):
    return describe_sound(samples, num_frames).numpy().reshape(num_frames * STEPS, BANDS)


def test_a_tone_is_in_its_band_while_it_lasts():
    low, high = (steps(np.concatenate([tone(hertz, 6), tone(hertz, 6, level=0.0)])) for hertz in (300, 4000))
    assert low.shape == (64, 20) and SIZE == 80
    for told in (low, high):
        assert np.isnan(told[48:]).all() and np.isfinite(told[:48]).all()
    bands = [told[8].argmax() for told in (low, high)]
    assert bands[0] < 6 and 12 < bands[1] < 17
    for told, band in zip((low, high), bands, strict=True):
        assert (told[:20, band] > 0.5).all() and (told[28:48, band] < -0.5).all()


def test_loudness_changes_nothing_and_no_sound_is_unknown():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 2000, 10 * SAMPLES_PER_FRAME).astype(np.int16)
    np.testing.assert_allclose(steps(noise)[:40], steps(3 * noise)[:40], atol=0.02)
    assert np.abs(steps(noise)[:40].mean(axis=0)).max() < 1e-4
    assert np.isnan(steps(np.zeros(0, np.int16))).all()
    assert np.isfinite(steps(np.zeros(10 * SAMPLES_PER_FRAME, np.int16))[:40]).all()
    # A frame that the sound covers in part is not known.
    assert np.isnan(describe_sound(noise[:-1], NUM_FRAMES).numpy()).all(axis=1).sum() == NUM_FRAMES - 9


def test_sound_is_prepared_where_there_is_some(grid, tmp_path):
    path = grid / "s1" / "bbaf2n.mp4"
    frames = np.full((40, 288, 360, 3), 90, np.uint8)
    write_video(path, frames, 25, sound=tone(440, 38).astype(np.float32) / 32768, sample_rate=SAMPLE_RATE)
    dataset.prepare(grid, tmp_path / "out", mouth_crop="fixed", workers=0, quiet=True)
    index = shards.read_index(tmp_path / "out")
    entries = index.by_id()
    assert entries["s1/srwi5a"].audio_samples == 0
    assert 37 * SAMPLES_PER_FRAME <= entries["s1/bbaf2n"].audio_samples <= 40 * SAMPLES_PER_FRAME
    row = next(iter(shards.read_rows(index, [entries["s1/bbaf2n"]])))
    heard = shards.decoder(index)(row)["audio"].numpy()[SAMPLES_PER_FRAME : 30 * SAMPLES_PER_FRAME]
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * SAMPLE_RATE / len(heard) == pytest.approx(440, abs=2)


@pytest.fixture
def heard_folder(tmp_path):
    """Shards of eight clips of 15 frames; all but two have sound."""

    def load(name):
        rng = np.random.default_rng(int(name[-1]))
        frames = rng.integers(0, 200, (15, 20, 40, 1)).astype(np.uint8)
        audio = tone(300 + 400 * int(name[-1]), 15 if name[-1] > "1" else 0)
        times = np.array([word[1:] for word in WORDS], np.float32)
        return Record(name, frames, 25.0, "bin blue", tuple(word[0] for word in WORDS), times, audio, SAMPLE_RATE)

    settings = {"system": "lipnet", "format": 2, "mouth_crop": "tracked"}
    return shards.write_shards(tmp_path / "heard", [f"s1/c{i}" for i in range(8)], load, settings=settings)


@pytest.mark.parametrize("splice", [0.0, 0.7])
def test_batches_have_the_sound_of_their_frames(heard_folder, splice):
    config = Config.preset("demo", **SMALL, data_dir=str(heard_folder.folder), mel_loss_weight=1.0)
    config = dataclasses.replace(config, word_splice_prob=splice)
    names = [entry.id for entry in heard_folder.entries]
    for training in (False, True):
        heard = [
            targets["sound"].numpy()
            for _, targets in dataset.build_dataset(config, heard_folder, names, training=training)
        ]
        heard = np.concatenate(heard)
        assert heard.shape == (8, NUM_FRAMES, SIZE)
        assert np.isnan(heard[:, 15:]).all()
        known = np.isfinite(heard[:, :15]).all(axis=(1, 2)).sum()
        assert known == 6 if not (training and splice) else known <= 8


def test_a_run_learns_from_sound_and_reads_without_it(heard_folder, tmp_path, monkeypatch):
    config = Config.preset("demo", **SMALL, data_dir=str(heard_folder.folder), mel_loss_weight=1.0, val_fraction=0.3)
    rows = train(config, tmp_path / "run", verbose=0)
    assert {"sound_loss", "val_sound_loss", "words_loss", "val_labels_cer"} <= set(rows[0])
    assert np.isfinite(rows[-1]["sound_loss"]) and rows[-1]["sound_loss"] > 0
    batch = np.zeros((2, NUM_FRAMES, 16, 32, 1), np.float32), np.array([NUM_FRAMES, 9])
    write_pretrained(tmp_path / "run", tmp_path / "systems/lipnet/pretrained")
    monkeypatch.setattr(runs, "_SYSTEMS", tmp_path / "systems")
    read = []
    for place in (tmp_path / "run", "pretrained"):
        reader = open_reader(place)
        assert set(reader.model.output) == {"labels", "words"} and reader.config.mel_loss_weight == 0
        read.append(reader.posteriors(*batch))
    for here, there in zip(*read, strict=True):
        np.testing.assert_allclose(np.exp(here.labels), np.exp(there.labels), atol=0.01)


def test_sound_is_wanted_where_there_is_none(shard_folder):
    index = shard_folder({"s1/c0": ("bin blue", [], 15)})
    config = Config.preset("demo", **{**SMALL, "crop_size": (8, 16)}, data_dir=str(index.folder), mel_loss_weight=1.0)
    with pytest.raises(UsageError, match=r"mel_loss_weight=1\.0 needs clips with sound\. Prepare the videos again"):
        dataset.build_dataset(config, index, ["s1/c0"])
    with pytest.raises(UsageError, match="only the models conv3d and resnet have a head for audio"):
        Config.preset("notebook", mel_loss_weight=1.0)


def test_what_is_softer_than_a_hundredth_of_the_mean_counts_as_silence():
    """Energies of 1, 0.01 and 0 for a third of the time each: the mean is 0.3367, so the floor 0.003367."""
    parts = [tone(1000, 4, level=level) for level in (0.5, 0.05, 0.0)]
    told = steps(np.concatenate(parts), num_frames=12)
    band = told[8].argmax()
    loud, soft, silent = told[8, band], told[24, band], told[40, band]
    levels = np.log(np.array([1, 0.01, 0]) + 0.003367)
    expected = (levels[1] - levels[2]) / (levels[0] - levels[2])
    assert (soft - silent) / (loud - silent) == pytest.approx(expected, abs=0.03)
