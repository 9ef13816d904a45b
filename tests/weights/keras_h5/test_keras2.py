"""Turns of phrase of Keras 2 files that tf_keras no longer writes, made by hand; and files of weights only."""

import h5py
import keras
import numpy as np
import pytest

from tests.weights.keras_h5.test_families import outputs_of
from tests.weights.keras_h5.test_keras1 import correlate, hard_sigmoid, layer, rand, write_keras1
from tfav.weights import WeightsError
from tfav.weights.keras_h5.loader import convert, load_legacy_model, load_legacy_weights

ZEROS = {"class_name": "Zeros", "config": {"dtype": "float32"}}


def write_keras2(path, class_name, config, layers, version="2.2.4-tf", backend="tensorflow"):
    """As Keras 1 files, but with a backend, and scopes in the names."""
    path = write_keras1(path, class_name, config, layers, version)
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = backend.encode()
    return path


def conv2d(name, **config):
    settings = {"filters": 4, "kernel_size": [3, 2], "strides": [1, 1], "padding": "valid", "activation": "linear"}
    settings |= {"use_bias": False, "data_format": "channels_last", "kernel_initializer": ZEROS}
    return layer("Conv2D", name, **{**settings, **config})


@pytest.mark.parametrize("as_list", [True, False], ids=["config is a list", "config is a dict"])
@pytest.mark.parametrize("backend", ["theano", "tensorflow", "cntk"])
def test_kernels_are_flipped_for_theano_only(tmp_path, as_list, backend):
    kernel = rand(3, 2, 2, 4)
    layers = [conv2d("c", batch_input_shape=[None, 6, 5, 2], dtype="float32")]
    config = layers if as_list else {"name": "sequential_1", "layers": layers}
    path = write_keras2(tmp_path / "c.h5", "Sequential", config, {"c": [("c/kernel:0", kernel)]}, backend=backend)
    x = rand(1, 6, 5, 2)
    expected = correlate(x[0], kernel[::-1, ::-1] if backend == "theano" else kernel)
    np.testing.assert_allclose(load_legacy_model(path)(x)[0], expected, atol=1e-5)


def test_names_and_values_of_older_tf_keras(tmp_path):
    bn = {"gamma": rand(3), "beta": rand(3), "moving_mean": rand(3), "moving_variance": np.abs(rand(3)) + 0.1}
    layers = [
        layer(
            "BatchNormalizationV1", "bn", axis={"class_name": "ListWrapper", "config": [1]}, batch_input_shape=[None, 3]
        )
    ]
    layers[0]["config"] |= {"axis": [1], "epsilon": 1e-3, "momentum": 0.99, "fused": None, "virtual_batch_size": None}
    layers.append(layer("LeakyReLU", "leaky", alpha={"type": "ndarray", "value": 0.25}))
    layers.append(layer("Reshape", "reshape", target_shape={"class_name": "__tuple__", "items": [3, 1]}))
    layers.append(layer("Activation", "last", activation={"class_name": "function", "config": "hard_sigmoid"}))
    config = {"name": "s", "layers": layers, "build_input_shape": {"class_name": "TensorShape", "items": [None, 3]}}
    stored = {"bn": [(f"bn/{key}:0", array) for key, array in bn.items()], "leaky": [], "reshape": [], "last": []}
    path = write_keras2(tmp_path / "v1.h5", "Sequential", config, stored)
    x = rand(2, 3)
    normed = (x - bn["moving_mean"]) / np.sqrt(bn["moving_variance"] + 1e-3) * bn["gamma"] + bn["beta"]
    expected = hard_sigmoid(np.where(normed > 0, normed, 0.25 * normed))[..., None]
    np.testing.assert_allclose(load_legacy_model(path)(x), expected, atol=1e-5)


@pytest.mark.parametrize(("class_name", "num_gates"), [("CuDNNLSTM", 4), ("CuDNNGRU", 3)])
def test_cudnn_layers(tmp_path, class_name, num_gates):
    units, inputs = 4, 3
    kernels = [rand(inputs, units) for _ in range(num_gates)]
    recurrent = [rand(units, units) for _ in range(num_gates)]
    biases = rand(2, num_gates * units)
    stored = [
        ("r/kernel:0", np.hstack([_as_cudnn(k) for k in kernels])),
        ("r/recurrent_kernel:0", np.hstack([k.T for k in recurrent])),
        ("r/bias:0", biases.reshape(-1)),
    ]
    config = [layer(class_name, "r", units=units, batch_input_shape=[None, 5, inputs], return_sequences=False)]
    path = write_keras2(tmp_path / "r.h5", "Sequential", config, {"r": stored})
    model = load_legacy_model(path)
    cell = model.get_layer("r").cell
    np.testing.assert_array_equal(cell.kernel, np.hstack(kernels))
    np.testing.assert_array_equal(cell.recurrent_kernel, np.hstack(recurrent))
    np.testing.assert_array_equal(cell.bias, biases.sum(0) if num_gates == 4 else biases)
    assert model(rand(2, 5, inputs)).shape == (2, units)


def _as_cudnn(kernel):
    """The inverse of Keras' `kernel.T.reshape(kernel.shape, order="F")`."""
    return kernel.T.reshape(kernel.shape, order="C")


def test_lists_of_names_over_64_kilobytes_are_split(tmp_path):
    names = [f"{'a_rather_long_name_of_a_layer_' * 3}{i}" for i in range(40)]
    layers = [layer("Activation", name, activation="tanh") for name in names]
    layers[0]["config"]["batch_input_shape"] = [None, 3]
    path = write_keras2(tmp_path / "n.h5", "Sequential", {"name": "s", "layers": layers}, {n: [] for n in names})
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        del group.attrs["layer_names"]
        for chunk in range(4):
            group.attrs[f"layer_names{chunk}"] = [n.encode() for n in names[chunk * 10 : chunk * 10 + 10]]
    assert len(load_legacy_model(path).layers) == 40


def test_sequential_saved_without_its_shape(tmp_path):
    kernel = rand(3, 4)
    layers = [layer("Dense", "d", units=4, activation="linear", use_bias=False)]
    path = write_keras2(
        tmp_path / "s.h5", "Sequential", {"name": "s", "layers": layers}, {"d": [("d/kernel:0", kernel)]}
    )
    model, report = load_legacy_model(path, with_report=True)
    assert model.input_shape == (None, 3)
    assert any("inferred" in note for note in report.notes)


@pytest.mark.parametrize(
    ("class_name", "kernel", "settings", "expected"),
    [
        ("Conv1D", (3, 2, 4), {"filters": 4, "kernel_size": [3]}, (None, None, 2)),
        ("Conv2D", (3, 3, 2, 4), {"filters": 4, "kernel_size": [3, 3]}, (None, None, None, 2)),
        ("Conv3D", (1, 3, 3, 2, 4), {"filters": 4, "kernel_size": [1, 3, 3]}, (None, None, None, None, 2)),
        ("SimpleRNN", (2, 4), {"units": 4}, (None, None, 2)),
    ],
)
def test_the_shape_a_chain_takes_follows_from_its_first_kernel(tmp_path, class_name, kernel, settings, expected):
    stored = [
        ("a/kernel:0", rand(*kernel)),
        *([("a/recurrent_kernel:0", rand(4, 4))] if class_name == "SimpleRNN" else []),
    ]
    config = {"name": "s", "layers": [layer(class_name, "a", use_bias=False, **settings)]}
    path = write_keras2(tmp_path / "s.h5", "Sequential", config, {"a": stored})
    assert load_legacy_model(path).input_shape == expected


def test_slashes_in_layer_names_and_unknown_training_objects(tmp_path):
    kernel = rand(3, 4)
    config = {"units": 4, "activation": "linear", "use_bias": False, "batch_input_shape": [None, 3]}
    config |= {
        "kernel_initializer": {"class_name": "MyInit", "config": {}},
        "kernel_regularizer": {"class_name": "Mine"},
    }
    layers = [layer("Dense", "block/dense", **config)]
    stored = {"block/dense": [("block/dense/kernel:0", kernel)]}
    path = write_keras2(tmp_path / "s.h5", "Sequential", {"name": "a/b", "layers": layers}, stored)
    model, report = load_legacy_model(path, with_report=True)
    np.testing.assert_array_equal(model.get_layer("block_dense").kernel, kernel)
    assert len([note for note in report.notes if "not Keras' own" in note]) == 2


def test_graph_nodes_of_early_tf2(tmp_path):
    source = {"class_name": "InputLayer", "name": "in", "inbound_nodes": []}
    source["config"] = {"batch_input_shape": [None, 3], "dtype": "float32", "ragged": False, "name": "in"}
    node = {"name": "Add", "op": "AddV2", "input": ["in", "Add/y"], "attr": {"T": {"type": "DT_FLOAT"}}}
    op = {"class_name": "TensorFlowOpLayer", "name": "op", "inbound_nodes": [[["in", 0, 0, {}]]]}
    op["config"] = {"name": "op", "node_def": node, "constants": {"1": 2.5}}
    config = {"name": "m", "layers": [source, op], "input_layers": [["in", 0, 0]], "output_layers": [["op", 0, 0]]}
    path = write_keras2(tmp_path / "o.h5", "Model", config, {"in": [], "op": []})
    np.testing.assert_allclose(load_legacy_model(path)(np.ones((1, 3))), np.full((1, 3), 3.5))
    node["op"] = "EagerPyFunc"
    path = write_keras2(tmp_path / "p.h5", "Model", config, {"in": [], "op": []})
    with pytest.raises(WeightsError, match=r"'op' .TensorFlow's EagerPyFunc"):
        load_legacy_model(path)


def test_custom_objects_by_class_and_by_function_name(tf_keras, tmp_path, write_h5):
    class Scale(tf_keras.layers.Layer):
        def call(self, inputs):
            return 2.0 * inputs

    def shift(x):
        return x + 1.0

    reference = tf_keras.Sequential(
        [
            tf_keras.layers.Input((3,)),
            Scale(name="scale"),
            tf_keras.layers.Lambda(shift),
            tf_keras.layers.Dense(2, activation=shift),
        ]
    )
    path = write_h5(reference)
    with pytest.raises(WeightsError, match=r"'lambda"):
        load_legacy_model(path)

    @keras.saving.register_keras_serializable(package="tests")
    class Scale3(keras.layers.Layer):
        def call(self, inputs):
            return 2.0 * inputs

    name = next(layer.name for layer in reference.layers if "lambda" in layer.name)
    model = load_legacy_model(path, custom_objects={"Scale": Scale3, name: shift, "shift": shift})
    x = rand(2, 3)
    np.testing.assert_allclose(model(x), reference(x), atol=1e-5)


def test_legacy_weights_fill_a_model_built_in_code(tf_keras, write_h5):
    def build(k):
        inputs = k.Input((8, 8, 3))
        x = k.layers.Conv2D(4, 3, name="conv")(inputs)
        x = k.layers.BatchNormalization(name="bn")(x)
        x = k.layers.GlobalAveragePooling2D(name="pool")(x)
        return k.Model(inputs, k.layers.Dense(2, name="top")(x))

    reference = build(tf_keras)
    path = write_h5(reference)
    model = build(keras)
    assert load_legacy_weights(model, path) is model
    x = [rand(2, 8, 8, 3)]
    np.testing.assert_allclose(outputs_of(model, x), outputs_of(reference, x), atol=1e-5)

    inputs = keras.Input((8, 8, 3))
    other_names = keras.Sequential(
        [
            inputs,
            *(
                type(layer).from_config({**layer.get_config(), "name": f"x{i}"})
                for i, layer in enumerate(model.layers[1:])
            ),
        ]
    )
    _, report = load_legacy_weights(other_names, path, with_report=True)
    assert any("by order" in note for note in report.notes)
    np.testing.assert_allclose(outputs_of(other_names, x), outputs_of(reference, x), atol=1e-5)

    with pytest.raises(WeightsError, match=r"no weights are stored for"):
        load_legacy_weights(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="else")]), path)
    with pytest.raises(WeightsError, match=r"not built"):
        load_legacy_weights(keras.Sequential([keras.layers.Dense(2)]), path)


def test_a_failed_conversion_leaves_the_old_copy(tmp_path, tf_keras, write_h5, monkeypatch):
    path = write_h5(tf_keras.Sequential([tf_keras.layers.Input((3,)), tf_keras.layers.Dense(2)]))
    out = tmp_path / "out.keras"
    out.write_bytes(b"old")
    monkeypatch.setattr("tfav.weights.keras_h5.loader._compare", lambda *_: 1.0)
    with pytest.raises(WeightsError, match=r"differs"):
        convert(path, out)
    assert out.read_bytes() == b"old" and sorted(p.name for p in tmp_path.iterdir()) == ["model.h5", "out.keras"]
    for wrong in (tmp_path / "out.h5", tmp_path / "no" / "out.keras"):
        with pytest.raises(WeightsError):
            convert(path, wrong)


def test_the_configuration_json_is_left_as_python_reads_it(tmp_path):
    """`NaN` and `Infinity` are in real files, in settings nobody uses."""
    path = write_keras2(
        tmp_path / "n.h5",
        "Sequential",
        {
            "name": "s",
            "layers": [layer("Activation", "a", activation="relu", batch_input_shape=[None, 2], x=float("nan"))],
        },
        {"a": []},
    )
    with h5py.File(path) as file:
        assert "NaN" in str(file.attrs["model_config"])
    assert load_legacy_model(path).output_shape == (None, 2)


# What old files leave unsaid ----------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_of_keras_2(x, kernel, recurrent, bias, gate):
    """Keras' GRU before `reset_after`: the reset gate meets the state before the product."""
    units = recurrent.shape[0]
    state = np.zeros((len(x), units), np.float32)
    for step in x.swapaxes(0, 1):
        given = step @ kernel + bias
        z = gate(given[:, :units] + state @ recurrent[:, :units])
        r = gate(given[:, units : 2 * units] + state @ recurrent[:, units : 2 * units])
        new = np.tanh(given[:, 2 * units :] + (r * state) @ recurrent[:, 2 * units :])
        state = z * state + (1 - z) * new
    return state


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("said", "gate"), [({}, hard_sigmoid), ({"recurrent_activation": "sigmoid"}, sigmoid)], ids=["unsaid", "said"]
)
def test_a_gru_that_says_nothing_resets_before_and_has_hard_gates(tmp_path, use_bias, said, gate):
    units, inputs = 3, 2
    kernel, recurrent, bias = 2 * rand(inputs, 3 * units), 2 * rand(units, 3 * units), rand(3 * units) * use_bias
    stored = [("r/kernel:0", kernel), ("r/recurrent_kernel:0", recurrent)]
    stored += [("r/bias:0", bias)] if use_bias else []
    config = [layer("GRU", "r", units=units, use_bias=use_bias, batch_input_shape=[None, 6, inputs], **said)]
    path = write_keras2(tmp_path / "r.h5", "Sequential", config, {"r": stored}, version="2.1.6")
    x = 2 * rand(4, 6, inputs)
    np.testing.assert_allclose(load_legacy_model(path)(x), gru_of_keras_2(x, kernel, recurrent, bias, gate), atol=1e-5)


def test_an_lstm_that_says_nothing_has_hard_gates(tmp_path):
    units, inputs = 3, 2
    kernel, recurrent, bias = 2 * rand(inputs, 4 * units), 2 * rand(units, 4 * units), rand(4 * units)
    stored = [("r/kernel:0", kernel), ("r/recurrent_kernel:0", recurrent), ("r/bias:0", bias)]
    config = [layer("LSTM", "r", units=units, batch_input_shape=[None, 6, inputs])]
    path = write_keras2(tmp_path / "r.h5", "Sequential", config, {"r": stored}, version="2.1.6")
    x = 2 * rand(4, 6, inputs)
    state, memory = np.zeros((2, 4, units))
    for step in x.swapaxes(0, 1):
        i, f, c, o = np.split(step @ kernel + state @ recurrent + bias, 4, axis=1)
        memory = hard_sigmoid(f) * memory + hard_sigmoid(i) * np.tanh(c)
        state = hard_sigmoid(o) * np.tanh(memory)
    np.testing.assert_allclose(load_legacy_model(path)(x), state, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.3, 1e-5])
@pytest.mark.parametrize("version", ["1.2.2", "2.0.5", "2.3.1"])
def test_epsilon_of_a_batch_normalisation_is_the_files_own(tmp_path, epsilon, version):
    """With a variance of a thousandth Keras 3's own 0.001 would be off by a third and more."""
    gamma, beta, mean, variance = rand(3), rand(3), rand(3), np.full(3, 1e-3, np.float32)
    arrays = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
    config = [layer("BatchNormalization", "bn", axis=-1, epsilon=epsilon, momentum=0.9, batch_input_shape=[None, 3])]
    if version.startswith("1."):
        config[0]["config"] |= {"mode": 0, "gamma_regularizer": None}
        names = {"moving_mean": "running_mean", "moving_variance": "running_std"}
        stored = [(f"bn_{names.get(key, key)}", array) for key, array in arrays.items()]
        path = write_keras1(tmp_path / "bn.h5", "Sequential", config, {"bn": stored}, version)
    else:
        stored = [(f"bn/{key}:0", array) for key, array in arrays.items()]
        path = write_keras2(tmp_path / "bn.h5", "Sequential", config, {"bn": stored}, version=version)
    x = rand(5, 3)
    model = load_legacy_model(path)
    np.testing.assert_allclose(model(x), (x - mean) / np.sqrt(1e-3 + epsilon) * gamma + beta, rtol=1e-4, atol=1e-4)
    assert model.get_layer("bn").momentum == pytest.approx(0.9)
    convert(path, tmp_path / "bn.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "bn.keras")(x), model(x), atol=1e-6)


def test_a_batch_normalisation_without_an_axis_is_of_the_last_one(tmp_path):
    arrays = {"gamma": rand(3), "beta": rand(3), "moving_mean": rand(3), "moving_variance": np.abs(rand(3)) + 0.1}
    config = [layer("BatchNormalization", "bn", epsilon=0.01, batch_input_shape=[None, 2, 3])]
    stored = [(f"bn/{key}:0", array) for key, array in arrays.items()]
    path = write_keras2(tmp_path / "bn.h5", "Sequential", config, {"bn": stored})
    x = rand(4, 2, 3)
    expected = (x - arrays["moving_mean"]) / np.sqrt(arrays["moving_variance"] + 0.01) * arrays["gamma"] + arrays[
        "beta"
    ]
    np.testing.assert_allclose(load_legacy_model(path)(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        ("float16", "float16"),
        ({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "float16"),
        ({"class_name": "Policy", "config": None}, "float32"),
        ({"class_name": "PolicyV1", "config": {"name": "_infer"}}, "float32"),
    ],
)
def test_the_precision_of_a_layer_is_a_name_or_a_policy(tmp_path, stored, computed):
    """tf.keras stores a policy where one was set."""
    config = [
        layer("Dense", "d", units=2, use_bias=False, activation="linear", batch_input_shape=[None, 3], dtype=stored)
    ]
    path = write_keras2(tmp_path / "d.h5", "Sequential", config, {"d": [("d/kernel:0", np.ones((3, 2), np.float32))]})
    model = load_legacy_model(path)
    assert model.get_layer("d").compute_dtype == computed
    np.testing.assert_allclose(model(np.ones((1, 3), np.float32)), [[3, 3]])


def test_what_a_file_holds_for_training_is_told_as_ignored_a_line_each(tmp_path):
    config = [layer("Dense", "d", units=2, use_bias=False, activation="linear", batch_input_shape=[None, 3])]
    path = write_keras2(tmp_path / "d.h5", "Sequential", config, {"d": [("d/kernel:0", rand(3, 2))]})
    with h5py.File(path, "r+") as file:
        file.create_group("optimizer_weights")
    told = load_legacy_model(path, with_report=True)[1].ignored
    assert [line.partition(":")[0] for line in told] == ["optimizer_weights", "training_config"]


def test_a_model_that_was_read_begins_anew_by_the_files_initializers(tmp_path):
    """In a wrapper and in a model in the model, too; while it is read nothing is initialised at all."""
    near_five = {"class_name": "RandomNormal", "config": {"mean": 5.0, "stddev": 0.1, "seed": 1}}
    dense = {"units": 2, "use_bias": False, "activation": "linear", "kernel_initializer": near_five}
    wrapped = layer("TimeDistributed", "t", layer=layer("Dense", "d", **dense), batch_input_shape=[None, 4, 3])
    inner = layer("Sequential", "s", layers=[layer("Dense", "e", **dense, batch_input_shape=[None, 4, 2])])
    stored = {"t": [("t/kernel:0", rand(3, 2))], "s": [("e/kernel:0", rand(2, 2))]}
    model = load_legacy_model(write_keras2(tmp_path / "t.h5", "Sequential", [wrapped, inner], stored))
    for kernel, (_, array) in zip(model.get_weights(), (*stored["t"], *stored["s"]), strict=True):
        np.testing.assert_array_equal(kernel, array)
    for kernel in keras.models.clone_model(model).get_weights():
        np.testing.assert_allclose(kernel, 5, atol=1)
