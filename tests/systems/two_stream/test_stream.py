"""Trained streams opened, and everything that may be given in place of one."""

import shutil
import zipfile

import keras
import numpy as np
import pytest

from tfav.errors import TfavError, UsageError
from tfav.systems.two_stream.stream import agree_on_labels, load_stream, read_labels, ucf101_labels, with_features
from tfav.weights import WeightsError


def build_legacy(k, stream, channels, size=32, classes=4):
    """A small network in the form of the released ones; the motion one keeps its classifier inside the backbone."""
    inputs = k.Input((size, size, channels), name=f"input_{stream}")
    x = k.layers.BatchNormalization(center=False, scale=False, name="data_norm")(inputs)
    inner = k.Input((size, size, channels))
    y = k.layers.SeparableConv2D(8, 3, strides=2, use_bias=False)(inner)
    y = k.layers.ReLU()(k.layers.BatchNormalization()(y))
    pool, classify = (
        k.layers.GlobalAveragePooling2D(name="avg_pool"),
        k.layers.Dense(classes, activation="softmax", name="predictions"),
    )
    if stream == "motion":
        return k.Model(inputs, k.Model(inner, classify(pool(y)), name="xception")(x))
    return k.Model(inputs, classify(pool(k.Model(inner, y, name="xception")(x))))


@pytest.fixture(scope="module")
def legacy_files(tmp_path_factory):
    """`.h5` files of both streams, written by tf_keras, and the models they hold."""
    tf_keras = pytest.importorskip("tf_keras")
    folder, made = tmp_path_factory.mktemp("legacy"), {}
    for stream, channels in (("spatial", 3), ("motion", 20)):
        model = build_legacy(tf_keras, stream, channels)
        path = folder / f"{stream}.h5"
        model.save(path, save_format="h5")
        made[stream] = path, model
    return made


def test_legacy_files_give_what_they_gave(legacy_files):
    for kind, (path, reference) in legacy_files.items():
        stream = load_stream(path, kind)
        assert (stream.kind, stream.image_size, stream.num_classes, stream.labels) == (kind, 32, 4, None)
        pixels = np.random.default_rng(0).integers(0, 256, (2, *stream.model.input_shape[1:]), dtype=np.uint8)
        expected = reference(pixels.astype(np.float32) / 255, training=False).numpy()
        np.testing.assert_allclose(stream.build_scorer()(pixels), expected, atol=1e-5)
        found, probabilities = with_features(stream.model)(pixels.astype(np.float32) / 255)
        assert found.shape == (2, 8)
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert load_stream(legacy_files["motion"][0], "motion").stack_length == 10


def test_runs_carry_their_labels(run_dirs):
    spatial, motion = (load_stream(run_dirs[kind], kind) for kind in ("spatial", "motion"))
    assert motion.stack_length == 3
    assert agree_on_labels(spatial, motion) == spatial.labels
    with pytest.raises(UsageError, match=r"a run of the spatial stream, given as the motion one\. Swap"):
        load_stream(run_dirs["spatial"], "motion")


def test_the_other_streams_weights(model_files):
    with pytest.raises(UsageError, match=r"takes 20 channels, so it is a motion network.*Swap --spatial and --motion"):
        load_stream(model_files["motion"], "spatial")
    with pytest.raises(UsageError, match=r"takes 3 channels, so it is a spatial network.*Swap --spatial and --motion"):
        load_stream(model_files["spatial"], "motion")


def test_a_stack_of_another_length(model_files):
    with pytest.raises(UsageError, match=r"takes 20 channels, and a stack of L=5 .* has 10.*stack_length=10"):
        load_stream(model_files["motion"], "motion", stack_length=5)
    assert load_stream(model_files["motion"], "motion", stack_length=10).stack_length == 10


def test_networks_that_are_no_stream(tmp_path):
    two = keras.Sequential([keras.Input((8, 9, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    flat = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    maps = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 1)])
    for name, model in (("two", two), ("flat", flat), ("maps", maps)):
        model.save(tmp_path / f"{name}.keras")
        with pytest.raises(UsageError, match="no stream"):
            load_stream(tmp_path / f"{name}.keras", "spatial")


def test_class_lists(model_files, tmp_path):
    spatial, motion = (load_stream(model_files[kind], kind) for kind in ("spatial", "motion"))
    assert agree_on_labels(spatial, motion) == ["0", "1", "2", "3", "4"]
    with pytest.raises(UsageError, match="names 3 classes, the networks tell 5 apart"):
        agree_on_labels(spatial, motion, ["a", "b", "c"])
    (tmp_path / "plain.txt").write_text("hop\nskip it\n\n")
    assert read_labels(tmp_path / "plain.txt") == ["hop", "skip it"]
    (tmp_path / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n2 ApplyLipstick\r\n")
    assert read_labels(tmp_path / "classInd.txt") == ["ApplyEyeMakeup", "ApplyLipstick"]
    (tmp_path / "empty.txt").touch()
    for name in ("empty.txt", "none.txt"):
        with pytest.raises(UsageError, match=name):
            read_labels(tmp_path / name)
    labels = ucf101_labels()
    assert (len(labels), labels[0], labels[36], labels[-1]) == (101, "ApplyEyeMakeup", "HandstandPushups", "YoYo")


def test_streams_of_different_classes(model_files, run_dirs, tmp_path):
    five, six = load_stream(model_files["spatial"], "spatial"), load_stream(run_dirs["motion"], "motion")
    with pytest.raises(UsageError, match=r"5 classes apart, .* 6"):
        agree_on_labels(five, six)
    other = load_stream(run_dirs["spatial"], "spatial")._replace(labels=list("abcdef"))
    with pytest.raises(UsageError, match=r"do not go together.*knows a, b, c, d"):
        agree_on_labels(other, six)


def test_files_that_are_no_weights(legacy_files, tmp_path):
    whole = legacy_files["spatial"][0].read_bytes()
    with zipfile.ZipFile(tmp_path / "zip.h5", "w") as archive:
        archive.writestr("spatial.h5", "x")
    (tmp_path / "page.h5").write_text("<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>")
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.h5").touch()
    for name, words in (
        ("zip.h5", "zip"),
        ("page.h5", "HTML|web page"),
        ("cut.h5", "truncated|damaged"),
        ("empty.h5", ""),
    ):
        with pytest.raises(WeightsError, match=rf"(?s){name}.*({words})") as caught:
            load_stream(tmp_path / name, "spatial")
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"none.h5: no such file.*tfav fetch two-stream-weights"):
        load_stream(tmp_path / "none.h5", "spatial")
    (tmp_path / "bad.keras").write_bytes(b"no model")
    with pytest.raises(TfavError, match="no readable model"):
        load_stream(tmp_path / "bad.keras", "spatial")


def test_runs_without_a_model(run_dirs, tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        load_stream(tmp_path, "spatial")
    copy = tmp_path / "copy"
    shutil.copytree(run_dirs["spatial"], copy)
    (copy / "best.keras").unlink()
    with pytest.raises(TfavError, match="no readable model"):
        load_stream(copy, "spatial")


@pytest.mark.slow
def test_the_full_size_pair_opens_in_time(tmp_path):
    import time

    tf_keras = pytest.importorskip("tf_keras")
    for kind, channels in (("spatial", 3), ("motion", 20)):
        inputs = tf_keras.Input((299, 299, channels), name=f"input_{kind}")
        x = tf_keras.layers.BatchNormalization(center=False, scale=False, name="data_norm")(inputs)
        options = {"weights": None, "input_shape": (299, 299, channels)}
        if kind == "motion":
            x = tf_keras.applications.Xception(classes=101, **options)(x)
        else:
            x = tf_keras.applications.Xception(include_top=False, **options)(x)
            x = tf_keras.layers.Dense(101, activation="softmax")(tf_keras.layers.GlobalAveragePooling2D()(x))
        reference = tf_keras.Model(inputs, x)
        reference.save(tmp_path / f"{kind}.h5", save_format="h5")
        started = time.perf_counter()
        stream = load_stream(tmp_path / f"{kind}.h5", kind)
        assert time.perf_counter() - started < 20
        pictures = np.random.default_rng(0).random((1, 299, 299, channels), dtype="float32")
        np.testing.assert_allclose(stream.model(pictures), reference(pictures, training=False), atol=1e-5)
