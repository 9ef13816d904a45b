"""Windows in which flash and click stay together, parts that share no sentence, noise that repeats itself."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.data import shards
from tfav.data.example_files import Record
from tfav.errors import DataError, UsageError
from tfav.speech import noise
from tfav.speech.synthetic_speaker import WORDS
from tfav.speech.windows import list_windows
from tfav.systems.av_words import dataset as data
from tfav.systems.av_words.config import Config
from tfav.systems.av_words.dataset import prepare
from tfav.systems.av_words.demo import make_shards
from tfav.systems.av_words.evaluate import open_part
from tfav.systems.av_words.train import train

RATE = 16000


def config_of(index, **options):
    options = {"val_fraction": 0.25, "batch_size": 8, "noise": (), **options}
    return Config.preset("demo", data_dir=str(index.folder), **options)


def names_of(index):
    return [entry.id for entry in index.entries]


def rows_of(dataset):
    batches = [(*inputs.values(), labels) for inputs, labels in dataset.as_numpy_iterator()]
    names = list(next(iter(dataset))[0])
    return dict(zip([*names, "labels"], map(np.concatenate, zip(*batches, strict=True)), strict=True))


def joined(dataset):
    """All batches as one."""
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *dataset.as_numpy_iterator())


def powers_in_db(rows, clean):
    """Ratio of each window's signal to what was added, before both were standardised: by least squares."""
    ratios = []
    for mixed, signal in zip(rows["waveform"].astype(np.float64), clean["waveform"].astype(np.float64), strict=True):
        share = (mixed @ signal) / (signal @ signal)
        ratios.append(10 * np.log10((share * signal).var() / (mixed - share * signal).var()))
    return np.array(ratios)


# Windows ------------------------------------------------------------------------------------------------------------


def flash_and_click(number, num_frames=60, spoken=((10, 20), (0, 3), (50, 60))):
    """A recording with a flash and a click at frame 5, 15, 25, ...; its words lie in the middle and at either end."""
    frames = np.full((num_frames, 24, 40, 1), 30, np.uint8)
    sound = np.zeros(num_frames * 640, np.int16)
    for moment in range(5, num_frames, 10):
        frames[moment] = 220
        sound[moment * 640] = 30000
    words = list(WORDS)[: len(spoken)]
    times = np.array(spoken, np.float32) / 25
    return Record(f"s1/clip{number}", frames, 25, " ".join(words), tuple(words), times, sound, RATE)


@pytest.fixture
def flashes(tmp_path):
    def write(**options):
        settings = {"system": "av_words", "mouth_crop": "tracked", "words": list(WORDS)}
        names = [f"s1/clip{number}" for number in range(4)]
        return shards.write_shards(
            tmp_path / "flashes", names, lambda name: flash_and_click(int(name[-1]), **options), settings=settings
        )

    return write


@pytest.mark.parametrize("training", [False, True])
def test_flash_and_click_coincide_in_every_window_also_when_it_is_shifted(flashes, training):
    index = flashes()
    config = config_of(index, shift_frames=4, crop_jitter=False, flip=False, brightness=0.0)
    dataset = data.build_dataset(config, index, names_of(index), training=training)
    first_flashes = set()
    for _ in range(4 if training else 1):
        rows = rows_of(dataset)
        assert rows["frames"].shape == (12, 29, 20, 36, 1) and rows["waveform"].shape == (12, 19456)
        for frames, sound in zip(rows["frames"], rows["waveform"], strict=True):
            seen = np.flatnonzero(frames[:, 0, 0, 0] > frames.mean())
            heard = np.flatnonzero(sound > 0.5 * sound.max())
            assert set(640 * seen) <= set(heard)
            assert all(sample % 640 == 0 for sample in heard)
            assert {sample // 640 for sample in heard if sample < 29 * 640} == set(seen)
            first_flashes.add(int(seen[0]))
    if training:
        assert len(first_flashes) > 6  # of three without a shift


def test_windows_beyond_the_recording_stand_still_and_are_silent(flashes):
    index = flashes()
    config = config_of(index)
    rows = rows_of(data.build_dataset(config, index, ["s1/clip0"]))
    examples = list_windows([index.by_id()["s1/clip0"]], tuple(WORDS), 29)
    assert [example.first_frame for example in examples] == [1, -13, 41]
    early, late = rows["frames"][1], rows["frames"][2]
    np.testing.assert_array_equal(early[:13], np.broadcast_to(early[13], early[:13].shape))
    np.testing.assert_array_equal(late[19:], np.broadcast_to(late[18], late[19:].shape))
    for waveform, part in ((rows["waveform"][1], slice(0, 13 * 640)), (rows["waveform"][2], slice(19 * 640, None))):
        assert np.ptp(waveform[part]) == 0 and waveform.std() == pytest.approx(1, abs=1e-3)


def test_what_is_said_in_each_frame_moves_along_with_the_frames(flashes):
    index = flashes()
    nothing = len(WORDS)
    config = config_of(index, shift_frames=4, crop_jitter=False, flip=False, brightness=0.0)
    _, labels = joined(data.build_dataset(config, index, ["s1/clip0"], said=True))
    expected = np.full((3, 29), nothing)  # windows that begin with frames 1, -13 and 41
    expected[0, 9:19], expected[0, :2] = 0, 1
    expected[1, 13:16], expected[1, 23:] = 1, 0
    expected[2, 9:19] = 2
    np.testing.assert_array_equal(labels["said"], expected)
    assert labels["word"].tolist() == [0, 1, 2]
    places = set()
    for speed in (0.0, 0.07):
        changed = dataclasses.replace(config, speed_perturb=speed)
        dataset = data.build_dataset(changed, index, names_of(index), training=True, said=True)
        inputs, labels = joined(dataset.repeat(4))
        for frames, word, said in zip(inputs["frames"], labels["word"], labels["said"], strict=True):
            seen = np.flatnonzero(frames[:, 0, 0, 0] > frames.mean())
            if word == 0:  # spoken from frame 10 to 19: of the flashes in 5, 15 and 25 the middle one is in it
                middle = seen[np.abs(seen - 14).argmin()]
                assert said[middle] == 0 and {said[place] for place in seen if abs(place - middle) > 7} <= {nothing}
                places.add(int(middle))
    assert len(places) > 3


@pytest.mark.parametrize(("num_frames", "first"), [(28, 0), (29, 0), (30, 1)])
def test_clips_of_lrw_with_a_frame_too_few_or_too_many(flashes, num_frames, first):
    index = flashes(num_frames=num_frames, spoken=((0, num_frames),))
    rows = rows_of(data.build_dataset(config_of(index), index, names_of(index)))
    assert rows["frames"].shape[1] == 29
    seen = np.flatnonzero(rows["frames"][0][:, 0, 0, 0] > 1)
    assert seen.tolist() == [5 - first, 15 - first, 25 - first]


def test_rows_are_what_list_examples_says(made_index):
    config = config_of(made_index)
    names = names_of(made_index)[3:9][::-1]
    entries = shards.in_stored_order(made_index, names)
    examples = list_windows(entries, data.words(config, made_index), 29)
    assert len(examples) == 18
    rows = rows_of(data.build_dataset(config, made_index, names))
    assert rows["labels"].tolist() == [example.label for example in examples]
    assert rows["labels"].dtype == np.int32
    assert all(list(WORDS)[example.label] == example.word for example in examples)
    np.testing.assert_allclose(rows["waveform"].std(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(rows["frames"].mean(axis=(1, 2, 3, 4)), 0, atol=1e-3)


def test_silent_and_black_recordings_give_finite_batches(tmp_path):
    record = flash_and_click(0)
    record = record._replace(frames=np.zeros_like(record.frames), audio=np.zeros_like(record.audio))
    settings = {"system": "av_words", "mouth_crop": "tracked", "words": list(WORDS)}
    index = shards.write_shards(tmp_path, ["s1/clip0"], lambda name: record, settings=settings)
    config = config_of(index, noise=("white",), noise_clean=0.0)
    for training in (False, True):
        rows = rows_of(data.build_dataset(config, index, ["s1/clip0"], training=training))
        assert not rows["frames"].any() and not rows["waveform"].any()


def test_lrws_pictures_are_normalised_as_the_original_has_it(made_index):
    config = config_of(made_index, normalize="lrw")
    plain = rows_of(data.build_dataset(config, made_index, names_of(made_index)[:1]))["frames"]
    grey = plain * 0.1700239 + 0.413621
    assert 0 <= grey.min() < 0.4 and 0.4 < grey.max() <= 1
    np.testing.assert_allclose(grey * 255, np.round(grey * 255), atol=1e-3)


# Training -----------------------------------------------------------------------------------------------------------


def test_training_changes_from_epoch_to_epoch_and_repeats_for_a_seed(made_index):
    config = config_of(made_index, noise=("babble", "white", "pink"))
    names = names_of(made_index)
    dataset = data.build_dataset(config, made_index, names, training=True)
    first, second = rows_of(dataset), rows_of(dataset)
    again = rows_of(data.build_dataset(config, made_index, names, training=True))
    np.testing.assert_array_equal(first["labels"], again["labels"])
    np.testing.assert_allclose(first["waveform"], again["waveform"], atol=1e-5)
    assert sorted(first["labels"]) == sorted(second["labels"])
    assert not np.array_equal(first["labels"], second["labels"])


def test_the_share_left_clean_and_the_range_of_ratios(made_index):
    names = names_of(made_index)
    options = {"shift_frames": 0, "noise_clean": 0.4, "snr_range": (-3.0, 9.0), "seed": 5}
    clean = rows_of(data.build_dataset(config_of(made_index, **options), made_index, names, training=True))
    noisy = rows_of(
        data.build_dataset(config_of(made_index, **options, noise=("white",)), made_index, names, training=True)
    )
    np.testing.assert_array_equal(clean["labels"], noisy["labels"])
    ratios = powers_in_db(noisy, clean)
    left = ratios > 40
    assert 0.2 < left.mean() < 0.6
    assert (ratios[~left] > -4).all() and (ratios[~left] < 10).all() and np.ptp(ratios[~left]) > 6


def test_babble_in_training_comes_from_training_recordings_alone(made_index, monkeypatch):
    seen = []
    monkeypatch.setattr(noise, "read_voices", lambda index, names: seen.append(list(names)) or real(index, names))
    config = config_of(made_index, noise=("babble",))
    train, val, test = data.build_datasets(config)
    split = data.make_split(names_of(made_index), config)
    assert seen == [split.train]
    assert val is not None and test is None
    assert len(list(train)) == -(-3 * len(split.train) // 8)


real = noise.read_voices


# Evaluation at a ratio ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["white", "babble"])
def test_noise_at_a_ratio_is_exact_repeats_itself_and_is_the_same_at_every_ratio(made_index, kind):
    config = config_of(made_index)
    names = names_of(made_index)[:6]
    clean = rows_of(data.build_dataset(config, made_index, names))
    low = rows_of(data.build_dataset(config, made_index, names, snr_db=-5.0, noise=kind))
    again = rows_of(data.build_dataset(config, made_index, names, snr_db=-5.0, noise=kind))
    high = rows_of(data.build_dataset(config, made_index, names, snr_db=20.0, noise=kind))
    np.testing.assert_array_equal(low["waveform"], again["waveform"])
    np.testing.assert_array_equal(low["frames"], clean["frames"])
    if kind == "white":  # babble of the same tones resembles the signal, so that least squares cannot part them
        np.testing.assert_allclose(powers_in_db(low, clean), -5, atol=0.5)
        np.testing.assert_allclose(powers_in_db(high, clean), 20, atol=0.5)
    added = [
        rows["waveform"] - clean["waveform"] * (rows["waveform"] * clean["waveform"]).mean(1)[:, None]
        for rows in (low, high)
    ]
    for one, other in zip(*added, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.98


@pytest.mark.parametrize("kind", ["black", "frozen", "blurred"])
def test_corrupted_pictures(made_index, kind):
    config = config_of(made_index, normalize="lrw")
    names = names_of(made_index)[:2]
    plain = rows_of(data.build_dataset(config, made_index, names))
    bad = rows_of(data.build_dataset(config, made_index, names, corrupt_video=kind))
    np.testing.assert_array_equal(plain["waveform"], bad["waveform"])
    if kind == "black":
        np.testing.assert_allclose(bad["frames"], -0.413621 / 0.1700239, rtol=1e-5)
    elif kind == "frozen":
        middle = plain["frames"][:, 14:15]
        np.testing.assert_array_equal(bad["frames"], np.broadcast_to(middle, plain["frames"].shape))
    else:
        assert np.abs(np.diff(bad["frames"], axis=3)).mean() < 0.5 * np.abs(np.diff(plain["frames"], axis=3)).mean()
        np.testing.assert_allclose(bad["frames"].mean(), plain["frames"].mean(), atol=0.15)


# Splits, words and refusals -----------------------------------------------------------------------------------------


def test_sentences_are_never_split_and_copies_stay_together(made_index):
    config = config_of(made_index, test_fraction=0.2)
    names = [f"s{speaker}/{number:04}" for speaker in (1, 2) for number in range(200)]
    split = data.make_split(names + [f"s1_mpg/{number:04}" for number in range(200)], config)
    sides = {name: side for side, part in enumerate(split) for name in part}
    assert len(sides) == 600
    assert all(sides[f"s1/{number:04}"] == sides[f"s1_mpg/{number:04}"] for number in range(200))
    assert 0.1 < len(split.val) / 600 < 0.4
    parts = (
        open_part(config, None, "train", tuple(WORDS)),
        open_part(config, None, "val", tuple(WORDS)),
    )
    train, val = ({name.split(":")[0] for name in part.names} for part in parts)
    assert train and val and not train & val


def test_lrws_folders_and_lists(made_index, tmp_path):
    names = [f"{word}/{part}/{word}_{n}" for word in ("A", "B") for part in ("train", "val", "test") for n in (1, 2)]
    split = data.make_split(names, config_of(made_index))
    assert [len(part) for part in split] == [4, 4, 4]
    assert split.val == ["A/val/A_1", "A/val/A_2", "B/val/B_1", "B/val/B_2"]
    for part, rows in (("train", "s1/a\nb\n"), ("val", "c.mp4\n"), ("test", "s1/d\n")):
        (tmp_path / f"{part}.txt").write_text(rows)
    lists = {f"{part}_list": str(tmp_path / f"{part}.txt") for part in ("train", "val", "test")}
    split = data.make_split(["s1/a", "s1/b", "s1/c", "s1/d", "s1/e"], config_of(made_index, **lists))
    assert split == (["s1/a", "s1/b"], ["s1/c"], ["s1/d"])
    (tmp_path / "val.txt").write_text("b\n")
    with pytest.raises(DataError, match="s1/b stands in train and in val; the split leaks"):
        data.make_split(["s1/a", "s1/b", "s1/c", "s1/d"], config_of(made_index, **lists))
    (tmp_path / "val.txt").write_text("x\n")
    with pytest.raises(DataError, match="1 of 1 listed clips are not in the data, first: x"):
        data.make_split(["s1/a", "s1/b", "s1/c", "s1/d"], config_of(made_index, **lists))


def test_words_come_from_the_file_in_its_order_and_unknown_ones_are_named(made_index, tmp_path):
    assert data.words(config_of(made_index)) == tuple(WORDS)
    (tmp_path / "words.txt").write_text("\n".join(sorted(WORDS, reverse=True)))
    config = config_of(made_index, words=str(tmp_path / "words.txt"))
    assert data.words(config) == ("white", "soon", "place", "now", "blue", "bin")
    rows = rows_of(data.build_dataset(config, made_index, names_of(made_index)[:1]))
    expected = [data.words(config).index(word) for word in made_index.entries[0].words]
    assert rows["labels"].tolist() == expected
    (tmp_path / "words.txt").write_text("bin\nblue")
    with pytest.raises(DataError, match=r"\d+ of \d+ words are none of the 2 known ones, first: '\w+' of made/0"):
        data.build_datasets(config)


def test_parts_to_score(made_index, tmp_path):
    config = config_of(made_index)
    known = tuple(WORDS)
    part = open_part(config, None, "val", known)
    rows = rows_of(part.dataset(snr_db=0.0))
    assert len(part.names) == len(rows["labels"]) > 0
    assert [name.split(":")[2] for name in part.names] == [known[label] for label in rows["labels"]]
    assert part.failed == []
    other = make_shards(tmp_path / "other", num_sentences=8, seed=9)
    whole = open_part(config, other.folder, "all", known)
    assert len(whole.names) == 24
    assert len(rows_of(whole.dataset(snr_db=-5.0, corrupt_video="frozen"))["labels"]) == 24
    with pytest.raises(UsageError, match="has no test part"):
        open_part(config, None, "test", known)
    with pytest.raises(UsageError, match="part must be one of train, val, test, all"):
        open_part(config, None, "dev", known)
    with pytest.raises(UsageError, match="Leave out part or data_dir"):
        open_part(config, other.folder, "val", known)


def test_refusals(made_index, tmp_path):
    config = config_of(made_index)
    names = names_of(made_index)
    with pytest.raises(UsageError, match=r"the prepared crops are 24x40\. Received: crop_size=\(30, 36\)"):
        big = dataclasses.replace(config, prepared_size=(40, 40), crop_size=(30, 36))
        data.build_dataset(big, made_index, names)
    with pytest.raises(UsageError, match=r"black, frozen, blurred\. Received: corrupt_video=pink"):
        data.build_dataset(config, made_index, names, corrupt_video="pink")
    with pytest.raises(UsageError, match="data_dir is not set"):
        data.build_datasets(Config())
    with pytest.raises(UsageError, match="av_words with mouth_crop=fixed is wanted"):
        data.build_datasets(dataclasses.replace(config, mouth_crop="fixed"))
    with pytest.raises(DataError, match="babble of 30 voices needs 31 recordings"):
        data.build_dataset(dataclasses.replace(config, babble_voices=30), made_index, names, snr_db=0.0)
    record = flash_and_click(0)._replace(audio=None, audio_rate_hz=0)
    settings = {"system": "av_words", "mouth_crop": "tracked", "words": list(WORDS)}
    mute = shards.write_shards(tmp_path / "mute", ["s1/clip0"], lambda name: record, settings=settings)
    with pytest.raises(DataError, match="1 of 1 recordings have no sound of 16000 Hz, first s1/clip0"):
        data.build_dataset(config, mute, ["s1/clip0"])


def test_videos_are_prepared_into_the_cache(grid_tree, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tfav.systems.av_words.dataset.prepare",
        lambda *args, **options: prepare(*args, **options, workers=0, quiet=True),
    )
    config = Config(
        data_dir=str(grid_tree),
        cache_dir=str(tmp_path / "cache"),
        mouth_crop="fixed",
        prepared_size=(24, 24),
        crop_size=(20, 20),
        noise=(),
        val_fraction=0.5,
        batch_size=4,
    )
    train, val, _ = data.build_datasets(config)
    rows = rows_of(val)
    assert rows["frames"].shape[1:] == (29, 20, 20, 1) and len(rows["labels"]) % 5 == 0
    (folder,) = (tmp_path / "cache").glob("recordings-*")
    again = rows_of(data.build_datasets(config).val)
    np.testing.assert_array_equal(rows["frames"], again["frames"])
    assert [path.name for path in (tmp_path / "cache").glob("recordings-*")] == [folder.name]
    assert train is not None


def test_a_fusion_may_learn_from_the_validation_part(made_index):
    config = config_of(made_index)
    own = data.make_split(names_of(made_index), config)
    usual, given = data.build_datasets(config), data.build_datasets(config, learn_from="val")
    assert given.val is None
    counts = {len(rows_of(dataset)["labels"]) for dataset in (usual.val, given.train)}
    assert counts == {sum(len(entry.words) for entry in made_index.entries if entry.id in own.val)}
    assert len(rows_of(usual.train)["labels"]) not in counts
    with pytest.raises(UsageError, match="needs a validation part"):
        data.build_datasets(config_of(made_index, val_fraction=0.0, fusion_split="val"), learn_from="val")


@pytest.mark.slow
def test_a_training_reads_the_index_once(made_index, tmp_path, monkeypatch):
    """Words, split, batches of both streams, model and run folders all ask one opened data set."""
    opened = []
    monkeypatch.setattr(shards, "read_index", lambda folder: opened.append(folder) or made_index)
    config = config_of(made_index, stages=("audio_full", "video_full", "fusion_gru"), stage_epochs=(1,) * 8)
    train(config, tmp_path / "run", verbose=0)
    assert opened == [made_index.folder]


def test_an_opened_data_set_gives_what_build_datasets_gives(made_index):
    config = config_of(made_index)
    opened = data.open_data(config)
    assert sum(opened.describe().values()) == len(made_index.entries)
    assert opened.labels == tuple(WORDS) and opened.dataset("test") is None
    for one, other in zip(opened.dataset("val"), data.build_datasets(config).val, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_recordings_with_word_times_give_the_shards_that_grid_gives(grid_tree, tmp_path):
    align = grid_tree / "align" / "s1" / "bbaf1n.align"
    align.write_text(align.read_text().replace("blue", "zebra"))
    options = {"mouth_crop": "fixed", "workers": 0, "quiet": True}
    for layout in ("grid", "recordings"):
        data.prepare(
            grid_tree, tmp_path / layout, layout=layout, **({"min_count": 5} | options if layout != "grid" else options)
        )
    plain, own = (shards.read_index(tmp_path / layout) for layout in ("grid", "recordings"))
    assert [entry[:3] + entry[4:] for entry in plain.entries] == [entry[:3] + entry[4:] for entry in own.entries]
    assert list(plain.shards.values()) == list(own.shards.values())  # the very same bytes
    assert own.settings["words"] == ["at", "bin", "blue", "f", "now"] and own.settings["rare_words"] == ["zebra"]
    config = config_of(own, layout="recordings", prepared_size=own.settings["size"], mouth_crop="fixed")
    windows = list_windows(own.entries, data.words(config, own), 29, own.settings["rare_words"])
    assert len(windows) == 6 * 5 - 1
    with pytest.raises(DataError, match="zebra' of s1/bbaf1n"):
        list_windows(own.entries, data.words(config, own), 29)
    with pytest.raises(DataError, match=r"0 words are said min_count=99 times or more \(bin 6x"):
        data.prepare(grid_tree, tmp_path / "none", layout="recordings", min_count=99, **options)
