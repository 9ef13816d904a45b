"""HubExtractor on made modules: the TF2 form that is called, and the TF1 form that has signatures only."""

import importlib.metadata
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfav.weights import WeightsError
from tfav.weights.tf_hub import HubExtractor, resolve

SIZE, FEATURES = 8, 5
KERNEL = np.linspace(-0.5, 0.5, 15, dtype="float32").reshape(3, FEATURES)


class _Module(tf.Module):
    """A reusable SavedModel: mean over the image, scaled, then Dense; `training` adds one."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(KERNEL, name="head/kernel")
        self.offset = tf.Variable(0.5, trainable=False, name="offset")

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32),
            tf.TensorSpec([], tf.bool, name="training"),
        ]
    )
    def both(self, images, training):
        return tf.reduce_mean(images, [1, 2]) @ self.kernel + self.offset + tf.cast(training, tf.float32)

    @tf.function
    def __call__(self, images, training=False):
        return self.both(images, training)


def _expected(images, offset=0.5):

    return images.mean((1, 2)) @ KERNEL + offset


@pytest.fixture(scope="module")
def tf2_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tf2_module")
    module = _Module()
    spec = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32)
    for training in (False, True):
        module.__call__.get_concrete_function(spec, training=training)
    holder = tf.train.Checkpoint()  # the attributes TF-Hub's format asks for
    holder.__call__ = module.__call__
    holder.variables = [module.kernel, module.offset]
    holder.trainable_variables = [module.kernel]
    tf.saved_model.save(holder, str(folder))
    return folder


@pytest.fixture(scope="module")
def tf1_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tf1") / "module"
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, [None, SIZE, SIZE, 3])
        kernel = v1.get_variable("kernel", initializer=KERNEL)
        vectors = tf.reduce_mean(images, [1, 2]) @ kernel + 0.5
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.signature_def_utils.predict_signature_def(
            {"images": images}, {"default": vectors, "map": images}
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, tags=[], signature_def_map={"default": signature})
        builder.save()
    (folder / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return folder


@pytest.fixture
def images():
    return np.random.default_rng(0).random((2, SIZE, SIZE, 3), dtype="float32")


def test_tf2_module_gives_its_vectors_frozen_and_training(tf2_module, images):
    layer = HubExtractor(tf2_module)
    np.testing.assert_allclose(layer(images), _expected(images), atol=1e-5)
    np.testing.assert_allclose(layer(images, training=True), _expected(images), atol=1e-5)  # frozen: inference
    assert layer.compute_output_shape((None, SIZE, SIZE, 3)) == (None, FEATURES)
    assert layer.image_size == (SIZE, SIZE)
    assert layer.trainable_weights == [] and len(layer.weights) == 2
    layer.trainable = True
    np.testing.assert_allclose(layer(images, training=True), _expected(images, 1.5), atol=1e-5)


def test_tf1_module_gives_its_vectors_and_stays_frozen(tf1_module, images):
    layer = HubExtractor(tf1_module)
    np.testing.assert_allclose(layer(images), _expected(images), atol=1e-5)
    assert layer.compute_output_shape((None, SIZE, SIZE, 3)) == (None, FEATURES)
    with pytest.raises(WeightsError, match="cannot be trained"):
        HubExtractor(tf1_module, trainable=True)
    with pytest.raises(WeightsError, match="cannot be trained"):
        layer.trainable = True


@pytest.mark.parametrize("trainable", [False, True])
def test_under_an_lstm_it_trains_only_when_asked_and_survives_saving(tf2_module, tmp_path, trainable):
    inputs = keras.Input((3, SIZE, SIZE, 3))
    x = keras.layers.TimeDistributed(HubExtractor(tf2_module, trainable=trainable))(inputs)
    assert x.shape == (None, 3, FEATURES)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.LSTM(4)(x)))
    model.compile("sgd", "mse")
    clips = np.random.default_rng(0).random((4, 3, SIZE, SIZE, 3), dtype="float32")
    kernel = next(w for w in model.weights if "head_kernel" in w.path)
    before = kernel.numpy()
    model.fit(clips, np.ones((4, 2)), epochs=1, verbose=0)
    assert np.array_equal(before, kernel.numpy()) is not trainable

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(clips, verbose=0), model.predict(clips, verbose=0), atol=1e-6)
    assert len(again.trainable_weights) == len(model.trainable_weights)


def test_keras_export_is_read(tmp_path, images):
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(inputs)))
    model.export(str(tmp_path / "export"), verbose=False)
    np.testing.assert_allclose(HubExtractor(tmp_path / "export")(images), model(images), atol=1e-6)


def test_under_mixed_precision_the_module_keeps_its_own_dtype(tf2_module, images):
    layer = HubExtractor(tf2_module, dtype="mixed_bfloat16")
    output = layer(images.astype("float32"))
    assert output.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(output, tf.float32), _expected(images), rtol=1e-2)


def test_under_a_mirrored_strategy(tf2_module):
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        inputs = keras.Input((SIZE, SIZE, 3))
        model = keras.Model(inputs, keras.layers.Dense(1)(HubExtractor(tf2_module, trainable=True)(inputs)))
        model.compile("sgd", "mse")
    model.fit(np.zeros((4, SIZE, SIZE, 3), "float32"), np.zeros((4, 1)), verbose=0)


def test_wrong_places_are_told(tmp_path):
    (tmp_path / "module.tar.gz").write_bytes(b"x")
    for handle, words in [
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path, "no saved_model.pb"),
        (tmp_path / "module.tar.gz", "Unpack the archive"),
    ]:
        with pytest.raises(WeightsError, match=words):
            resolve(handle)


def test_no_network_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match=r"cannot be downloaded .*pass its folder"):
        HubExtractor("http://127.0.0.1:9/feature_vector/4")


def test_it_is_imported_without_setuptools():
    program = (
        "import sys; sys.modules['pkg_resources'] = None\n"  # as where it is not installed
        "from tfav.old_packages import import_tensorflow_hub\n"
        "print(import_tensorflow_hub().__version__, 'pkg_resources' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [importlib.metadata.version("tensorflow-hub"), "False"], done.stderr


def test_wrong_image_size_and_broken_module_are_told(tf2_module, tmp_path):
    with pytest.raises(WeightsError, match=r"saved for \(8, 8\)"):
        HubExtractor(tf2_module)(np.zeros((1, 9, 9, 3), "float32"))
    with pytest.raises(WeightsError, match="batch, height, width, 3"):
        HubExtractor(tf2_module)(np.zeros((1, 9, 9, 1), "float32"))
    (tmp_path / "saved_model.pb").write_bytes(b"not a module")
    with pytest.raises(WeightsError, match="cannot be read"):
        HubExtractor(tmp_path)
