"""The models: the notebook's counts, masks, saving, the backbones."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.errors import TfavError, UsageError
from tfav.systems.cnn_lstm import Config, build_backbone, build_head, build_model
from tfav.systems.cnn_lstm.model import feature_size

TINY = {"num_classes": 3, "num_frames": 4, "image_size": 32}
TINY_CNN = {**TINY, "cnn_filters": (4, 8), "cnn_depths": (1, 1), "lstm_units": 8}


@pytest.mark.parametrize(("preset", "count"), [("notebook", 13_612_195), ("notebook_transfer", 53_193_763)])
def test_notebook_presets_have_the_notebook_counts(preset, count):
    model = build_model(Config.preset(preset))
    assert model.count_params() == count
    assert model.input["clip"].shape == (None, 10, 224, 224, 3)
    assert build_backbone(Config.preset(preset)).count_params() == 696_864


def inputs(config, real=None, seed=0):
    rng = np.random.default_rng(seed)
    clip = rng.integers(0, 256, (2, config.num_frames, config.image_size, config.image_size, 3), np.uint8)
    mask = np.ones((2, config.num_frames), np.float32)
    if real is not None:
        mask[:, real:] = 0
    return {"clip": clip, "mask": mask}


@pytest.mark.parametrize("fields", [{}, {"subtract_mean": True}, {"recurrent_dropout": 0.5}])
def test_padded_frames_do_not_count(fields):
    config = Config.preset("notebook", **{**TINY_CNN, **fields})
    model = build_model(config)
    one = inputs(config, real=2)
    other = {**one, "clip": one["clip"].copy()}
    other["clip"][:, 2:] = 255
    np.testing.assert_allclose(model.predict(one, verbose=0), model.predict(other, verbose=0), atol=1e-6)
    whole = model.predict({**other, "mask": np.ones_like(one["mask"])}, verbose=0)
    assert np.abs(whole - model.predict(one, verbose=0)).max() > 1e-5


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_model_trains_saves_and_loads(tmp_path, precision):
    config = Config.preset("demo", **{**TINY_CNN, "precision": precision})
    model = build_model(config)
    model.compile("adam", "categorical_crossentropy")
    batch = inputs(config)
    data = tf.data.Dataset.from_tensors((batch, np.eye(3, dtype="f")[:2]))
    model.fit(data, epochs=1, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    expected = model.predict(batch, verbose=0)
    assert expected.dtype == np.float32
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-3)
    np.testing.assert_allclose(again.predict(batch, verbose=0), expected, atol=1e-5)


def test_pooled_head_ignores_padding_and_saves(tmp_path):
    config = Config.preset("transfer", num_classes=3, num_frames=7, lstm_units=4)
    head = build_head(config, 24)
    rng = np.random.default_rng(0)
    batch = {"features": rng.normal(size=(2, 7, 24)).astype("f"), "mask": np.array([[1] * 4 + [0] * 3] * 2, "f")}
    # The linear part starts at zero; give it weights, or it would pass any test.
    logits = head.get_layer("pooled_class_logits")
    logits.kernel.assign(rng.normal(size=logits.kernel.shape))
    expected = head.predict(batch, verbose=0)["class"]
    np.testing.assert_allclose(expected.sum(1), 1, atol=1e-5)
    other = {**batch, "features": batch["features"].copy()}
    other["features"][:, 4:] = 9
    np.testing.assert_allclose(head.predict(other, verbose=0)["class"], expected, atol=1e-5)
    head.save(tmp_path / "head.keras")
    again = keras.saving.load_model(tmp_path / "head.keras")
    np.testing.assert_allclose(again.predict(batch, verbose=0)["class"], expected, atol=1e-5)


@pytest.fixture(scope="module")
def mobilenet_weights(tmp_path_factory):
    """Random weights of the smallest MobileNetV2, as a file."""
    path = tmp_path_factory.mktemp("weights") / "mobilenet.weights.h5"
    network = keras.applications.MobileNetV2(input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None)
    # Fresh kernels let the signal fade over fifty layers, until any two pictures have the same features.
    network.set_weights([3 * weight if weight.ndim > 1 else weight for weight in network.get_weights()])
    network.save_weights(path)
    return str(path)


def transfer(weights, **fields):
    return Config.preset(
        "transfer", **{**TINY, "image_size": 96, "backbone_weights": weights, "backbone_alpha": 0.35, **fields}
    )


def test_mobilenet_sees_pixels_from_minus_one_to_one(mobilenet_weights):
    backbone = build_backbone(transfer(mobilenet_weights))
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype("f")
    backbone = backbone.get_layer("mobilenet_v2")
    last_map = backbone.predict(keras.applications.mobilenet_v2.preprocess_input(frames.copy()), verbose=0)
    bands = build_backbone(transfer(mobilenet_weights)).predict(frames, verbose=0)
    whole = bands.reshape(2, 3, -1).mean(1)
    np.testing.assert_allclose(whole, last_map.mean((1, 2)), rtol=1e-3, atol=1e-4)
    for wrong in (frames / 255, frames, frames[..., ::-1] / 127.5 - 1):
        other = backbone.predict(wrong, verbose=0).mean((1, 2))
        assert np.abs(other - whole).max() > 0.1 * whole.std()


def test_bands_are_the_thirds_of_the_last_map(mobilenet_weights):
    config = transfer(mobilenet_weights)
    backbone = build_backbone(config)
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype("f")
    last_map = backbone.get_layer("mobilenet_v2").predict(frames / 127.5 - 1, verbose=0)
    assert last_map.shape[1:3] == (3, 3)
    expected = np.concatenate([last_map[:, row].mean(1) for row in range(3)], axis=-1)
    np.testing.assert_allclose(backbone.predict(frames, verbose=0), expected, atol=1e-5)
    assert feature_size(config) == 2 * 3 * 1280


def test_real_mobilenet_weights_load(shared_data):
    weights = str(shared_data("weights/mobilenet_v2_0.35_224_no_top.h5"))
    backbone = build_backbone(Config.preset("transfer", backbone_weights=weights, backbone_alpha=0.35))
    assert backbone.count_params() == 410_208


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone_alpha": 1.0}, r"mobilenet\.weights\.h5: does not fit MobileNetV2 with alpha 1\.0"),
        ({"backbone_weights": "gone.h5"}, "gone.h5: no such weights file"),
        ({"backbone_alpha": 0.33, "backbone_weights": "imagenet"}, "MobileNetV2 cannot be built"),
    ],
)
def test_weights_that_do_not_fit(mobilenet_weights, fields, message):
    fields = {"backbone_weights": mobilenet_weights, "backbone_alpha": 0.35, **fields}
    with pytest.raises(UsageError, match=message):
        build_backbone(Config.preset("transfer", **TINY, **fields))


def test_a_map_of_two_rows_has_one_mean(mobilenet_weights):
    backbone = build_backbone(transfer(mobilenet_weights, image_size=64))
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("f")
    last_map = backbone.get_layer("mobilenet_v2").predict(frames / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(backbone.predict(frames, verbose=0), last_map.mean((1, 2)), atol=1e-5)


def test_weights_file_that_is_none(tmp_path):
    bad = tmp_path / "page.h5"
    bad.write_text("<html>quota exceeded</html>")
    with pytest.raises(UsageError, match=r"page\.h5: does not fit"):
        build_backbone(transfer(str(bad)))


def test_hub_module_as_backbone(tmp_path):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weight = tf.Variable(tf.ones([3, 5]))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def __call__(self, images):
            return tf.reduce_mean(images, [1, 2]) @ self.weight

    tf.saved_model.save(Module(), str(tmp_path / "hub"))
    config = Config.preset(
        "notebook", **{**TINY, "backbone": str(tmp_path / "hub"), "backbone_mode": "frozen", "lstm_units": 4}
    )
    model = build_model(config)
    batch = inputs(config)
    assert model.predict(batch, verbose=0).shape == (2, 3)
    features = build_backbone(config).predict(batch["clip"][0].astype("f"), verbose=0)
    expected = np.repeat(batch["clip"][0].mean((1, 2)).sum(-1)[:, None] / 255, 5, 1)
    np.testing.assert_allclose(features, expected, rtol=1e-4)


def test_missing_hub_module_is_one_line():
    with pytest.raises(TfavError, match="no/such/module"):
        build_backbone(Config.preset("notebook", **{**TINY, "backbone": "no/such/module"}))


def test_both_heads_of_several_labels_give_each_class_for_itself(tmp_path):
    config = Config.preset("transfer", num_classes=3, num_frames=7, lstm_units=4, multi_label=True)
    head = build_head(config, 24)
    rng = np.random.default_rng(0)
    head.get_layer("pooled_class_logits").kernel.assign(rng.normal(size=(6 * 24, 3)))
    found = head.predict({"features": rng.normal(size=(5, 7, 24)).astype("f"), "mask": np.ones((5, 7), "f")}, verbose=0)
    one, other = found["lstm_class"], found["pooled_class"]
    np.testing.assert_allclose(found["class"], one * other / (one * other + (1 - one) * (1 - other)), atol=1e-5)
    assert found["class"].sum(1).std() > 0.01
    head.save(tmp_path / "head.keras")
    assert keras.saving.load_model(tmp_path / "head.keras").count_params() == head.count_params()
    plain = build_model(Config.preset("demo", **TINY_CNN, multi_label=True))
    found = plain.predict(inputs(Config.preset("demo", **TINY_CNN)), verbose=0)
    assert np.abs(found.sum(1) - 1).max() > 0.01
