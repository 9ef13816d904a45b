"""The four real whole-model files, one of each age, against their published accuracy or tf_keras."""

import numpy as np
import pytest

from tfav.weights.keras_h5.loader import convert, load_legacy_model

MPKUSE_FIRST_1000 = 0.995  # what tf_keras gives


@pytest.fixture(scope="module")
def digits(shared_data):
    with np.load(shared_data("mnist/mnist.npz")) as archive:
        return archive["x_test"][..., None].astype("float32"), archive["y_test"]


@pytest.mark.parametrize(
    ("name", "scale", "count", "accuracy"),
    [
        ("ikukang_mnist_cnn.h5", 1 / 255, 10_000, 0.9908),
        ("mpkuse_mnist_cnn.h5", 1.0, 1_000, MPKUSE_FIRST_1000),
        pytest.param("mpkuse_mnist_cnn.h5", 1.0, 10_000, 0.9936, marks=pytest.mark.slow),
    ],
)
def test_digit_models_are_as_accurate_as_when_saved(shared_data, digits, name, scale, count, accuracy):
    images, labels = (part[:count] for part in digits)
    model, report = load_legacy_model(shared_data(f"legacy_h5/{name}"), with_report=True)
    predicted = model.predict(images * scale, batch_size=500, verbose=0).argmax(-1)
    assert (predicted == labels).mean() == pytest.approx(accuracy, abs=1e-9)
    assert any("optimizer state" in item for item in report.ignored)


@pytest.mark.parametrize("name", ["fer2013_mini_XCEPTION.102-0.66.hdf5", "teachable_machine_mobilenet_v2.h5"])
def test_image_models_equal_tf_keras(shared_data, tf_keras, name, tmp_path):
    path = shared_data(f"legacy_h5/{name}")
    reference = tf_keras.models.load_model(path, compile=False)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *reference.input_shape[1:])).astype("float32")
    model = load_legacy_model(path)
    np.testing.assert_allclose(model(images, training=False), reference(images, training=False), atol=1e-5)
    report = convert(path, tmp_path / "copy.keras")
    assert any("same outputs" in note for note in report.notes)
