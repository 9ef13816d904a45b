"""The two-stream pair as it was released: a normalisation in front of a nested Xception, 101 classes."""

import time

import numpy as np
import pytest

from tfav.weights.keras_h5.loader import load_legacy_model

NORMALIZATIONS = {
    # Layer, and the values it keeps for each channel: DESIGN.md's counts leave room for none.
    "batch statistics": (lambda k: k.layers.BatchNormalization(center=False, scale=False, name="data_norm"), 2),
    "no weights": (lambda k: k.layers.LayerNormalization(center=False, scale=False, name="data_norm"), 0),
}


def build_stream(k, stream, channels, size, norm, classes=101):
    """Layer names and order as in the released files."""
    inputs = k.Input((size, size, channels), name=f"input_{stream}")
    x = norm(k)(inputs)
    backbone = k.applications.Xception(include_top=False, weights=None, input_shape=(size, size, channels))
    x = k.layers.GlobalAveragePooling2D(name="avg_pool")(backbone(x))
    return k.Model(inputs, k.layers.Dense(classes, activation="softmax", name="predictions")(x), name=stream)


# At the smallest size Xception takes in the default run, at the released one on request: the weights are the same.
@pytest.mark.parametrize("size", [71, pytest.param(299, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("stream", "channels", "parameters", "kind"),
    [("spatial", 3, 21_068_429, "batch statistics"), ("motion", 20, 21_073_325, "no weights")],
)
def test_stream_loads_soon_and_gives_the_same(tf_keras, write_h5, stream, channels, parameters, kind, size):
    norm, values = NORMALIZATIONS[kind]
    reference = build_stream(tf_keras, stream, channels, size, norm)
    path = write_h5(reference)
    assert reference.count_params() == parameters + values * channels
    start = time.perf_counter()
    model = load_legacy_model(path)
    assert time.perf_counter() - start < 20
    assert model.count_params() == reference.count_params()
    assert [layer.name for layer in model.layers] == [
        f"input_{stream}",
        "data_norm",
        "xception",
        "avg_pool",
        "predictions",
    ]
    images = np.random.default_rng(0).random((2, size, size, channels), dtype="float32")
    np.testing.assert_allclose(model(images, training=False), reference(images, training=False), atol=1e-5)
