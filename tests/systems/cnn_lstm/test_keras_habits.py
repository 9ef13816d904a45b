"""What people pass to Keras' own `fit`: weights of classes and of examples, with every head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.systems.cnn_lstm import Config, build_head, compile_args
from tfav.systems.cnn_lstm.layers import SharedTarget, weigh

COUNT = 12


def config(head):
    return Config.preset(
        "demo", head=head, num_classes=3, num_frames=6, lstm_units=4, dropout=0.0, schedule="constant", weight_decay=0.0
    )


def batches(head, weighted=None):
    """Random features, and a target of three classes; `weighted`: a weight for each example."""
    random = np.random.default_rng(0)
    inputs = {
        "features": random.normal(size=(COUNT, 6, 5)).astype("float32"),
        "mask": np.ones((COUNT, 6), "float32"),
    }
    one_hot = np.eye(3, dtype="float32")[np.arange(COUNT) % 3]
    target = one_hot if head == "last" else dict.fromkeys(config(head).outputs(), one_hot)
    parts = (inputs, target) if weighted is None else (inputs, target, np.float32(weighted))
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


def trained(head, data, **options):
    keras.utils.set_random_seed(1)
    model = build_head(config(head), 5)
    model.compile(**compile_args(config(head)))
    loss = model.fit(data, epochs=2, verbose=0, **options).history["loss"]
    return loss, model.get_weights()


def assert_same(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("head", ["last", "pooled"])
def test_class_weights_are_weights_of_the_examples_of_a_class(head):
    weights = np.where(np.arange(COUNT) % 3 == 1, 5.0, 1.0)
    got = trained(head, batches(head), class_weight={0: 1.0, 1: 5.0, 2: 1.0})
    assert_same(got, trained(head, batches(head, weights)))
    assert abs(got[0][0] - trained(head, batches(head))[0][0]) > 0.1, "they count"


def test_both_at_once_and_arrays():
    given = np.linspace(0.5, 2.0, COUNT)
    of_class = np.where(np.arange(COUNT) % 3 == 1, 5.0, 1.0)
    expected = trained("pooled", batches("pooled", given * of_class))
    assert_same(trained("pooled", batches("pooled", given), class_weight={1: 5.0}), expected)
    inputs, target = next(iter(batches("pooled").unbatch().batch(COUNT)))
    keras.utils.set_random_seed(1)
    model = build_head(config("pooled"), 5)
    model.compile(**compile_args(config("pooled")))
    arrays = [tf.nest.map_structure(lambda tensor: tensor.numpy(), part) for part in (inputs, target)]
    history = model.fit(
        *arrays, sample_weight=given, class_weight={1: 5.0}, epochs=2, verbose=0, shuffle=False, batch_size=4
    )
    assert_same((history.history["loss"], model.get_weights()), expected)


def test_a_mixed_target_has_a_mixed_weight():
    target = {"class": tf.constant([[0.25, 0.75, 0.0]])}
    np.testing.assert_allclose(weigh(target, {1: 5.0}), [0.25 + 0.75 * 5])


def test_it_is_saved_and_opened_as_itself(tmp_path):
    model = build_head(config("pooled"), 5)
    model.save(tmp_path / "best.keras")
    again = keras.models.load_model(tmp_path / "best.keras", compile=False)
    assert isinstance(again, SharedTarget)
    inputs = next(iter(batches("pooled")))[0]
    np.testing.assert_allclose(again.predict(inputs, verbose=0)["class"], model.predict(inputs, verbose=0)["class"])
