"""Prepared crops, splits that never mix, batches with true lengths, frames and labels that change together."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tfav.data import shards
from tfav.errors import DataError, UsageError
from tfav.io.encoding import write_video
from tfav.speech import grid as corpus
from tfav.systems.lipnet import augment
from tfav.systems.lipnet.config import PRESETS, Config
from tfav.systems.lipnet.dataset import build_dataset, build_datasets, make_split, open_data, prepare
from tfav.systems.lipnet.demo import make_shards
from tfav.systems.lipnet.losses import CTCLoss
from tfav.systems.lipnet.model import build_model
from tfav.systems.lipnet.train import compile_args, train

DETECTOR = "weights/face_detection_yunet_2023mar.onnx"
BIN_BLUE = [("bin", 3.0, 8.0), ("blue", 8.0, 14.0)]


FIXED = {"tokenizer": "compact", "words": "grid"}


def small(folder="", **options):
    return Config(data_dir=str(folder), crop_size=(8, 16), num_frames=24, batch_size=2, **{**FIXED, **options})


# Preparing ----------------------------------------------------------------------------------------------------------


def test_a_corpus_becomes_shards_with_sentences_times_and_a_contact_sheet(grid, tmp_path):
    out = tmp_path / "out"
    report = prepare(grid, out, mouth_crop="fixed", workers=0, quiet=True)
    assert report.ok
    assert report.done == ["s1/bbaf2n", "s1/srwi5a", "s2/bbaf2n", "s2/srwi5a"]
    index = shards.read_index(out, check_content=True)
    entry = index.by_id()["s2/srwi5a"]
    assert (entry.num_frames, entry.height, entry.width, entry.channels) == (39, 46, 140, 1)
    assert entry.text == "bin blue at f two now"
    np.testing.assert_allclose(entry.word_times_sec[:4], [0.2, 0.36, 0.36, 0.56], atol=1e-5)
    decode = shards.decoder(index)
    frames = next(iter(shards.read_rows(index, [entry]).map(decode)))["frames"].numpy()
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), 40 + 4 * np.arange(39), atol=2)
    assert (out / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")
    again = prepare(grid, out, mouth_crop="fixed", workers=0, quiet=True)
    assert (len(again.skipped), again.done) == (4, [])


def test_bad_clips_are_named_each_with_its_reason_and_stop_no_other(grid, tmp_path, make_video):
    align = grid / "align" / "s1"
    (align / "srwi5a.align").write_text("0 5000 sil\n9000 5000 bin\n")
    make_video(grid / "s1" / "holiday.mp4")
    make_video(grid / "s1" / "lbax4n.mp4", 12)  # its words go on to frame 32
    (align / "lbax4n.align").write_text((align / "bbaf2n.align").read_text())
    make_video(grid / "s2" / "lbbc2a.mp4", size=(240, 320))
    (grid / "s2" / "lrwp9a.mp4").write_bytes(b"no video")
    report = prepare(grid, tmp_path / "out", mouth_crop="fixed", workers=0, quiet=True)
    assert report.done == ["s1/bbaf2n", "s2/bbaf2n", "s2/srwi5a"]
    assert "srwi5a.align, line 2: times run backwards" in report.failed["s1/srwi5a"]
    assert "its name is no GRID code" in report.failed["s1/holiday"]
    assert "it has 12 frames, and its alignment goes on to frame 32" in report.failed["s1/lbax4n"]
    assert "made for 360x288, this video is 320x240" in report.failed["s2/lbbc2a"]
    assert "lrwp9a.mp4" in report.failed["s2/lrwp9a"]
    with pytest.raises(DataError, match=r"5 of 8 clips cannot be used; first s1/holiday: "):
        build_datasets(Config.preset("notebook", data_dir=str(grid), cache_dir=str(tmp_path / "cache")))


def test_another_rate_is_brought_to_25_by_time(tmp_path, make_video):
    make_video(tmp_path / "s1" / "bbaf2n.mp4", 45, fps=30.0)
    prepare(tmp_path / "s1", tmp_path / "out", mouth_crop="fixed", workers=0, quiet=True)
    (entry,) = shards.read_index(tmp_path / "out").entries
    assert entry.num_frames in (37, 38)


def test_options_and_speakers_that_do_not_fit(grid, tmp_path):
    with pytest.raises(UsageError, match=r"no speaker s9\. There are: s1, s2"):
        prepare(grid, tmp_path / "out", mouth_crop="fixed", speakers=("s9",))
    with pytest.raises(UsageError, match="tracked, tight, fixed"):
        prepare(grid, tmp_path / "out", mouth_crop="none")
    prepare(grid, tmp_path / "out", mouth_crop="fixed", speakers=("s2",), workers=0, quiet=True)
    with pytest.raises(UsageError, match=r"tracked is wanted\. Prepare the videos again with --mouth-crop tracked\."):
        build_datasets(small(tmp_path / "out"))


def test_real_clips_follow_the_mouth_and_faults_are_known(shared_data, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("TFAV_FACE_DETECTOR", str(shared_data(DETECTOR)))
    source = tmp_path / "grid"
    for name, suffix in (("s1/bbaf2n", "mp4"), ("s1/srwi5a", "mp4"), ("s1_mpg/sgib8n", "mpg")):
        target = source / f"{name}.{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(shared_data(f"grid/{name}.{suffix}"))
    (source / "align").symlink_to(shared_data("grid/align"))
    grey = np.zeros((30, 288, 360, 3), np.uint8)
    write_video(source / "s1" / "lbax4n.mp4", grey, fps=25)
    tf.config.list_physical_devices()  # says once that there is no GPU
    capfd.readouterr()
    report = prepare(source, tmp_path / "out", workers=0, quiet=True)
    assert report.done == ["s1/bbaf2n", "s1/srwi5a", "s1_mpg/sgib8n"]
    assert "no face was found in 30 frames of 360x288" in report.failed["s1/lbax4n"]
    assert capfd.readouterr().err == ""  # the decoder's own warnings stay off the screen
    entries = shards.read_index(tmp_path / "out").by_id()
    assert [entries[name].num_frames for name in report.done] == [75, 74, 75]
    assert entries["s1_mpg/sgib8n"].text == "set green in b eight now"
    assert len(entries["s1_mpg/sgib8n"].words) == 6
    # Sound may end within the last frame, and that of an mpg some frames before.
    assert [entries[name].audio_samples // 640 for name in report.done[:2]] == [74, 74]
    assert 70 * 640 <= entries["s1_mpg/sgib8n"].audio_samples <= 75 * 640
    train = build_datasets(Config(data_dir=str(tmp_path / "out"), val_fraction=0.0)).train
    inputs, targets = next(iter(train))
    assert inputs["frames"].shape == (3, 75, 48, 92, 1)
    assert sorted(inputs["frame_count"].numpy()) == [74, 75, 75]
    assert targets["labels"].shape == (3, 75)


# Splits -------------------------------------------------------------------------------------------------------------


NAMES = [f"s{speaker}/clip{number:03}" for speaker in (1, 2, 3) for number in range(200)]


def test_by_fraction_no_clip_changes_sides_when_others_come_or_go():
    config = small(val_fraction=0.1, test_fraction=0.2, seed=3)
    whole, part = make_split(NAMES, config), make_split(NAMES[::-1][:250], config)
    assert sorted(name for part in whole for name in part) == NAMES
    for side in range(3):
        assert set(part[side]) <= set(whole[side])
    assert 0.05 < len(whole.val) / len(NAMES) < 0.15
    assert 0.15 < len(whole.test) / len(NAMES) < 0.25
    assert make_split(NAMES, small(val_fraction=0.1, seed=4)).val != whole.val


def test_by_speaker_the_others_are_unseen():
    split = make_split(NAMES, small(val_speakers=("s2",), test_speakers=("s3",)))
    assert [{name[:2] for name in part} for part in split] == [{"s1"}, {"s2"}, {"s3"}]
    with pytest.raises(UsageError, match="no speaker s4"):
        make_split(NAMES, small(val_speakers=("s4",)))
    with pytest.raises(DataError, match="stands in val and in test"):
        make_split(NAMES, small(val_speakers=("s2",), test_speakers=("s2",)))


def write_list(path, *rows):
    path.write_text("\n".join(rows))
    return str(path)


def test_by_lists_and_a_part_of_the_training_list_kept_to_choose_by(tmp_path):
    names = [f"s1/a{i}" for i in range(100)]
    train = write_list(tmp_path / "train.txt", *(f"a{i}" for i in range(80)))
    test = write_list(tmp_path / "test.txt", "s1/a90", "a91.mpg", "grid/s1/a92.mpg")
    split = make_split(names, small(train_list=train, test_list=test, val_fraction=0.2))
    assert split.test == ["s1/a90", "s1/a91", "s1/a92"]
    assert sorted(split.train + split.val) == sorted(f"s1/a{i}" for i in range(80))
    assert 5 < len(split.val) < 30
    given = make_split(names, small(train_list=train, val_list=test))
    assert (len(given.train), len(given.val), given.test) == (80, 3, [])


def test_lists_that_leak_or_name_what_is_not_there(tmp_path):
    names = ["s1/a", "s1/b", "s2/b"]
    a, b = write_list(tmp_path / "a.txt", "a"), write_list(tmp_path / "b.txt", "s1/b")
    with pytest.raises(DataError, match="s1/a stands in train and in test"):
        make_split(names, small(train_list=a, test_list=a, val_fraction=0.0))
    with pytest.raises(DataError, match=r"2 of 3 listed clips are not in the data, first: x"):
        make_split(names, small(train_list=write_list(tmp_path / "c.txt", "a", "x", "y")))
    with pytest.raises(DataError, match=r"b is s1/b and s2/b\. Write the speaker"):
        make_split(names, small(train_list=write_list(tmp_path / "d.txt", "b")))
    with pytest.raises(UsageError, match="cannot be read as a split list"):
        make_split(names, small(train_list=str(tmp_path / "absent.txt")))
    with pytest.raises(DataError, match="a split list that is empty"):
        make_split(names, small(train_list=write_list(tmp_path / "e.txt", "")))
    assert make_split(names, small(train_list=a, val_list=b)).val == ["s1/b"]


def test_one_unusable_clip_in_a_hundred_is_warned_of_and_only_in_training(tmp_path):
    names = [f"s1/a{i}" for i in range(99)]
    whole = write_list(tmp_path / "whole.txt", *(f"a{i}" for i in range(100)))
    with pytest.warns(UserWarning, match="1 of 100 listed clips are not in the data, first: a99"):
        split = make_split(names, small(train_list=whole, val_fraction=0.0))
    assert len(split.train) == 99
    with pytest.raises(DataError, match="2 of 100 listed clips"):
        make_split(names[1:], small(train_list=whole))
    with pytest.raises(DataError, match="91 of 100 listed clips"):
        make_split(names[90:], small(train_list=write_list(tmp_path / "a.txt", "a95"), test_list=whole))


def test_the_real_lists(shared_data):
    names = [f"s1/{path.stem}" for path in sorted(shared_data("grid/s1").glob("*.mp4"))]
    lists = {"train_list": str(shared_data("grid/train.txt")), "test_list": str(shared_data("grid/val.txt"))}
    split = make_split(names, Config(**lists, val_fraction=0.07))
    assert (len(split.train) + len(split.val), len(split.test)) == (750, 50)


# Batches ------------------------------------------------------------------------------------------------------------


def clips(count=5, length=20):
    return {f"s1/c{i}": ("bin blue", BIN_BLUE, length - (i == 1)) for i in range(count)}


def test_batches_carry_true_lengths_and_padding_says_so(shard_folder):
    index = shard_folder(clips())
    dataset = build_dataset(small(), index, list(clips()))
    (inputs, targets), *_ = dataset
    assert inputs["frames"].shape == (2, 24, 8, 16, 1)
    assert inputs["frames"].dtype == tf.float32
    assert inputs["frame_count"].numpy().tolist() == [20, 19]
    symbols = small().symbols()
    assert [symbols.decode(row) for row in targets["labels"].numpy()] == ["bin blue"] * 2
    assert (targets["labels"].numpy()[:, 8:] == symbols.blank).all()
    expected = [0] * 3 + [1] * 5 + [5] * 6 + [0] * 6 + [-1] * 4
    assert targets["words"].numpy()[0].tolist() == expected
    assert (corpus.WORDS[0], corpus.WORDS[4]) == ("bin", "blue")
    frames = inputs["frames"].numpy()
    assert np.all(frames[0, 20:] == 0)
    assert np.all(frames[1, 19:] == 0)
    assert frames[1, :19].mean() == pytest.approx(0, abs=1e-4)
    assert frames[1, :19].std() == pytest.approx(1, abs=1e-2)
    assert sum(len(batch["frame_count"]) for batch, _ in dataset) == 5


def test_the_notebooks_padding_and_alphabet(shard_folder):
    index = shard_folder(clips(2))
    (_, targets), *_ = build_dataset(small(tokenizer="notebook"), index, list(clips(2)))
    assert targets["labels"].numpy()[0].tolist() == [2, 9, 14, 39, 2, 12, 21, 5] + [40] * 16


def test_training_is_new_each_epoch_and_repeats_for_a_seed(shard_folder):
    index = shard_folder(clips())

    def epochs(seed):
        dataset = build_dataset(small(seed=seed), index, list(clips()), training=True)
        return [np.concatenate([inputs["frames"].numpy() for inputs, _ in dataset]) for _ in range(2)]

    first, again, other = epochs(0), epochs(0), epochs(1)
    assert first[0].shape == (5, 24, 8, 16, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_frames_and_their_labels_stay_together():
    """The pixels of each frame carry its label; after any change they still do."""
    in_time = {"speed_perturb": 0.2, "frame_drop_rate": 0.1}
    config = Config(crop_size=(4, 4), num_frames=75, brightness=0.0, **in_time)
    words = np.zeros(75, np.int32)
    words[20:60] = np.repeat(np.arange(1, 9), 5)
    words[70:] = -1
    frames = np.broadcast_to((10 + 20 * words)[:, None, None, None], (75, 6, 6, 1)).copy()
    frames[70:] = 0
    seen = set()
    for number in range(60):
        seed = tf.constant([number, 7], tf.int64)
        inputs = {"frames": tf.constant(frames, tf.uint8), "frame_count": tf.constant(70)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(augment, "to_input", lambda config, frames, count: frames)
            heard = tf.constant(np.where(words < 0, np.nan, words)[:, None], tf.float32)
            changed, targets = augment.augment_clip(config)(inputs, {"words": tf.constant(words), "sound": heard}, seed)
        labels = targets["words"].numpy()
        np.testing.assert_array_equal(targets["sound"].numpy()[:70, 0], labels[:70])
        assert np.isnan(targets["sound"].numpy()[70:]).all()
        pixels = changed["frames"].numpy()[:, 0, 0, 0]
        np.testing.assert_array_equal(pixels[:70], 10 + 20 * labels[:70])
        assert (labels[70:] == -1).all()
        assert (pixels[70:] == 0).all()
        assert {1, 8} <= set(labels)  # what is said is not pushed out of the clip
        assert all(later >= earlier for earlier, later in zip(labels[labels > 0], labels[labels > 0][1:], strict=False))
        seen.add(tuple(labels))
    assert len(seen) > 50


def test_speed_shift_and_drops_are_as_large_as_they_are_said_to_be():
    still = {"speed_perturb": 0.0, "frame_drop_rate": 0.0}
    words = tf.constant([0] * 30 + [1] * 15 + [0] * 30)

    def chosen(seed, words=words, **options):
        config = Config(**{**still, **options})
        return augment.draw_frames(config, words, tf.constant(75), tf.constant([seed, 1], tf.int64)).numpy()

    np.testing.assert_array_equal(chosen(0), np.arange(75))
    shifts = {int(np.median(chosen(seed, speed_perturb=1e-9) - np.arange(75))) for seed in range(60)}
    assert shifts == {-3, -2, -1, 0, 1, 2, 3}
    speeds = [np.diff(chosen(seed, speed_perturb=0.07)[10:65]).mean() for seed in range(60)]
    assert 0.92 < min(speeds) < 0.95
    assert 1.05 < max(speeds) < 1.08
    steps = np.concatenate([np.diff(chosen(seed, frame_drop_rate=0.02)[10:65]) for seed in range(100)])
    assert (steps == 0).mean() == pytest.approx(0.02, abs=0.008)
    assert (steps == 2).mean() == pytest.approx(0.02, abs=0.008)
    unknown = tf.fill([75], -1)
    for seed in range(30):
        frames = chosen(seed, words=unknown, speed_perturb=0.07)
        assert (frames[0], frames[-1]) == (0, 74)  # it is not known what could be left out


def test_the_notebooks_wrapped_difference():
    frames = np.random.default_rng(0).integers(0, 255, (5, 8, 16, 1)).astype(np.uint8)
    given = augment.to_input(small(normalize="wrapped"), tf.constant(frames), tf.constant(5)).numpy()
    mean = tf.reduce_mean(tf.constant(frames)).numpy()
    expected = (frames - mean).astype(np.float32) / frames.astype(np.float32).std()
    np.testing.assert_allclose(given[:5], expected, rtol=1e-5)
    assert given[:5].min() >= 0  # what is darker than the mean is bright
    assert (given[5:] == 0).all()


def test_clips_of_similar_length_make_a_batch_where_padding_would_be_much(shard_folder):
    lengths = np.random.default_rng(0).integers(25, 300, 96)
    texts = {f"s1/c{i:02}": ("bin blue", [], int(length)) for i, length in enumerate(lengths)}
    index = shard_folder(texts)
    config = dataclasses.replace(small(), num_frames=300, batch_size=4, speed_perturb=0.0, frame_drop_rate=0.0)
    batches = list(build_dataset(config, index, list(texts), training=True))
    counts = [inputs["frame_count"].numpy() for inputs, _ in batches]
    assert sorted(np.concatenate(counts)) == sorted(lengths)
    shapes = [inputs["frames"].shape[:2] for inputs, _ in batches]
    assert [shape[1] for shape in shapes] == [count.max() for count in counts]
    for (_, targets), shape in zip(batches, shapes, strict=True):
        assert {tuple(column.shape[:2]) for column in targets.values()} == {tuple(shape)}
    frames = sum(rows * length for rows, length in shapes)
    assert 1 - sum(lengths) / frames <= 0.15 < 1 - lengths.mean() / 300
    again = list(build_dataset(config, index, list(texts), training=True))
    assert [list(count) for count in counts] == [list(inputs["frame_count"].numpy()) for inputs, _ in again]
    in_order = [
        count for inputs, _ in build_dataset(config, index, list(texts)) for count in inputs["frame_count"].numpy()
    ]
    assert in_order == [entry.num_frames for entry in shards.in_stored_order(index, list(texts))]


def test_a_model_learns_from_batches_of_any_length_as_from_padded_ones(shard_folder):
    texts = {f"s1/c{i}": ("bin", [("bin", 2.0, 8.0)], length) for i, length in enumerate((12, 30, 14, 28))}
    index = shard_folder(texts)
    still = {"speed_perturb": 0.0, "frame_drop_rate": 0.0, "flip": False, "crop_jitter": False, "brightness": 0.0}
    config = Config(
        data_dir="x", crop_size=(8, 16), model="resnet", num_frames=60, batch_size=2, filters=(2, 3), rnn_units=3,
        dropout=0.0, precision="float32", **FIXED, **still,
    )  # fmt: skip
    model = build_model(config)
    model.compile(**compile_args(config))
    cut = build_dataset(config, index, list(texts))
    notebook = dataclasses.replace(config, model="notebook", word_loss_weight=0.0, filters=(2, 3, 4))
    whole = build_dataset(notebook, index, list(texts))  # always padded
    for (inputs, targets), (padded, _) in zip(cut, whole, strict=True):
        assert inputs["frames"].shape[1] < padded["frames"].shape[1] == 60
        out, same = model(inputs, training=False), model(padded, training=False)
        for name in out:
            np.testing.assert_allclose(out[name], same[name][:, : inputs["frames"].shape[1]], atol=1e-5)
        full = np.zeros((2, 60), np.int32)
        full[:, : targets["labels"].shape[1]] = targets["labels"]
        losses = [CTCLoss(0)(labels, outputs["labels"]) for labels, outputs in ((targets["labels"], out), (full, same))]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    history = model.fit(build_dataset(config, index, list(texts), training=True), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


# What cannot be learnt from -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clip", "options", "words"),
    [
        (("bin blue", [], 7), {}, "s1/bad: 7 frames are too few for 'bin blue', which needs 8"),
        (("see", [], 3), {}, "3 frames are too few for 'see', which needs 4"),
        (("bin blue", [], 25), {}, "s1/bad: 25 frames are more than num_frames=24"),
        (("bin blue 2", [], 20), {}, "s1/bad: 'bin blue 2' holds '2'"),
    ],
)
def test_a_clip_that_cannot_be_learnt_is_refused_by_name(shard_folder, clip, options, words):
    index = shard_folder({"s1/good": ("bin", [], 20), "s1/bad": clip})
    with pytest.raises(DataError, match=f"1 of 2 clips cannot be learnt from; first .*{words}"):
        build_dataset(small(**options), index, ["s1/good", "s1/bad"])


def test_a_picture_larger_than_the_prepared_one_is_refused(shard_folder):
    index = shard_folder(clips(2))
    with pytest.raises(UsageError, match="the prepared crops are 12x20"):
        build_dataset(Config(num_frames=24, crop_size=(13, 16), **FIXED), index, list(clips(2)))


# Configuration ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_survive_json(name):
    config = Config.preset(name, data_dir="x")
    stored = json.loads(json.dumps({key: value for key, value in vars(config).items()}))
    assert Config.from_dict(stored) == config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mouth_crop": "round"}, "mouth_crop must be one of tracked, tight, fixed"),
        ({"num_frames": 0}, "num_frames must be 1 or more"),
        ({"speed_perturb": 0.6}, "speed_perturb must be 0 or more and below 0.5"),
        ({"word_splice_prob": 1.1}, "word_splice_prob must be 0 to 1"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "leave something to train on"),
        ({"train_list": "a", "val_speakers": ("s1",)}, "Give one of them"),
    ],
)
def test_settings_that_contradict_one_another(options, words):
    with pytest.raises(UsageError, match=words):
        Config(**options)


def test_no_data_dir_is_said():
    with pytest.raises(UsageError, match="data_dir is not set"):
        build_datasets(Config())


def test_brightness_is_one_power_for_all_pixels():
    """Whatever it is, of all greys the logarithms of what comes out have one ratio to those of what went in."""
    still = {"flip": False, "crop_jitter": False, "speed_perturb": 0.0, "frame_drop_rate": 0.0}
    config = Config(crop_size=(16, 16), num_frames=1, brightness=0.5, **still)
    inputs = {"frames": tf.reshape(tf.range(256), (1, 16, 16, 1)), "frame_count": tf.constant(1)}
    inputs["frames"] = tf.cast(inputs["frames"], tf.uint8)
    powers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "to_input", lambda config, frames, count: frames)
        for number in range(20):
            seed = tf.constant([number, 3], tf.int64)
            changed, _ = augment.augment_clip(config)(inputs, {"words": tf.zeros([1], tf.int32)}, seed)
            levels = changed["frames"].numpy().ravel() / 255
            power = np.log(levels[1:255]) / np.log(np.arange(1, 255) / 255)
            np.testing.assert_allclose(power, power[0], rtol=1e-3)
            np.testing.assert_allclose(levels[[0, 255]], [0, 1], atol=1e-5)
            powers.append(power[0])
    assert np.abs(np.log(powers)).max() <= 0.5 + 1e-6
    assert np.ptp(np.log(powers)) > 0.5


def test_a_training_reads_the_index_once(tmp_path, monkeypatch):
    """Split, batches, model, run folder and examples all ask one opened data set."""
    index = make_shards(tmp_path / "shards", num_clips=12, num_slots=1, num_frames=20)
    opened = []
    monkeypatch.setattr(shards, "read_index", lambda folder: opened.append(folder) or index)
    small_model = {
        "filters": (2, 3, 4),
        "rnn_units": 4,
        "num_frames": 20,
        "grammar": "none",
    }
    config = Config.preset("demo", data_dir=str(index.folder), epochs=1, **small_model)
    train(config, tmp_path / "run", verbose=0)
    assert opened == [index.folder]


def test_an_opened_data_set_gives_what_build_datasets_gives(tmp_path):
    index = make_shards(tmp_path / "shards", num_clips=12, num_slots=1, num_frames=20)
    config = Config.preset("demo", data_dir=str(index.folder), num_frames=20, val_fraction=0.3)
    data = open_data(config)
    assert sum(data.describe().values()) == 12 and data.describe()["val"] == len(data.split.val)
    assert data.labels == config.symbols().symbols and data.dataset("test") is None
    for one, other in zip(data.dataset("val"), build_datasets(config).val, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)
