"""Samples: which, in what order of channels, what is drawn for them, and what is refused."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.io.clips import write_clip
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.flow_extraction import count_pictures, extract_flow, folders_of, picture_path
from tfav.io.video import probe, read_video
from tfav.systems.two_stream import Config, build_datasets, dataset, sampling, train, video_scores
from tfav.systems.two_stream import model as models
from tfav.systems.two_stream.augment import build, build_augmenter, flip_flow
from tfav.systems.two_stream.stream import load_stream


@pytest.fixture
def prepared(videos_dir, tmp_path):
    extract_flow(videos_dir, tmp_path / "prepared", method="dis", workers=0, quiet=True)
    return tmp_path / "prepared"


def test_datasets_feed_the_models(small_config):
    for stream, channels in (("spatial", 3), ("motion", 6)):
        train, val, test = build_datasets(small_config(stream))
        assert test is None
        inputs, targets = next(iter(train))
        assert inputs.shape[1:] == (32, 32, channels)
        assert inputs.dtype == targets.dtype == "float32"
        assert 0 <= float(inputs.numpy().min()) < float(inputs.numpy().max()) <= 1
        assert sum(len(batch) for batch, _ in val) == 6 * 4  # one group of three, four samples of each video


def test_motion_samples_are_u_then_v(small_config):
    config = small_config("motion", image_size=48, frames_size=48)
    found = sampling.find_examples(config)
    example = found.examples[0]
    opened = sampling.open_pictures(config, [example])
    columns = sampling.columns_of(config, [example], found.labels)
    assert columns["start"].tolist() == [0, 1, 2, 3]  # 9 flow pictures, 7 stacks of 3, 4 of them: steps of 1
    stack, _ = next(iter(dataset.build_dataset(config, [example], found.labels).unbatch().skip(2).take(1)))
    _, u, v = opened.pictures[example.path].folders
    for channel, path in enumerate([picture_path(side, number) for side in (u, v) for number in (3, 4, 5)]):
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_allclose(stack[..., channel] * 255, picture, atol=2.01)  # two JPEG decoders


@pytest.mark.parametrize(
    ("num_starts", "wanted", "starts"),
    [(19, 19, range(19)), (5, 19, range(5)), (40, 19, range(0, 38, 2)), (57, 19, range(0, 57, 3)), (1, 19, [0])],
)
def test_evaluation_samples_are_even(num_starts, wanted, starts):
    assert sampling.sample_starts(num_starts, wanted).tolist() == list(starts)


def test_training_draws_anew_each_epoch_and_repeats_for_a_seed(small_config):
    train = build_datasets(small_config("spatial"))[0]
    first, second = (np.concatenate([batch for batch, _ in train]) for _ in range(2))
    assert first.shape == second.shape and not np.array_equal(first, second)


def test_prepared_folders_and_split_lists(videos_dir, small_config, tmp_path):
    prepared = tmp_path / "prepared"
    extract_flow(videos_dir, prepared, method="dis", workers=0, quiet=True)
    config = small_config("motion", data_dir=str(prepared))
    found = sampling.find_examples(config)
    assert (found.kind, len(found.examples), len(found.labels)) == ("prepared", 18, 6)
    assert sum(len(batch) for batch, _ in build_datasets(config)[0]) == 12
    for name, group in (("train.txt", "g00"), ("test.txt", "g01")):
        rows = [f"{e.label}/{e.name}.avi 1" for e in found.examples if group in e.name]
        (tmp_path / name).write_text("\n".join(rows))
    lists = {"train_list": str(tmp_path / "train.txt"), "test_list": str(tmp_path / "test.txt")}
    config = small_config(
        "motion", data_dir=str(prepared), split="lists", val_fraction=0.0, label_pattern="(x)", **lists
    )
    assert len(sampling.find_examples(config).examples) == 18  # the manifests know the classes
    shutil.rmtree(prepared / "manifests")  # as of a tree that was downloaded
    with pytest.raises(DataError, match="neither in its name nor in a split list"):
        sampling.find_examples(config)  # group g02 is in neither
    for folder in prepared.rglob("*_g02_*"):
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    parts = build_datasets(config)
    assert (sum(len(batch) for batch, _ in parts.train), sum(len(batch) for batch, _ in parts.test)) == (6, 24)


def test_ucf101_is_counted_as_in_its_own_list(tmp_path):
    labels = sampling.ucf101_labels()
    for label in labels:
        name = label.replace("HandstandPushups", "HandStandPushups")  # how the files spell it
        (tmp_path / "jpegs_256" / f"v_{name}_g01_c01").mkdir(parents=True)
    (tmp_path / "tvl1_flow").mkdir()
    found = sampling.find_examples(Config(data_dir=str(tmp_path)))
    assert found.labels == labels != sorted(labels)


def test_short_videos_are_counted(tmp_path, small_config):
    for label, frames in (("hop", 10), ("skip", 5)):
        for number in range(2):
            path = tmp_path / "videos" / label / f"v_{label}_g{number:02d}_c01.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, frames)
    config = small_config("motion", data_dir=str(tmp_path / "videos"), stack_length=5, val_fraction=0.0)
    with pytest.raises(DataError, match=r"2 of 4 videos cannot.*v_skip_g00_c01.*5 frames, and a stack of 5 .* needs 6"):
        build_datasets(config)
    assert build_datasets(small_config("spatial", data_dir=str(tmp_path / "videos"), val_fraction=0.0)).train


def test_folders_that_cannot_be_used(tmp_path, videos_dir, small_config):
    with pytest.raises(UsageError, match="data_dir is not set"):
        sampling.find_examples(Config())
    with pytest.raises(UsageError, match="--num-classes 6"):
        build_datasets(small_config(num_classes=4))
    (tmp_path / "jpegs_256").mkdir()
    with pytest.raises(DataError, match="no tvl1_flow"):
        sampling.find_examples(small_config(data_dir=str(tmp_path)))
    broken = tmp_path / "videos"
    shutil.copytree(videos_dir, broken)
    (broken / "grow" / "v_grow_g07_c00.mp4").write_bytes(b"")
    with pytest.raises(DataError, match=r"1 of 19 videos cannot be used.*v_grow_g07_c00.mp4.*empty"):
        build_datasets(small_config(data_dir=str(broken)))


def test_label_patterns_that_cannot_be(videos_dir, small_config, prepared):
    for pattern, message in (("v_(", "not a regular expression"), ("v_.+", "needs a bracket around the label")):
        with pytest.raises(UsageError, match=message):
            sampling.find_examples(small_config(data_dir=str(prepared), label_pattern=pattern))
    found = sampling.find_examples(small_config(data_dir=str(prepared), label_pattern="^v_(no)?"))
    assert len(found.labels) == 6  # a bracket that takes part in no match is none; the manifests know


def test_a_picture_that_is_missing_is_told_before_training(prepared, small_config):
    (prepared / "jpegs_256/v_grow_g00_c00/frame000003.jpg").unlink()
    u = prepared / "tvl1_flow/u/v_grow_g01_c00"
    for number, path in enumerate(sorted(u.iterdir())):
        path.rename(u / f"flow_{number}.jpg")
    with pytest.raises(DataError, match=r"1 of 18 videos cannot be used.*number 3 is missing"):
        build_datasets(small_config("spatial", data_dir=str(prepared)))
    config = small_config("motion", data_dir=str(prepared))
    opened = sampling.open_pictures(config, sampling.find_examples(config).examples)
    (reason,) = opened.failed.values()
    assert "not called frame000001.jpg" in reason


def put_clip(path, num_frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, num_frames)


def test_clips_of_one_name_in_two_classes(tmp_path, small_config):
    """Folders of pictures know no classes: `grow/clip0.avi` and `shrink/clip0.avi` are kept apart, and told apart."""
    videos = tmp_path / "videos"
    for label, move in (("grow", 2), ("shrink", 3)):
        for name in ("clip0", "clip1", f"only_{label}"):
            put_clip(videos / label / f"{name}.avi", 3 + move)
    made = small_config("motion", data_dir=str(videos), val_fraction=0.4)
    report = extract_flow(videos, tmp_path / "prepared", method="dis", workers=0, quiet=True)
    assert len(report.done) == 6 and report.ok
    assert "4 videos have the name of one in another folder" in report.warnings[0]
    assert "grow/clip0.avi is grow_clip0" in report.warnings[0]
    folders = {path.name for path in (tmp_path / "prepared/jpegs_256").iterdir()}
    assert folders == {"grow_clip0", "grow_clip1", "shrink_clip0", "shrink_clip1", "only_grow", "only_shrink"}
    prepared = dataclasses.replace(made, data_dir=str(tmp_path / "prepared"))
    counts = []
    for config in (made, prepared):
        found = sampling.find_examples(config)
        assert found.labels == ["grow", "shrink"]
        opened = sampling.open_pictures(config, found.examples)
        assert not opened.failed
        counts.append({(e.label, e.name): opened.pictures[e.path].num_starts for e in found.examples})
        split = dataset.make_split(found.examples, config)
        counts.append([sorted((e.label, e.name) for e in part) for part in split])
    assert counts[:2] == counts[2:]  # training and preparation see the same clips, divided alike
    assert {key: starts for key, starts in counts[0].items() if "clip" in key[1]} == {
        ("grow", "clip0"): 2, ("grow", "clip1"): 2, ("shrink", "clip0"): 3, ("shrink", "clip1"): 3,
    }  # fmt: skip
    rows = {"train.txt": "grow/clip0.avi\nshrink/clip0.avi\n", "test.txt": "grow/clip1.avi\nshrink/clip1.avi\n"}
    for name, text in rows.items():
        (tmp_path / name).write_text(text)
    lists = {"train_list": str(tmp_path / "train.txt"), "test_list": str(tmp_path / "test.txt"), "val_fraction": 0.0}
    listed = dataclasses.replace(prepared, split="lists", **lists)
    split = dataset.make_split(sampling.find_examples(listed).examples, listed)
    assert [(e.label, e.name) for e in split.test] == [("grow", "clip1"), ("shrink", "clip1")]


def test_a_name_that_becomes_shared_leaves_no_second_copy(tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "out"
    put_clip(videos / "grow/clip.avi", 3)
    assert extract_flow(videos, out, method="dis", workers=0, quiet=True).done == ["grow/clip.avi"]
    put_clip(videos / "shrink/clip.avi", 4)
    report = extract_flow(videos, out, method="dis", workers=0, quiet=True)
    assert {path.name for path in (out / "jpegs_256").iterdir()} == {"grow_clip", "shrink_clip"}
    assert "1 folders of videos cut or named otherwise now are gone (clip" in " ".join(report.warnings)
    assert len(extract_flow(videos, out, method="dis", workers=0, quiet=True).skipped) == 2
    (videos / "grow/clip.avi").unlink()
    extract_flow(videos, out, method="dis", workers=0, quiet=True)
    assert "clip" in {path.name for path in (out / "tvl1_flow/u").iterdir()}
    assert "shrink_clip" not in {path.name for path in (out / "tvl1_flow/u").iterdir()}


def test_joined_names_that_are_taken(tmp_path):
    for name in ("a_b/clip.avi", "a/b_clip.avi", "a/clip.avi", "b/clip.avi", "a/b/clip.avi", "b/a_clip.avi"):
        put_clip(tmp_path / "v" / name, 2)
    report = extract_flow(tmp_path / "v", tmp_path / "out", method="dis", workers=0, quiet=True)
    assert len(report.done) == 6 and len(list((tmp_path / "out/jpegs_256").iterdir())) == 6


# Augmentation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", ["simple", "medium", "heavy"])
@pytest.mark.parametrize(("stream", "channels"), [("spatial", 3), ("motion", 20)])
def test_imgaug_changes_samples_and_keeps_their_form(strength, stream, channels):
    import tensorflow as tf

    augment = build(Config(stream=stream, augmentation=strength, flip=False))
    sample = tf.constant(np.random.default_rng(0).integers(40, 200, (24, 24, channels), dtype=np.uint8))
    made = [augment(sample, tf.constant([number, 7], tf.int64)).numpy() for number in range(6)]
    assert {(m.shape, m.dtype) for m in made} == {((24, 24, channels), np.dtype("uint8"))}
    assert any(not np.array_equal(m, sample) for m in made)
    assert any(not np.array_equal(made[0], m) for m in made[1:])
    np.testing.assert_array_equal(augment(sample, tf.constant([3, 7], tf.int64)), made[3])  # a seed repeats itself


def test_one_draw_holds_for_all_channels_of_a_stack():
    augmenter = build_augmenter("medium")
    moved = next(step for step in augmenter if "Crop" in str(step)).then_list
    plane = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    cropped = moved.augment_image(np.repeat(plane, 20, axis=-1))
    assert not np.array_equal(cropped[..., :1], plane)
    assert (cropped == cropped[..., :1]).all()


def test_mirrored_flow_changes_the_sign_of_u():
    stack = np.full((4, 6, 4), 127, np.uint8)
    stack[:, 0, :2], stack[:, 0, 2:] = 147, 157  # at the left edge: u of 20 levels, v of 30
    mirrored = flip_flow(stack).numpy()
    assert (mirrored[:, -1, :2] == 107).all() and (mirrored[:, -1, 2:] == 157).all()
    assert (mirrored[:, :-1] == 127).all()


def test_prediction_sees_the_pictures_of_training(videos_dir, small_config, run_dirs):
    for kind, frames_size, size in (("spatial", 40, 32), ("motion", 32, 40)):  # shrinks, and grows
        config = small_config(kind, frames_size=frames_size, image_size=size, samples_per_video=1)
        example = sampling.find_examples(config).examples[0]
        folders = sampling.open_pictures(config, [example]).pictures[example.path].folders
        columns = sampling.columns_of(config, [example], [example.label])
        row = {name: column[0] for name, column in columns.items()}
        seen = sampling.reader(config, 1)(row)[0].numpy() * 255
        if kind == "spatial":
            picture = read_video(example.path).frames[0]  # 48 x 48, and then as a JPEG of 40 x 40
            tolerance = 4
        else:
            picture = cv2.imread(str(picture_path(folders.u, 1)), cv2.IMREAD_GRAYSCALE)
            seen, tolerance = seen[..., 0], 1
        stream = load_stream(run_dirs[kind], kind)
        stream = stream._replace(model=models.build_model(config), config=config)
        expected = video_scores.fit_square(picture, stream)
        assert np.abs(seen - expected).mean() < tolerance and expected.std() > 3


def test_frames_held_on_their_side_are_turned(prepared, small_config):
    config = small_config("spatial", data_dir=str(prepared), val_fraction=0.0)
    example = sampling.find_examples(config).examples[0]
    plain = next(iter(dataset.build_dataset(config, [example], [example.label])))[0].numpy()
    for path in folders_of(prepared, example.name).frames.iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).rotate(90, expand=True).save(path, exif=exif, quality=98, subsampling=0)
    turned = next(iter(dataset.build_dataset(config, [example], [example.label])))[0].numpy()
    assert np.abs(turned - plain).mean() < 0.01 < np.abs(np.rot90(plain, axes=(1, 2)) - plain).mean()
    first = picture_path(folders_of(prepared, example.name).frames, 1)
    Image.open(first).save(first)
    with pytest.raises(DataError, match=r"different orientations in EXIF, \[1, 6, 6\]"):
        dataset.build_dataset(config, [example], [example.label])


@pytest.mark.parametrize("stream", ["spatial", "motion"])
def test_a_cut_picture_ends_training_with_its_name(prepared, small_config, tmp_path, stream):
    config = small_config(stream, data_dir=str(prepared), epochs=1)
    example = sampling.find_examples(config).examples[0]
    folders = folders_of(prepared, example.name)
    for path in (folders.frames if stream == "spatial" else folders.v).iterdir():
        if path.stem not in ("frame000001", "frame000005", "frame000010"):  # the three that are looked at before
            path.write_bytes(path.read_bytes()[:-60])
    config = dataclasses.replace(config, train_samples=8)
    with pytest.raises(MediaError, match=rf"{example.name}.*\.jpg: an image that is cut short"):
        train(config, tmp_path / "run", verbose=0)


def test_a_training_lists_the_folder_once(small_config, tmp_path, monkeypatch):
    """The same for the split and for the pictures."""
    listed, divided, opened = [], [], []
    find, divide, look = sampling.find_examples, dataset.make_split, sampling.open_pictures
    monkeypatch.setattr(sampling, "find_examples", lambda *given: listed.append(given) or find(*given))
    monkeypatch.setattr(dataset, "make_split", lambda *given: divided.append(given) or divide(*given))
    monkeypatch.setattr(sampling, "open_pictures", lambda *given: opened.append(given) or look(*given))
    train(small_config(stream="motion", epochs=1), tmp_path / "run", verbose=0)
    assert (len(listed), len(divided), len(opened)) == (1, 1, 1)


def test_a_table_gives_the_batches_of_its_folder_and_stretches_have_their_own_samples(
    small_config, videos_dir, tmp_path
):
    config = small_config("motion")
    table = tmp_path / "labels.csv"
    paths = sorted(videos_dir.glob("*/*.mp4"))
    table.write_text("\n".join(["video,label", *(f"{p},{p.parent.name}" for p in paths)]), encoding="utf-8")
    by_table = build_datasets(dataclasses.replace(config, data_dir=str(table)))
    for one, other in zip(build_datasets(config).val, by_table.val, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    fps = probe(paths[0]).fps
    rows = [f"{paths[0]},{label},{first / fps},{stop / fps}" for label, first, stop in (("a", 0, 5), ("b", 5, 9))]
    table.write_text("\n".join(["video,label,start_sec,end_sec", *rows]), encoding="utf-8")
    config = dataclasses.replace(config, data_dir=str(table))
    found = sampling.find_examples(config)
    columns = sampling.columns_of(config, found.examples, found.labels)
    assert columns["start"].tolist() == [0, 1, 0]  # five frames give two stacks of three, four give one
    assert columns["label"].tolist() == [0, 0, 1]
    training = sampling.columns_of(config, found.examples, found.labels, training=True)
    assert (training["start"].tolist(), training["num_starts"].tolist()) == ([0, 0], [2, 1])
    tree = small_config("motion", samples_per_video=9)
    example = next(e for e in sampling.find_examples(tree).examples if e.path == paths[0])
    stacks, cut = (
        next(iter(dataset.build_dataset(config, examples, ["a", "b", example.label])))[0].numpy()
        for config, examples in ((tree, [example]), (config, found.examples))
    )
    np.testing.assert_array_equal(cut, stacks[[0, 1, 5]])


def test_a_prepared_table_trains_as_the_table_and_as_the_folder_do(small_config, videos_dir, tmp_path):
    table, rows = tmp_path / "t.csv", []
    for number, path in enumerate(sorted(videos_dir.glob("*/*.mp4"))):
        # In two folders, whose names are not those of the classes; some names are in both.
        copy = tmp_path / f"p{number % 2}" / f"clip{number // 2}.mp4"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
        rows.append(f"{copy.relative_to(tmp_path)},{path.parent.name}")
    table.write_text("\n".join(["video,label", *rows]), encoding="utf-8")
    options = {"flow_method": "dis", "size": 32, "bound": 8.0, "workers": 0, "quiet": True}
    report = dataset.prepare(table, tmp_path / "out", **options)
    assert len(report.done) == 18 and set(report.classes.values()) == {3}
    assert len(dataset.prepare(table, tmp_path / "out", **options).skipped) == 18
    by_table, by_pictures = (
        build_datasets(small_config("motion", data_dir=str(path))) for path in (table, tmp_path / "out/labels.csv")
    )
    for part in ("train", "val"):
        for one, other in zip(getattr(by_table, part), getattr(by_pictures, part), strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


def test_prepared_stretches_are_cut_out_and_stay_on_one_side(small_config, videos_dir, tmp_path):
    rows = []
    for path in sorted(videos_dir.glob("*/*.mp4"))[:4]:
        rows += [f"{path},{label},{start},{start + 0.25}" for label, start in (("a", 0.0), ("b", 0.25))]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["video,label,start_sec,end_sec", *rows]), encoding="utf-8")
    report = dataset.prepare(table, tmp_path / "out", flow_method="dis", size=32, workers=0, quiet=True)
    assert report.ok and report.classes == {"a": 4, "b": 4}
    names = sorted(path.name for path in (tmp_path / "out/jpegs_256").iterdir())
    assert len(names) == 8 and names[0].endswith("_0.000-0.250") and names[1].endswith("_0.250-0.500")
    assert count_pictures(tmp_path / "out", names[0]) == (5, 4)  # at 20 frames a second
    fields = {"split": "fraction", "val_fraction": 0.25}
    splits = [
        dataset.open_data(small_config("motion", data_dir=str(path), **fields)).split
        for path in (table, tmp_path / "out/labels.csv")
    ]
    of_video = [[[e.name for e in part] for part in split] for split in splits]
    assert of_video[0] == of_video[1] and [len(part) for part in splits[1]] == [6, 2, 0]
    (tmp_path / "out/labels.csv").unlink()
    with pytest.raises(DataError, match=r"or the table beside it \(labels.csv\)"):
        sampling.find_examples(small_config("motion", data_dir=str(tmp_path / "out"), label_pattern="^x(.)"))
