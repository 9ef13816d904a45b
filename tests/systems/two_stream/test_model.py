"""The networks: exact counts, released layer names, weights carried from RGB to flow."""

import keras
import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.systems.two_stream import Config, build_backbone, build_fusion, build_model
from tfav.systems.two_stream.model import build_normalization, cross_modality

BACKBONES = ("xception", "resnet50", "vgg19", "mobilenet_v2", "small")


@pytest.mark.parametrize(("stream", "count"), [("spatial", 21_068_429), ("motion", 21_073_325)])
def test_notebook_streams_have_the_released_size_and_names(stream, count):
    model = build_model(Config.preset("notebook", stream=stream))
    assert model.count_params() == count
    names = [layer.name for layer in model.layers]
    assert names == [f"input_{stream}", "data_norm", "xception", "avg_pool", "predictions"]
    assert model.input_shape == (None, 299, 299, 3 if stream == "spatial" else 20)
    assert model.output_shape == (None, 101)


def test_batch_normalization_adds_the_released_statistics():
    config = Config(stream="motion", backbone="small", image_size=32, num_classes=3)
    fixed = build_model(config)
    batch = build_model(Config(stream="motion", backbone="small", image_size=32, num_classes=3, normalization="batch"))
    assert batch.count_params() - fixed.count_params() == 2 * 20  # as in the released motion file


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_probabilities(backbone):
    size = 71 if backbone == "xception" else 32
    config = Config(backbone=backbone, stream="motion", image_size=size, num_classes=4, stack_length=2)
    model = build_model(config)
    pictures = np.random.default_rng(0).random((2, size, size, 4), dtype="float32")
    np.testing.assert_allclose(model(pictures, training=False).numpy().sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("stream", ["spatial", "motion"])
def test_streams_survive_saving(stream, tmp_path):
    model = build_model(Config(stream=stream, backbone="small", image_size=32, num_classes=4))
    pictures = np.random.default_rng(0).random((2, *model.input_shape[1:]), dtype="float32")
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(pictures, training=False), model(pictures, training=False))


def test_normalization_gives_the_levels_of_imagenet_weights():
    pixels = np.full((1, 4, 4, 3), [0, 128, 255], np.float32) / 255
    for backbone, expected in (("xception", pixels * 2 - 1), ("resnet50", pixels * 255 - [123.68, 116.779, 103.939])):
        layer = build_normalization(Config(backbone=backbone))
        layer.build(pixels.shape)
        assert layer.count_params() == 0
        np.testing.assert_allclose(layer(pixels), expected, atol=1e-3)
    still = np.full((1, 4, 4, 20), 0.5, np.float32)
    np.testing.assert_allclose(build_normalization(Config(stream="motion", backbone="vgg19"))(still), 0, atol=1e-4)


def test_cross_modality_is_the_mean_repeated():
    kernel = np.random.default_rng(0).random((3, 3, 3, 8), dtype="float32")
    made = cross_modality(kernel, 20)
    assert made.shape == (3, 3, 20, 8)
    for channel in range(20):
        np.testing.assert_allclose(made[:, :, channel], kernel.mean(axis=2), rtol=1e-6)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "vgg19"])
def test_motion_backbone_takes_rgb_weights(backbone, tmp_path):
    fields = {"backbone": backbone, "image_size": 32, "backbone_alpha": 0.35, "stack_length": 4}
    build = {"mobilenet_v2": keras.applications.MobileNetV2, "vgg19": keras.applications.VGG19}[backbone]
    options = {"alpha": 0.35} if backbone == "mobilenet_v2" else {}
    original = build(input_shape=(32, 32, 3), include_top=False, weights=None, **options)
    path = tmp_path / "rgb.weights.h5"
    original.save_weights(path)
    rgb = build_backbone(Config(backbone_weights=str(path), **fields))
    motion = build_backbone(Config(stream="motion", backbone_weights=str(path), **fields))
    theirs, ours, carried = (model.get_weights() for model in (original, rgb, motion))
    turn = slice(None, None, -1) if backbone == "vgg19" else slice(None)  # its weights see BGR
    np.testing.assert_array_equal(ours[0], theirs[0][:, :, turn])
    np.testing.assert_allclose(carried[0], cross_modality(theirs[0], 8), atol=1e-7)
    for one, other, third in zip(theirs[1:], ours[1:], carried[1:], strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


def test_real_mobilenet_weights_go_in(shared_data):
    path = str(shared_data("weights/mobilenet_v2_0.35_224_no_top.h5"))
    config = Config(backbone="mobilenet_v2", backbone_alpha=0.35, image_size=64, backbone_weights=path)
    reference = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=path)
    pictures = np.random.default_rng(0).random((1, 64, 64, 3), dtype="float32")
    ours = build_backbone(config)(build_normalization(config)(pictures))
    np.testing.assert_allclose(ours, reference(pictures * 2 - 1), atol=1e-5)


def test_weights_that_do_not_fit(tmp_path):
    fields = {"backbone": "mobilenet_v2", "image_size": 32, "num_classes": 3}
    with pytest.raises(UsageError, match=r"none.h5: no such weights file"):
        build_model(Config(backbone_weights=str(tmp_path / "none.h5"), **fields))
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save_weights(path)
    with pytest.raises(UsageError, match="does not fit mobilenet_v2"):
        build_model(Config(backbone_weights=str(path), **fields))
    with pytest.raises(UsageError, match="no ImageNet weights of the backbone small"):
        build_model(Config(backbone="small", image_size=32, num_classes=3, backbone_weights="imagenet"))


def test_momentum_of_the_backbones_normalisations(tmp_path):
    build_model(Config(backbone="small", image_size=32, num_classes=3, batch_norm_momentum=0.8)).save(
        tmp_path / "m.keras"
    )
    backbone = keras.saving.load_model(tmp_path / "m.keras").get_layer("small")
    assert {layer.momentum for layer in backbone.layers if layer.name.startswith("norm")} == {0.8}


def test_a_frozen_backbone_leaves_the_classifier():
    model = build_model(Config(backbone="small", image_size=32, num_classes=3, backbone_trainable=False))
    assert [weight.path for weight in model.trainable_weights] == ["predictions/kernel", "predictions/bias"]


def test_fusion_attends_over_steps():
    config = Config(stream="fusion", num_classes=5, samples_per_video=7)
    model = build_fusion(config, 32)
    assert model.input_shape == (None, 7, 32)
    found = model.predict(np.random.default_rng(0).random((3, 7, 32), dtype="float32"), verbose=0)
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    attention = keras.Model(model.input, model.get_layer("attention").output)
    weights = attention.predict(np.ones((1, 7, 32), np.float32), verbose=0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
