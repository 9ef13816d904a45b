"""From a class tree to batches: pixels and cached features, masks, order, and trees that cannot be used."""

import dataclasses
import shutil

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tfav.data.classification import make_split
from tfav.data.folders import scan
from tfav.data.label_tables import list_examples
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.frame_extraction import extract_frames
from tfav.io.video import read_video
from tfav.systems.cnn_lstm import (
    Config,
    build_datasets,
    build_model,
    clip_reader,
    dataset,
    evaluate,
    export,
    feature_cache,
    prepare,
    train,
)
from tfav.systems.cnn_lstm import model as models
from tfav.systems.cnn_lstm.dataset import build_dataset, open_data
from tfav.systems.cnn_lstm.predict import load_scorer
from tfav.systems.cnn_lstm.train import start_run


def test_batches_have_the_promised_form(small_config):
    train, val, test = build_datasets(small_config)
    inputs, target = next(iter(train))
    assert inputs["clip"].shape == (6, 6, 32, 32, 3) and inputs["clip"].dtype == "uint8"
    assert inputs["mask"].numpy().all()
    assert target.shape == (6, 6) and (target.numpy().sum(1) == 1).all()
    assert test is None
    assert sum(len(batch[1]) for batch in train) == 18 and sum(len(batch[1]) for batch in val) == 6


def test_evaluation_is_in_order_and_training_is_not(small_config, videos):
    tree = scan(videos)
    expected = [tree.labels.index(example.label) for example in tree.examples]
    plain = build_dataset(small_config, tree.examples, tree.labels)
    got = np.concatenate([batch[1].numpy().argmax(1) for batch in plain])
    assert got.tolist() == expected
    shuffled = build_dataset(small_config, tree.examples, tree.labels, training=True)
    orders = [np.concatenate([batch[1].numpy().argmax(1) for batch in shuffled]).tolist() for _ in range(2)]
    assert sorted(orders[0]) == expected and orders[0] != expected and orders[0] != orders[1]


def test_pixels_of_the_data_set_are_those_of_the_video(small_config, videos):
    tree = scan(videos)
    batch = next(iter(build_dataset(small_config, tree.examples[:2], tree.labels)))[0]
    direct = clip_reader.read_clip(tree.examples[0].path, small_config).pixels[0]
    difference = np.abs(batch["clip"][0].numpy().astype(int) - direct)
    assert difference.mean() < 6  # JPEG lies between the two
    other = np.abs(batch["clip"][1].numpy().astype(int) - direct)
    assert other.mean() > difference.mean() + 3


def test_frame_folders_give_the_same_data_as_their_videos(small_config, videos, tmp_path):
    extract_frames(videos, tmp_path / "frames", quiet=True, workers=0)
    from_videos = clip_reader.read_clip(sorted(videos.glob("grow/*.mp4"))[0], small_config)
    folder = sorted((tmp_path / "frames/grow").iterdir())[0]
    from_frames = clip_reader.read_clip(folder, small_config)
    assert np.abs(from_frames.pixels.astype(int) - from_videos.pixels).mean() < 3
    config = Config.preset("demo", **{**_fields(small_config), "data_dir": str(tmp_path / "frames")})
    assert next(iter(build_datasets(config).train))[0]["clip"].shape == (6, 6, 32, 32, 3)


def _fields(config):
    return {name: getattr(config, name) for name in ("num_frames", "image_size", "val_fraction", "batch_size")}


def test_short_videos_are_padded_and_masked(small_config, videos):
    config = Config.preset("demo", **{**_fields(small_config), "num_frames": 14, "data_dir": str(videos)})
    clip = clip_reader.read_clip(next(videos.glob("grow/*.mp4")), config)
    assert clip.mask.tolist() == [True] * 10 + [False] * 4
    assert not clip.pixels[:, 10:].any()
    shuffled = clip.shuffled(np.random.default_rng(0))
    assert shuffled.mask.tolist() == clip.mask.tolist() and not shuffled.pixels[:, 10:].any()
    assert (shuffled.pixels != clip.pixels).any()
    assert np.array_equal(np.sort(shuffled.pixels, axis=1), np.sort(clip.pixels, axis=1))


@pytest.fixture(scope="module")
def transfer_config(videos, tmp_path_factory):
    """MobileNetV2 with random weights from a file, on tiny pictures."""
    folder = tmp_path_factory.mktemp("transfer")
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None)
    # Fresh kernels let the signal fade over fifty layers, until all features are zero in half precision.
    network.set_weights([3 * weight if weight.ndim > 1 else weight for weight in network.get_weights()])
    network.save_weights(folder / "m.weights.h5")
    return Config.preset(
        "transfer",
        data_dir=str(videos),
        cache_dir=str(folder / "cache"),
        backbone_weights=str(folder / "m.weights.h5"),
        backbone_alpha=0.35,
        image_size=96,
        num_frames=4,
        pca_components=4,
        lstm_units=4,
        epochs=2,
        passes_per_epoch=2,
        mixup=0.0,
        batch_size=8,
    )


def test_features_are_computed_once_for_both_orientations(transfer_config, videos, monkeypatch):
    everything = [example.path for example in scan(videos).examples]
    paths, files = everything[:3], feature_cache.compute(everything, transfer_config)[:3]
    stored = np.fromfile(files[0], np.float16).reshape(2, 4, -1)
    assert (stored.std(-1) > 0.01).all()
    clip = clip_reader.read_clip(paths[0], transfer_config)
    frozen = models.cached_backbone(transfer_config)
    for orientation, pixels in enumerate((clip.pixels, clip.pixels[:, :, :, ::-1])):
        views = [frozen.predict(view.astype("f"), verbose=0) for view in pixels]
        expected = np.concatenate(views, axis=-1)
        np.testing.assert_allclose(stored[orientation], expected, rtol=5e-3, atol=5e-3)
    monkeypatch.setattr(feature_cache, "extract", lambda *_: pytest.fail("the backbone ran again"))
    assert feature_cache.compute(paths, transfer_config) == files
    again = next(iter(build_datasets_of(transfer_config, videos, paths)))
    assert again[0]["features"].shape == (3, 4, 4 * transfer_config.pca_components)


def build_datasets_of(config, videos, paths):
    examples = [example for example in scan(videos).examples if example.path in paths]
    return build_dataset(config, examples, scan(videos).labels)


def test_features_cut_short_are_computed_anew(transfer_config, videos):
    paths = [example.path for example in scan(videos).examples][:2]
    files = feature_cache.compute(paths, transfer_config)
    sound = files[0].read_bytes()
    for spoilt in (sound[:-2], b""):
        files[0].write_bytes(spoilt)
        assert feature_cache.compute(paths, transfer_config) == files
        assert files[0].read_bytes() == sound


def test_changed_settings_or_files_are_computed_anew(transfer_config, videos, tmp_path):
    source = next(videos.glob("grow/*.mp4"))
    video = tmp_path / "v.mp4"
    shutil.copy(source, video)
    first = feature_cache.compute([video], transfer_config)
    assert feature_cache.compute([video], dataclasses.replace(transfer_config, views=("change",))) != first
    assert feature_cache.compute([video], dataclasses.replace(transfer_config, num_frames=3)) != first
    shutil.copy(next(videos.glob("shrink/*.mp4")), video)
    assert feature_cache.compute([video], transfer_config) != first


def test_flip_draws_an_orientation(transfer_config, videos):
    tree = scan(videos)
    seen = set()
    for flip in (True, False):
        config = dataclasses.replace(transfer_config, flip=flip)
        dataset = build_dataset(config, tree.examples[:1], tree.labels, training=True)
        values = {float(inputs["features"].numpy().sum()) for _ in range(8) for inputs, _ in dataset.unbatch()}
        seen |= {(flip, len(values))}
    assert seen == {(True, 2), (False, 1)}


def test_front_is_fitted_to_the_training_part_alone(transfer_config, videos):
    config = dataclasses.replace(transfer_config, test_groups=("03",), split="group")
    train, _, test = build_datasets(config)
    pca = open_data(config).pca
    files = feature_cache.compute([e.path for e in make_split(scan(videos).examples, config).train], config)
    projected = np.concatenate([pca.predict_on_batch(_inputs(file, config)) for file in files])
    projected = projected.reshape(-1, 4, config.pca_components)  # two views, each with its changes
    np.testing.assert_allclose(projected.mean(0), 0, atol=0.05)
    np.testing.assert_allclose((projected**2).mean((0, 2)), 1, rtol=0.05)
    batch = next(iter(test))[0]["features"].numpy()
    direct = [feature_cache.compute([e.path], config)[0] for e in make_split(scan(videos).examples, config).test]
    np.testing.assert_allclose(batch[0], pca.predict_on_batch(_inputs(direct[0], config))[0], atol=1e-3)
    assert next(iter(train))[0]["features"].shape[-1] == 4 * config.pca_components


def _inputs(file, config):
    both, mask = feature_cache.read_file(file, config)
    return {"features": both, "mask": mask}


def test_wrong_number_of_classes(videos):
    with pytest.raises(UsageError, match=r"holds 6 classes .* the model has 3"):
        build_datasets(Config.preset("notebook", data_dir=str(videos)))


@pytest.fixture
def copied(videos, tmp_path):
    return shutil.copytree(videos, tmp_path / "copy")


def test_one_class_is_too_few(copied, tmp_path):
    for folder in sorted(copied.iterdir())[1:]:
        shutil.rmtree(folder)
    with pytest.raises(DataError, match="one class only"):
        build_datasets(Config.preset("demo", data_dir=str(copied)))


@pytest.mark.parametrize("content", [b"", b"not a video at all"])
@pytest.mark.parametrize("preset", ["demo", "transfer"])
def test_unreadable_video_is_counted_and_named(copied, tmp_path, content, preset, transfer_config):
    bad = next(copied.glob("grow/*_g00_*.mp4"))
    bad.write_bytes(content)
    base = transfer_config if preset == "transfer" else Config.preset("demo", num_frames=4, image_size=32)
    config = dataclasses.replace(base, data_dir=str(copied), cache_dir=str(tmp_path / "c"))
    with pytest.raises(DataError, match=bad.name) as raised:
        build_datasets(config)
    assert "1" in str(raised.value)


def test_frame_folder_with_a_gap_or_two_sizes(videos, tmp_path):
    frames = tmp_path / "frames"
    extract_frames(videos, frames, quiet=True, workers=0)
    config = Config.preset("demo", data_dir=str(frames), num_frames=4, image_size=32)
    folder = next(frames.glob("grow/*"))
    victim = sorted(folder.glob("*.jpg"))[4]
    content = victim.read_bytes()
    victim.unlink()
    with pytest.raises(DataError, match="missing"):
        build_datasets(config)
    cv2.imwrite(str(tmp_path / "small.jpg"), np.zeros((8, 8, 3), np.uint8))
    victim.write_bytes((tmp_path / "small.jpg").read_bytes())
    with pytest.warns(UserWarning, match=rf"1 of 6 frame folders .*{victim.name} has 8x8, most 32x32"):
        datasets = build_datasets(config)
    assert sum(len(batch[1]) for batch in datasets.train) > 0
    victim.write_bytes(content[:40])
    with pytest.raises((DataError, MediaError), match=victim.name):
        build_datasets(config)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_pictures_held_on_their_side_are_the_same_in_training_and_prediction(tmp_path, suffix):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label / "v").mkdir(parents=True)
        for number in range(8):  # as phones and cameras write a burst: in each of EXIF's orientations
            exif = Image.Exif()
            exif[0x0112] = number + 1
            picture = cv2.resize(rng.integers(0, 256, (3, 4, 3), np.uint8), (96, 72), interpolation=cv2.INTER_CUBIC)
            Image.fromarray(picture).save(tmp_path / label / "v" / f"{number}{suffix}", quality=95, exif=exif)
    config = Config.preset("demo", data_dir=str(tmp_path), num_frames=8, image_size=32, batch_size=2)
    tree = scan(tmp_path)
    seen = next(iter(build_dataset(config, tree.examples, tree.labels)))[0]["clip"].numpy().astype(int)
    for example, clip in zip(tree.examples, seen, strict=True):
        expected = clip_reader.read_clip(example.path, config).pixels[0]
        assert np.abs(clip - expected).max() <= 8 and np.abs(clip - expected).mean() < 1
        upright = np.asarray(ImageOps.exif_transpose(Image.open(example.path / f"7{suffix}")).resize((32, 32)))
        assert np.abs(upright.astype(int) - expected[7]).mean() < 4


@pytest.mark.parametrize("size", [(200, 300), (20, 300), (300, 20), (20, 24)])
def test_frames_are_resized_alike_in_training_and_prediction(tmp_path, size):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / label / "v").mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(tmp_path / label / "v" / f"{number}.png"), rng.integers(0, 256, (*size, 3), np.uint8))
    config = Config.preset("demo", data_dir=str(tmp_path), num_frames=4, image_size=48, batch_size=2)
    tree = scan(tmp_path)
    seen = next(iter(build_dataset(config, tree.examples, tree.labels)))[0]["clip"].numpy().astype(int)
    for example, clip in zip(tree.examples, seen, strict=True):
        assert np.abs(clip - clip_reader.read_clip(example.path, config).pixels[0]).max() <= 1


WITH_FEATURES = {
    "backbone_mode": "cached",
    "backbone": "mobilenet_v2",
    "views": ("frame", "change"),
}


def test_face_crops_of_several_sizes_are_predicted_and_told(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "v").mkdir()
    for number in range(4):
        picture = rng.integers(0, 256, (40 + number, 50, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "v" / f"{number}.png"), picture)
    for changes in ({}, WITH_FEATURES):
        config = Config.preset("demo", num_frames=4, image_size=48, **changes)
        clip = clip_reader.read_clip(tmp_path / "v", config)
        assert clip.pixels.shape[1:] == (4, 48, 48, 3) and clip.pixels.std() > 5
        assert len(clip.warnings) == 1 and "pictures of 4 sizes" in clip.warnings[0]


@pytest.mark.parametrize("size", [(2000, 2), (2, 2000), (1, 1)])
@pytest.mark.parametrize("changes", [{}, WITH_FEATURES])
def test_pictures_of_any_shape_are_read(tmp_path, size, changes):
    (tmp_path / "v").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "v" / f"{number}.png"), np.full((*size, 3), 60 * number, np.uint8))
    config = Config.preset("demo", num_frames=4, image_size=32, **changes)
    pixels = clip_reader.read_clip(tmp_path / "v", config).pixels
    assert pixels[0, :, 9, 9, 0].tolist() == [0, 60, 120, 180]


def test_a_training_lists_the_tree_once(small_config, tmp_path, monkeypatch):
    """Class names, split, batches, model, run folder and examples all ask one opened data set."""
    scanned = []
    monkeypatch.setattr(dataset, "list_examples", lambda folder, **_: scanned.append(folder) or scan(folder))
    config = dataclasses.replace(small_config, epochs=1, num_classes=0)
    train(config, tmp_path / "run", verbose=0)
    assert scanned == [config.data_dir]


def test_a_table_of_the_same_videos_gives_the_same_training_to_the_last_digit(small_config, videos, tmp_path):
    rows = [f"{path.relative_to(videos).as_posix()},{path.parent.name}" for path in videos.glob("*/*.mp4")]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["video,label", *sorted(f"{videos}/{row}" for row in rows)]), encoding="utf-8")
    config = dataclasses.replace(small_config, data_dir=str(table))
    one, other = open_data(small_config), open_data(config)
    assert [[e.path for e in part] for part in one.split] == [[e.path for e in part] for part in other.split]
    configs = [dataclasses.replace(c, epochs=1) for c in (small_config, config)]
    (one,), (other,) = (train(c, tmp_path / str(n), verbose=0) for n, c in enumerate(configs))
    assert (one["loss"], one["val_loss"]) == (other["loss"], other["val_loss"])
    result = evaluate(tmp_path / "1", part="val", progress=False)
    assert [video["path"] for video in result["videos"]] == [str(e.path) for e in open_data(config).split.val]


def test_stretches_of_a_video_are_clips_of_their_own(small_config, transfer_config, videos, tmp_path):
    video = next(videos.glob("grow/*.mp4"))
    (tmp_path / "t.csv").write_text(
        f"video,label,start_sec,end_sec\n{video},early,0,0.25\n{video},late,0.25,\n", encoding="utf-8"
    )
    for config in (small_config, transfer_config):
        config = dataclasses.replace(config, data_dir=str(tmp_path / "t.csv"), num_frames=2, pca_components=0)
        tree = list_examples(config.data_dir)
        assert [e.span for e in tree.examples] == [(0.0, 0.25), (0.25, pytest.approx(0.5))]
        batch = next(iter(build_dataset(config, tree.examples, tree.labels)))[0]
        for row, (first, last) in enumerate([(0, 4), (5, 9)]):  # at 20 frames a second
            frames = read_video(video, [first, last]).frames
            found = clip_reader.read_clip(video, config, tree.examples[row].span)
            if config.cache_features:
                stored = feature_cache.compute([video], config, [tree.examples[row].span])[0]
                np.testing.assert_allclose(batch["features"][row], feature_cache.read_file(stored, config)[0][0])
            else:
                assert np.abs(found.pixels[0].astype(int) - frames).mean() < 1
                assert np.abs(batch["clip"][row].numpy().astype(int) - frames).mean() < 6  # JPEG lies between
    assert not np.array_equal(batch["features"][0], batch["features"][1])
    with pytest.raises(DataError, match="names its video once more"):
        (tmp_path / "t.csv").write_text(f"video,label\n{video},a\n{video},b\n", encoding="utf-8")
        list_examples(tmp_path / "t.csv")


def test_a_prepared_table_is_a_table_of_frame_folders(videos, tmp_path):
    video = next(videos.glob("grow/*.mp4"))
    (tmp_path / "t.jsonl").write_text(
        "\n".join(
            f'{{"video": "{video}", "label": "{c}", "start_sec": {s}, "end_sec": {s + 0.2}}}'
            for c, s in [("a", 0), ("b", 0.3)]
        ),
        encoding="utf-8",
    )
    report = prepare(tmp_path / "t.jsonl", tmp_path / "out", workers=0, quiet=True)
    assert report.classes == {"a": 1, "b": 1} and "2 of 2 classes have fewer than 10" in report.warnings[0]
    tree = list_examples(tmp_path / "out" / "labels.csv")
    assert (tree.kind, tree.labels) == ("frames", ["a", "b"])
    assert [len(list(e.path.glob("*.jpg"))) for e in tree.examples] == [4, 4]
    assert {e.name for e in tree.examples} == {video.stem} and len({e.video for e in tree.examples}) == 1


def test_an_opened_data_set_gives_what_build_datasets_gives(small_config):
    opened = open_data(small_config)
    counts = opened.describe()
    assert sum(counts["train"].values()) + sum(counts["val"].values()) == len(opened.tree.examples)
    assert (opened.dataset("test") is None) == (not opened.split.test)
    for one, other in zip(opened.dataset("val"), build_datasets(small_config).val, strict=True):
        np.testing.assert_array_equal(one[0]["clip"], other[0]["clip"])
        np.testing.assert_array_equal(one[1], other[1])


def test_a_run_keeps_the_networks_that_its_head_stands_on(transfer_config, videos, tmp_path):
    """So that it predicts where neither the weights file nor the training videos are."""
    run_dir = tmp_path / "run"
    start_run(transfer_config, run_dir)
    kept = {name: run_dir / name for name in ("backbone.keras", "pca.keras")}
    assert all(path.is_file() for path in kept.values())
    marks = {name: path.stat().st_mtime_ns for name, path in kept.items()}
    start_run(transfer_config, run_dir)  # going on, it leaves them alone
    assert {name: path.stat().st_mtime_ns for name, path in kept.items()} == marks
    keras.utils.set_random_seed(5)
    model = build_model(transfer_config)
    logits = model.get_layer("pooled_class_logits")
    logits.kernel.assign(np.random.default_rng(0).normal(0, 0.3, logits.kernel.shape))
    model.save(run_dir / "best.keras")
    clip = clip_reader.read_clip(next(videos.glob("grow/*.mp4")), transfer_config)
    elsewhere = dataclasses.replace(transfer_config, backbone_weights=str(tmp_path / "gone.h5"))
    found = load_scorer(run_dir, elsewhere)(clip)
    # By hand: both orientations through the kept networks, and the mean of what the head says of each.
    backbone_, pca = (keras.saving.load_model(path) for path in kept.values())
    both = []
    for pixels in (clip.pixels, clip.pixels[:, :, :, ::-1]):
        views = [backbone_.predict(view.astype("f"), verbose=0) for view in pixels]
        inputs = {"features": np.concatenate(views, axis=-1)[None], "mask": np.ones((1, 4), "f")}
        inputs["features"] = pca.predict(inputs, verbose=0)
        both.append(model.predict(inputs, verbose=0)["class"][0])
    np.testing.assert_allclose(found, np.mean(both, axis=0), atol=1e-4)
    assert np.abs(both[0] - both[1]).max() > 1e-4
    exported = export(run_dir).serve(views=tf.constant(clip.pixels[None]))["class"]
    np.testing.assert_allclose(exported[0], np.mean(both, axis=0), atol=1e-4)


def test_targets_are_blended_in_training_where_asked_and_never_in_validation(transfer_config, videos):
    tree = scan(videos)
    sharp = {0.0: True, 0.4: False}
    for strength, expected in sharp.items():
        config = dataclasses.replace(transfer_config, mixup=strength)
        for training in (True, False):
            dataset = build_dataset(config, tree.examples, tree.labels, training=training)
            targets = [target["class"] if isinstance(target, dict) else target for _, target in dataset]
            targets = np.concatenate(targets)
            np.testing.assert_allclose(targets.sum(1), 1, atol=1e-5)
            assert (targets.max(1) == 1).all() == (expected or not training)
            assert len(targets) == len(tree.examples) * (config.passes_per_epoch if training else 1)
