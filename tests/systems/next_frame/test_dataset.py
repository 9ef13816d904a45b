"""Data sets: made, from a file in the benchmark's layout, cut from videos; parts that do not mix."""

import json
import shutil

import numpy as np
import pytest

from tfav.data import epoch_order
from tfav.data.mnist import Digits, small_digits
from tfav.errors import DataError, UsageError
from tfav.io.encoding import write_video
from tfav.systems.next_frame import Config, build_datasets, dataset, frame_sequences, prepare, train
from tfav.systems.next_frame.config import PRESETS
from tfav.systems.next_frame.dataset import made_test_set, open_data
from tfav.systems.next_frame.frame_sequences import cut_folder, read_frames


def build_from(config, digits):
    return build_datasets(config, opened=open_data(config, digits=digits))


def on_disk(data_dir, cache, **fields):
    base = {"data_dir": str(data_dir), "cache_dir": str(cache), "image_size": 16, "input_frames": 3, "output_frames": 2}
    return Config.preset("demo", **{**base, "val_fraction": 0.25, "test_fraction": 0.25, "batch_size": 2, **fields})


def sequences_in(dataset):
    return {frames.tobytes() for batch, _ in dataset for frames in np.asarray(batch)}


def test_made_parts_and_shapes(small_config):
    train, val, test = build_datasets(small_config)
    frames, target = next(iter(train))
    assert frames.shape == (4, 10, 64, 64, 1) and target.shape == (4, 9, 64, 64, 1)
    np.testing.assert_array_equal(frames[:, 1:], target)
    assert [sum(len(batch) for batch, _ in part) for part in (train, val, test)] == [10, 4, 7]
    first, second = sequences_in(train), sequences_in(train)
    assert len(first | second) == 20  # never the same twice
    epoch_order.begin(1)
    third = sequences_in(train)
    assert len(first | second | third) == 30
    epoch_order.begin(1)
    assert sequences_in(build_datasets(small_config).train) != third  # made after the epoch was told: counts by itself
    another = build_datasets(small_config).train
    epoch_order.begin(1)
    assert sequences_in(another) == third  # as in another session
    assert sequences_in(val) == sequences_in(val) and sequences_in(test) == sequences_in(test)


def test_notebook_sees_all_but_the_last_frame_and_the_same_sequences_each_epoch():
    config = Config.preset("notebook", mnist="small", train_sequences=6, val_sequences=2)
    train = build_datasets(config).train
    frames, target = next(iter(train))
    assert frames.shape == target.shape == (5, 19, 64, 64, 1)
    np.testing.assert_array_equal(frames[:, 1:], target[:, :-1])
    assert sequences_in(train) == sequences_in(train)


def squares():
    """In place of digits: full squares, so that frames show where they are and nothing else, bright by their part."""
    bright = {"train": np.full((22, 28, 28), 100, np.uint8), "test": np.full((4, 28, 28), 50, np.uint8)}
    bright["train"][-1:] = 200  # the last twelfth, which is held back
    return Digits(**bright, source="squares")


def motion_in(frames):
    """Where the squares of each sequence are."""
    return {(np.asarray(sequence) > 0).tobytes() for sequence in frames}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("preset", PRESETS)
def test_parts_share_neither_motion_nor_digits(preset, seed):
    counts = {"train_sequences": 40, "val_sequences": 30, "test_sequences": 30, "batch_size": 10}
    parts = build_from(Config.preset(preset, seed=seed, **counts), squares())
    motion = {}
    for name, part, value in zip(("train", "val", "test"), parts, (100, 200, 50), strict=True):
        batches = [np.asarray(frames) for _ in range(2) for frames, _ in part]
        assert {round(float(batch.max()) * 255) for batch in batches} == {value}
        motion[name] = set().union(*map(motion_in, batches))
        assert len(motion[name]) in (len(batches) * 10, len(batches) * 5)  # no two alike but those of equal epochs
    assert not motion["train"] & motion["val"]
    assert not motion["train"] & motion["test"]
    assert not motion["val"] & motion["test"]


def test_sequences_that_are_prepared_do_not_move_as_the_test_set_does(tmp_path, small_config):
    np.savez(tmp_path / "mnist.npz", x_train=squares().train, x_test=squares().test)
    prepare(tmp_path / "mnist.npz", tmp_path / "train.npy", sequences=7, num_frames=10, num_digits=1)
    prepare(tmp_path / "mnist.npz", tmp_path / "test.npy", sequences=7, num_frames=10, num_digits=1, part="test")
    train, test = (motion_in(np.load(tmp_path / f"{name}.npy").swapaxes(0, 1)[..., None]) for name in ("train", "test"))
    tested = set().union(*(motion_in(batch) for batch in made_test_set(small_config, squares())))
    assert test == tested and len(tested) == 7
    assert not train & tested


def test_test_set_is_the_same_for_every_run(small_config):
    digits = small_digits()
    one = next(made_test_set(small_config, digits).as_numpy_iterator())
    other = Config.preset("demo", **{**small_config.__dict__, "seed": 9, "batch_size": 7})
    np.testing.assert_array_equal(next(made_test_set(other, digits).as_numpy_iterator())[:4], one)


def test_videos_are_cut_to_sequences_and_stay_whole(videos, tmp_path):
    out = tmp_path / "out.npy"
    report = cut_folder(videos, out, num_frames=5, size=16, channels=1)
    assert report.ok and len(report.done) == 3
    stored = np.load(out)
    assert stored.shape == (5, 4 + 2 + 6, 16, 16)
    expected = [20 + 6 * n for video, count in (("a", 4), ("b", 2), ("c", 6)) for n in range(5 * count)]
    np.testing.assert_allclose(stored.transpose(1, 0, 2, 3).reshape(60, -1).mean(1), expected, atol=4)
    facts = json.loads((tmp_path / "out.npy.json").read_text())
    assert [count for _, count in facts["videos"]] == [4, 2, 6]


def test_folder_as_data(videos, tmp_path):
    config = on_disk(videos, tmp_path, channels=3, image_size=32, val_fraction=0.2, test_fraction=0.5)
    train, val, test = build_datasets(config)
    assert next(iter(train))[0].shape == (2, 5, 32, 32, 3)
    assert [sum(len(batch) for batch, _ in part) for part in (train, val, test)] == [4, 2, 6]  # a, b, c
    kept = list(tmp_path.rglob("*.npy"))
    build_datasets(config)
    assert list(tmp_path.rglob("*.npy")) == kept and len(kept) == 1


def test_frame_folders_as_data(tmp_path):
    import cv2

    folder = tmp_path / "frames" / "clip"
    folder.mkdir(parents=True)
    for number in range(6):
        cv2.imwrite(str(folder / f"frame_{number}.png"), np.full((20, 30, 3), 40 * number, np.uint8))
    np.testing.assert_array_equal(read_frames(folder, 16, 1)[:, 0, 0, 0], 40 * np.arange(6))
    np.testing.assert_array_equal(read_frames(folder, 16, 3, last=2)[:, 0, 0], [[160] * 3, [200] * 3])
    assert len(open_data(on_disk(tmp_path / "frames", tmp_path / "cache")).numbers("all")) == 1


def test_a_file_as_data_goes_round(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 8, 16, 16), np.uint8)
    np.save(tmp_path / "seq.npy", values)
    config = on_disk(tmp_path / "seq.npy", tmp_path, first_axis="frames")
    train, val, test = build_datasets(config)
    found = [np.concatenate([batch for batch, _ in part]) for part in (val, test)]
    expected = values.transpose(1, 0, 2, 3)[..., None].astype(np.float32) / 255
    np.testing.assert_array_equal(np.concatenate(found), expected[4:])
    assert sequences_in(train) == {one.tobytes() for one in expected[:4]}
    orders = []
    for epoch in (0, 1, 2, 3, 0):
        epoch_order.begin(epoch)
        orders.append([frames.tobytes() for batch, _ in train for frames in np.asarray(batch)])
    assert orders[0] == orders[4] and len({tuple(order) for order in orders}) > 1


def test_prepare_writes_moving_mnist(tmp_path):
    digits = small_digits()
    np.savez(tmp_path / "mnist.npz", x_train=digits.train, x_test=digits.test)
    report = prepare(tmp_path / "mnist.npz", tmp_path / "seq.npy", sequences=6, num_frames=8)
    assert report.ok
    assert np.load(tmp_path / "seq.npy", mmap_mode="r").shape == (8, 6, 64, 64)
    with pytest.raises(UsageError, match=r"one \.npy file"):
        prepare(tmp_path / "mnist.npz", tmp_path / "seq")


def test_data_that_cannot_be_used(videos, tmp_path):
    values = np.full((5, 8, 16, 16), 9, np.uint8)
    np.save(tmp_path / "seq.npy", values)
    with pytest.raises(DataError, match=r"frames are 16 x 16 x 1, and the model takes 32 x 32 x 1"):
        build_datasets(on_disk(tmp_path / "seq.npy", tmp_path, image_size=32))
    with pytest.raises(DataError, match="sequences have 5 frames, and 7 are needed"):
        build_datasets(on_disk(tmp_path / "seq.npy", tmp_path, input_frames=5))
    with pytest.raises(UsageError, match="no such file or folder"):
        build_datasets(on_disk(tmp_path / "gone", tmp_path))
    with pytest.raises(DataError, match=r"1 of 3 videos cannot be used; first: .*b\.mp4: 10 frames, and a"):
        build_datasets(on_disk(videos, tmp_path, input_frames=20, output_frames=3))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither videos nor frames"):
        build_datasets(on_disk(tmp_path / "empty", tmp_path))
    (tmp_path / "one").mkdir()
    write_video(tmp_path / "one/a.mp4", np.zeros((10, 32, 32, 3), np.uint8) + 90, 10)
    with pytest.raises(DataError, match="too few for a"):
        build_datasets(on_disk(tmp_path / "one", tmp_path))
    with pytest.raises(UsageError, match="part must be one of"):
        open_data(on_disk(tmp_path / "seq.npy", tmp_path)).numbers("dev")


def test_a_video_that_cannot_be_cut_stops_no_other(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    bad = next(path for path in sorted((tmp_path / "videos").rglob("*.mp4")) if path.name != "b.mp4")
    whole = bad.read_bytes()
    bad.write_bytes(whole[:200])
    report = prepare(tmp_path / "videos", tmp_path / "seq.npy", num_frames=7, size=16)
    assert list(report.failed) == [str(bad)] and len(report.done) == 2
    good = json.loads((tmp_path / "seq.npy.json").read_text())["videos"]
    assert len(good) == 2 and np.load(tmp_path / "seq.npy").shape[1] == sum(count for _, count in good)
    bad.write_bytes(whole)
    report = prepare(tmp_path / "videos", tmp_path / "seq.npy", num_frames=7, size=16)
    assert report.ok and (len(report.done), len(report.skipped)) == (1, 2)  # the others were kept
    assert len(json.loads((tmp_path / "seq.npy.json").read_text())["videos"]) == 3
    bad.write_bytes(whole[:200])
    for _ in range(2):  # training takes all or nothing, the second time as well
        with pytest.raises(DataError, match="1 of 3 videos cannot be used"):
            build_datasets(on_disk(tmp_path / "videos", tmp_path / "cache"))


def numbered_digits(train=36, test=12):
    """Digits of one brightness each: 10, 11, ... for those to train on, 200, 201, ... for those to test on."""
    grey = [np.arange(first, first + count) for first, count in ((10, train), (200, test))]
    pictures = [np.repeat(values.astype(np.uint8), 28 * 28).reshape(-1, 28, 28) for values in grey]
    return Digits(*pictures, "made")


def digits_in(dataset):
    """Which of the numbered digits are to be seen."""
    seen = set()
    for frames, _ in dataset:
        seen |= set(np.unique(np.rint(np.asarray(frames) * 255).astype(int)).tolist())
    return seen - {0}


def test_no_digit_is_in_two_parts():
    """Training has the first eleven twelfths of the training digits, validation the last, the test set its own."""
    config = Config.preset(
        "demo", train_sequences=120, val_sequences=40, test_sequences=60, batch_size=20, num_digits=2
    )
    train, val, test = (digits_in(part) for part in build_from(config, numbered_digits()))
    assert train == set(range(10, 43)) and val == set(range(43, 46)) and test == set(range(200, 212))
    assert digits_in(made_test_set(config, numbered_digits()).map(lambda frames: (frames, frames))) == test


def test_settings_of_made_sequences_are_followed():
    config = Config.preset("demo", train_sequences=6, val_sequences=0, test_sequences=3, batch_size=4, num_digits=1)
    train, val, test = build_from(config, numbered_digits())
    assert val is None
    assert [len(frames) for frames, _ in train] == [4, 2] and [len(frames) for frames, _ in test] == [3]
    for frames, _ in train:
        for sequence in frames.numpy():
            assert len(np.unique(sequence)) == 2  # black and one digit
    same = Config.preset("demo", train_sequences=6, val_sequences=0, test_sequences=3, new_each_epoch=False)
    train, given = build_from(same, numbered_digits()).train, []
    for epoch in (0, 3):
        epoch_order.begin(epoch)
        given.append(sequences_in(train))
    assert given[0] == given[1]


def test_sequences_first_are_the_same_data(tmp_path):
    clips = np.zeros((8, 5, 16, 16), np.uint8)
    for number in range(8):
        for time in range(5):
            clips[number, time, 2 * number : 2 * number + 2, time : time + 6] = 100 + number
    np.save(tmp_path / "sequences.npy", clips)
    np.save(tmp_path / "frames.npy", clips.transpose(1, 0, 2, 3))
    expected, _ = open_data(on_disk(tmp_path / "frames.npy", tmp_path)).sequences
    with pytest.warns(UserWarning, match="taken as 8 sequences of 5 frames"):
        found, _ = open_data(on_disk(tmp_path / "sequences.npy", tmp_path)).sequences
    np.testing.assert_array_equal(found, expected)
    explicit, _ = open_data(on_disk(tmp_path / "sequences.npy", tmp_path, first_axis="sequences")).sequences
    np.testing.assert_array_equal(explicit, expected)
    with pytest.raises(DataError, match="16 x 16"):
        open_data(on_disk(tmp_path / "sequences.npy", tmp_path, first_axis="frames", image_size=8)).numbers("all")


def test_prepare_cuts_a_folder_as_it_is_told(videos, tmp_path):
    shapes = {}
    for name, how in {"plain": {}, "short": {"num_frames": 5}, "small": {"size": 16}, "grey": {"channels": 1}}.items():
        path = tmp_path / f"{name}.npy"
        assert prepare(videos, path, quiet=True, **({"num_frames": 10} | how)).ok
        shapes[name] = np.load(path, mmap_mode="r").shape
    assert shapes["plain"][0] == 10 and shapes["plain"][2:4] == (64, 64)
    assert shapes["short"][0] == 5 and shapes["short"][1] == 4 + 2 + 6
    assert shapes["small"][2:4] == (16, 16) and len(shapes["grey"]) == 4


@pytest.mark.parametrize("part", ["train", "test"])
def test_prepare_makes_moving_mnist_of_the_asked_digits(tmp_path, part):
    digits = numbered_digits()
    np.savez(tmp_path / "mnist.npz", x_train=digits.train, x_test=digits.test)
    made = {}
    for name, how in {"one": {"num_digits": 1}, "two": {}, "other": {"seed": 5}, "same": {}}.items():
        prepare(tmp_path / "mnist.npz", tmp_path / f"{name}.npy", sequences=30, num_frames=3, part=part, **how)
        made[name] = np.load(tmp_path / f"{name}.npy")
    for sequences in made.values():
        seen = set(np.unique(sequences).tolist()) - {0}
        assert seen <= (set(range(10, 46)) if part == "train" else set(range(200, 212)))
    assert {len(np.unique(made["one"][:, n])) for n in range(30)} == {2}  # black and one digit
    assert not np.array_equal(made["two"], made["other"])
    np.testing.assert_array_equal(made["two"], made["same"])


def test_a_training_opens_the_sequences_once(videos, tmp_path, monkeypatch):
    """The same for the file, for its table of videos, and for the folder it is cut from."""
    opened, tables, cut = [], [], []
    read, sizes, cached = dataset.open_sequences, frame_sequences.group_sizes, frame_sequences.cached_sequences
    monkeypatch.setattr(dataset, "open_sequences", lambda *given: opened.append(given) or read(*given))
    monkeypatch.setattr(frame_sequences, "group_sizes", lambda *given: tables.append(given) or sizes(*given))
    monkeypatch.setattr(
        frame_sequences, "cached_sequences", lambda *given, **how: cut.append(given) or cached(*given, **how)
    )
    parts = {"val_fraction": 0.5, "test_fraction": 0.0}
    config = on_disk(videos, tmp_path, epochs=1, filters=(2,), sampling_epochs=0, **parts)
    train(config, tmp_path / "run", verbose=0)
    assert (len(opened), len(tables), len(cut)) == (1, 1, 1)
