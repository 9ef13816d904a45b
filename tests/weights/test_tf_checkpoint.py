"""TensorFlow checkpoints into Keras 3 models: object-based by layer, name-based by map or position."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.weights.keras_h5.test_families import outputs_of
from tfav.weights import WeightsError
from tfav.weights.tf_checkpoint import load_checkpoint


def build(k):
    inputs = k.Input((4, 6, 6, 2))
    x = k.layers.Conv3D(3, 3, padding="same", name="conv")(inputs)
    x = k.layers.BatchNormalization(name="bn")(x)
    x = k.layers.TimeDistributed(k.layers.Flatten(), name="flat")(x)
    x = k.layers.Bidirectional(k.layers.LSTM(4, return_sequences=True), name="bi")(x)
    return k.Model(inputs, k.layers.Dense(3, name="top")(x))


@pytest.fixture(scope="module")
def reference(tf_keras):
    model = build(tf_keras)
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(np.abs(random.normal(0, 0.3, variable.shape)) + 0.05)
    return model


def test_weights_saved_by_tf_keras(reference, tmp_path):
    prefix = tmp_path / "cp.ckpt"
    reference.save_weights(prefix, save_format="tf")
    x = [np.random.default_rng(1).random((2, 4, 6, 6, 2), dtype="float32")]
    for path in (prefix, f"{prefix}.index", tmp_path):
        model, report = load_checkpoint(build(keras), path, with_report=True)
        np.testing.assert_allclose(outputs_of(model, x), outputs_of(reference, x), atol=1e-5)
        assert len(report.translated) == len(model.weights)


def test_a_compiled_model_s_checkpoint_leaves_its_optimizer_behind(tf_keras, tmp_path):
    source = tf_keras.Sequential([tf_keras.layers.Input((3,)), tf_keras.layers.Dense(2)])
    source.compile("adam", "mse")
    source.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    tf.train.Checkpoint(model=source, optimizer=source.optimizer).write(str(tmp_path / "full"))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    _, report = load_checkpoint(model, tmp_path / "full", with_report=True)
    np.testing.assert_array_equal(model.layers[0].kernel, source.layers[0].kernel)
    assert any("optimizer" in item for item in report.ignored)


@pytest.fixture
def graph_checkpoint(tmp_path):
    kernel = np.arange(6, dtype="float32").reshape(3, 2)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("net/fc/weights", initializer=kernel)
        tf.compat.v1.get_variable("net/fc/biases", initializer=np.ones(2, "float32"))
        tf.compat.v1.get_variable("net/fc/weights/Momentum", initializer=kernel)
        tf.compat.v1.get_variable("global_step", initializer=np.int64(7))
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt")), kernel


def test_graph_checkpoint_by_map_and_by_position(graph_checkpoint):
    path, kernel = graph_checkpoint
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="fc")], name="m")
    names = {"net/fc/weights": "fc/kernel", "net/fc/biases": "fc/bias"}
    paths = {v.path.split("/", 1)[-1] if v.path.startswith("m/") else v.path: v.path for v in model.weights}
    names = {stored: paths[target] for stored, target in names.items()}
    load_checkpoint(model, path, name_map=names)
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)
    model.layers[0].kernel.assign(0 * kernel)
    load_checkpoint(model, path, name_map=lambda name: names.get(name))
    np.testing.assert_array_equal(model.layers[0].kernel, kernel)

    with pytest.raises(WeightsError, match=r"net/fc/biases is stored as \[2\].*has \[3, 2\]"):
        load_checkpoint(model, path)  # by position: biases sort before weights
    with pytest.raises(WeightsError, match="name_map does not fit"):
        load_checkpoint(model, path, name_map={"net/gone": paths["fc/kernel"]})
    with pytest.raises(WeightsError, match="nothing is stored for"):
        load_checkpoint(model, path, name_map={"net/fc/weights": paths["fc/kernel"]})


def test_missing_and_broken_checkpoints_are_told(graph_checkpoint, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(WeightsError, match="index is missing"):
        load_checkpoint(model, tmp_path / "nowhere.ckpt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds 0 checkpoints"):
        load_checkpoint(model, tmp_path / "empty")
    path, _ = graph_checkpoint
    next(tmp_path.glob("*.index")).write_bytes(b"broken")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(model, path)


def write_dense(prefix, kernel, bias):
    """Writes a checkpoint of one layer, as tf.keras names its variables."""
    names = [f"layer_with_weights-0/{role}/.ATTRIBUTES/VARIABLE_VALUE" for role in ("kernel", "bias")]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=["", ""], tensors=[kernel, bias])


def test_damaged_data_changes_nothing(tmp_path):
    write_dense(tmp_path / "m", tf.ones((3, 2)), tf.ones(2))
    data = next(tmp_path.glob("*.data*"))
    sound = data.read_bytes()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    before = [variable.numpy() for variable in model.weights]
    for at in range(0, len(sound), 4):  # whichever tensor it is, the other one may be read before
        data.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(WeightsError, match="cannot be read"):
            load_checkpoint(model, tmp_path / "m")
    data.write_bytes(sound[:-1])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(model, tmp_path / "m")
    data.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        load_checkpoint(model, tmp_path / "m")
    for old, variable in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_text_in_place_of_numbers_is_told(tmp_path):
    write_dense(tmp_path / "m", tf.ones((3, 2)), tf.constant(["a", "b"]))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(WeightsError, match=r"bias.*holds no numbers but string"):
        load_checkpoint(model, tmp_path)


def test_a_different_model_is_told(reference, tmp_path):
    reference.save_weights(tmp_path / "cp", save_format="tf")
    with pytest.raises(WeightsError, match="stores 5 layers with weights, the model has 1"):
        load_checkpoint(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), tmp_path / "cp")
