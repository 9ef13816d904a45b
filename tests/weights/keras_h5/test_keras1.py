"""Files as Keras 1.2 wrote them, made by hand from the format; expected outputs are worked out in NumPy."""

import json

import h5py
import keras
import numpy as np
import pytest

from tfav.weights import WeightsError
from tfav.weights.keras_h5.loader import convert, load_legacy_model, load_legacy_weights

RANDOM = np.random.default_rng(0)


def rand(*shape):
    return RANDOM.normal(0, 0.5, shape).astype("float32")


def write_keras1(path, class_name, config, layers, version="1.2.2"):
    """Writes a whole-model file; `layers` is `{layer name: [(weight name, array), ...]}`."""
    with h5py.File(path, "w") as file:
        if version:
            file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = json.dumps({"class_name": class_name, "config": config}).encode()
        file.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": {"class_name": "SGD"}}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, weights in layers.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [weight.encode() for weight, _ in weights]
            for weight, array in weights:
                layer.create_dataset(weight, data=array)
    return path


def layer(class_name, name, **config):
    return {"class_name": class_name, "config": {"name": name, "trainable": True, **config}}


def dense(name, units, **config):
    settings = {"init": "glorot_uniform", "activation": "linear", "bias": True}
    settings["W_regularizer"] = {"name": "WeightRegularizer", "l1": 0.0, "l2": 1e-3}
    return layer("Dense", name, output_dim=units, **{**settings, **config})


def conv2d(name, filters, rows, cols, order, **config):
    settings = {"init": "he_normal", "activation": "linear", "border_mode": "valid", "subsample": [1, 1], "bias": True}
    return layer(
        "Convolution2D", name, nb_filter=filters, nb_row=rows, nb_col=cols, dim_ordering=order, **{**settings, **config}
    )


def named(name, **arrays):
    return [(f"{name}_{key}", array) for key, array in arrays.items()]


def correlate(x, kernel):
    """Valid cross-correlation; x `[H, W, C]`, kernel `[h, w, C, F]`."""
    rows, cols = x.shape[0] - kernel.shape[0] + 1, x.shape[1] - kernel.shape[1] + 1
    windows = [
        [np.tensordot(x[r : r + kernel.shape[0], c : c + kernel.shape[1]], kernel, 3) for c in range(cols)]
        for r in range(rows)
    ]
    return np.array(windows)


def hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


@pytest.mark.parametrize("version", ["1.2.2", None], ids=["version stored", "version missing"])
def test_theano_file_channels_first_with_flipped_kernels(tmp_path, version):
    kernel, bias, weights = rand(4, 2, 3, 2), rand(4), rand(36, 3)
    path = write_keras1(
        tmp_path / "th.h5",
        "Sequential",
        [
            conv2d("convolution2d_1", 4, 3, 2, "th", batch_input_shape=[None, 2, 8, 7], input_dtype="float32"),
            layer("Activation", "activation_1", activation="relu"),
            layer("MaxPooling2D", "pool", pool_size=[2, 2], strides=[2, 2], border_mode="valid", dim_ordering="th"),
            layer("Dropout", "dropout_1", p=0.25),
            layer("Flatten", "flatten_1"),
            dense("dense_1", 3),
        ],
        {
            "convolution2d_1": named("convolution2d_1", W=kernel, b=bias),
            "activation_1": [],
            "pool": [],
            "dropout_1": [],
            "flatten_1": [],
            "dense_1": named("dense_1", W=weights, b=np.zeros(3, "float32")),
        },
        version,
    )
    model, report = load_legacy_model(path, with_report=True)
    x = rand(2, 2, 8, 7)
    turned = kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)  # Theano convolves, so the kernel meets the image turned
    expected = []
    for image in x:
        maps = np.maximum(correlate(image.transpose(1, 2, 0), turned) + bias, 0)
        pooled = maps.reshape(3, 2, 3, 2, 4).max((1, 3))
        expected.append(pooled.transpose(2, 0, 1).reshape(-1) @ weights)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)
    assert report.backend == "theano"
    assert any("kernel flipped (theano)" in entry.how for entry in report.translated)
    assert any("assumed" in note for note in report.notes)

    unflipped = load_legacy_model(path, backend="tensorflow")
    assert not np.allclose(unflipped(x), expected, atol=1e-3)


def test_tensorflow_file_keeps_its_kernels_and_statistics(tmp_path):
    kernel, gamma, beta, mean, variance = rand(3, 3, 2, 4), rand(4), rand(4), rand(4), np.abs(rand(4)) + 0.1
    bn = {"gamma": gamma, "beta": beta, "running_mean": mean, "running_std": variance}
    path = write_keras1(
        tmp_path / "tf.h5",
        "Sequential",
        [
            conv2d("c", 4, 3, 3, "tf", batch_input_shape=[None, 6, 6, 2], bias=False),
            layer("BatchNormalization", "bn", axis=-1, mode=0, epsilon=1e-3, momentum=0.9, gamma_regularizer=None),
            layer("GlobalAveragePooling2D", "gap", dim_ordering="tf"),
        ],
        {"c": named("c", W=kernel), "bn": named("bn", **bn), "gap": []},
    )
    x = rand(1, 6, 6, 2)
    maps = (correlate(x[0], kernel) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(load_legacy_model(path)(x)[0], maps.mean((0, 1)), atol=1e-5)


@pytest.mark.parametrize("mode", [1, 2])
def test_batch_normalization_modes_that_ended_with_keras1(tmp_path, mode):
    gamma, beta = rand(5), rand(5)
    bn = {"gamma": gamma, "beta": beta, "running_mean": rand(5), "running_std": rand(5)}
    config = layer(
        "BatchNormalization", "bn", axis=-1, mode=mode, epsilon=1e-3, momentum=0.9, batch_input_shape=[None, 5]
    )
    path = write_keras1(tmp_path / "bn.h5", "Sequential", [config], {"bn": named("bn", **bn)})
    x = rand(6, 5)
    axis, extra = (1, 1e-3) if mode == 1 else (0, 0)
    deviation = np.sqrt(x.var(axis, keepdims=True) + 1e-3) + extra
    expected = (x - x.mean(axis, keepdims=True)) / deviation * gamma + beta
    np.testing.assert_allclose(load_legacy_model(path)(x), expected, atol=1e-5)
    convert(path, tmp_path / "bn.keras")
    np.testing.assert_allclose(keras.models.load_model(tmp_path / "bn.keras")(x), expected, atol=1e-5)


def _gates(name, gates, inputs, units):
    """Keras 1's arrays of a recurrent layer, gate by gate, and the same by letter."""
    weights = {g: (rand(inputs, units), rand(units, units), rand(units)) for g in gates}
    stored = [(f"{name}_{part}_{g}", weights[g][i]) for g in gates for i, part in enumerate("WUb")]
    return stored, weights


def _recurrent(class_name, name, units, **config):
    settings = {"init": "glorot_uniform", "inner_init": "orthogonal", "activation": "tanh", "forget_bias_init": "one"}
    settings |= {
        "inner_activation": "hard_sigmoid",
        "return_sequences": False,
        "go_backwards": False,
        "stateful": False,
    }
    settings |= {"unroll": False, "consume_less": "cpu", "dropout_W": 0.0, "dropout_U": 0.0, "input_dim": 3}
    return layer(class_name, name, output_dim=units, **{**settings, **config})


def _run_lstm(x, w):
    h = c = np.zeros(w["i"][2].shape)
    for step in x:
        i, f, o = (hard_sigmoid(step @ w[g][0] + h @ w[g][1] + w[g][2]) for g in "ifo")
        c = f * c + i * np.tanh(step @ w["c"][0] + h @ w["c"][1] + w["c"][2])
        h = o * np.tanh(c)
    return h


def _run_gru(x, w):
    h = np.zeros(w["z"][2].shape)
    for step in x:
        z, r = (hard_sigmoid(step @ w[g][0] + h @ w[g][1] + w[g][2]) for g in "zr")
        candidate = np.tanh(step @ w["h"][0] + (r * h) @ w["h"][1] + w["h"][2])
        h = z * h + (1 - z) * candidate
    return h


@pytest.mark.parametrize(("class_name", "gates", "run"), [("LSTM", "icfo", _run_lstm), ("GRU", "zrh", _run_gru)])
def test_recurrent_layers_join_their_gates(tmp_path, class_name, gates, run):
    stored, weights = _gates("r", gates, 3, 4)
    config = [_recurrent(class_name, "r", 4, batch_input_shape=[None, 5, 3])]
    path = write_keras1(tmp_path / "r.h5", "Sequential", config, {"r": stored})
    x = rand(2, 5, 3)
    np.testing.assert_allclose(load_legacy_model(path)(x), [run(row, weights) for row in x], atol=1e-5)
    convert(path, tmp_path / "r.keras")
    np.testing.assert_allclose(
        keras.models.load_model(tmp_path / "r.keras")(x), [run(row, weights) for row in x], atol=1e-5
    )


def test_bidirectional_and_time_distributed(tmp_path):
    forward, w_forward = _gates("f", "icfo", 3, 2)
    backward, w_backward = _gates("b", "icfo", 3, 2)
    kernel = rand(4, 3)
    inner = _recurrent("LSTM", "lstm_1", 2)
    path = write_keras1(
        tmp_path / "b.h5",
        "Sequential",
        [
            layer("TimeDistributed", "td", batch_input_shape=[None, 5, 4], layer=dense("inner", 3, bias=False)),
            layer("Bidirectional", "bi", layer=inner, merge_mode="concat"),
        ],
        {"td": [("inner_W", kernel)], "bi": forward + backward},
    )
    x = rand(2, 5, 4)
    expected = [
        np.concatenate([_run_lstm(row @ kernel, w_forward), _run_lstm((row @ kernel)[::-1], w_backward)]) for row in x
    ]
    np.testing.assert_allclose(load_legacy_model(path)(x), expected, atol=1e-5)


def test_sequential_with_merge_stores_the_branches_side_by_side(tmp_path):
    left, right, top = rand(3, 4), rand(2, 4), rand(8, 2)
    branches = [
        {"class_name": "Sequential", "config": [dense("dense_1", 4, batch_input_shape=[None, 3])]},
        {"class_name": "Sequential", "config": [dense("dense_2", 4, batch_input_shape=[None, 2])]},
    ]
    merge = layer("Merge", "merge_1", mode="concat", mode_type="raw", concat_axis=-1, dot_axes=-1, layers=branches)
    zeros = np.zeros(4, "float32")
    path = write_keras1(
        tmp_path / "m.h5",
        "Sequential",
        [merge, dense("dense_3", 2, activation="tanh")],
        {
            "dense_1": named("dense_1", W=left, b=zeros),
            "dense_2": named("dense_2", W=right, b=zeros),
            "dense_3": named("dense_3", W=top, b=zeros[:2]),
        },
    )
    a, b = rand(2, 3), rand(2, 2)
    expected = np.tanh(np.concatenate([a @ left, b @ right], -1) @ top)
    np.testing.assert_allclose(load_legacy_model(path)([a, b]), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("sum", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
        ("ave", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
        ("dot", lambda a, b: (a * b).sum(1, keepdims=True)),
        (
            "cos",
            lambda a, b: ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))[:, None, None],
        ),
    ],
)
def test_functional_merge_modes(tmp_path, mode, expected):
    def source(name):
        config = {"batch_input_shape": [None, 4], "input_dtype": "float32", "sparse": False, "name": name}
        return {"class_name": "InputLayer", "name": name, "config": config, "inbound_nodes": []}

    merge = layer("Merge", "merge_1", mode=mode, mode_type="raw", concat_axis=-1, dot_axes=[1, 1])
    merge |= {"name": "merge_1", "inbound_nodes": [[["a", 0, 0], ["b", 0, 0]]]}
    config = {
        "name": "model_1",
        "layers": [source("a"), source("b"), merge],
        "input_layers": [["a", 0, 0], ["b", 0, 0]],
        "output_layers": [["merge_1", 0, 0]],
    }
    path = write_keras1(tmp_path / "m.h5", "Model", config, {"a": [], "b": [], "merge_1": []})
    a, b = rand(3, 4), rand(3, 4)
    np.testing.assert_allclose(load_legacy_model(path)([a, b]), expected(a, b), atol=1e-5)


def test_nameless_nested_model_is_paired_by_order(tmp_path):
    inner, outer = rand(3, 4), rand(4, 2)
    path = write_keras1(
        tmp_path / "n.h5",
        "Sequential",
        [
            {"class_name": "Sequential", "config": [dense("dense_1", 4, batch_input_shape=[None, 3])]},
            dense("dense_2", 2),
        ],
        {
            "sequential_1": named("dense_1", W=inner, b=np.zeros(4, "float32")),
            "dense_2": named("dense_2", W=outer, b=np.zeros(2, "float32")),
        },
    )
    x = rand(2, 3)
    np.testing.assert_allclose(load_legacy_model(path)(x), x @ inner @ outer, atol=1e-5)


@pytest.mark.parametrize("old", [False, True], ids=["1.2", "1.1"])
def test_conv1d_of_both_layouts(tmp_path, old):
    kernel = rand(3, 2, 4)  # length, inputs, filters
    stored = kernel.transpose(2, 1, 0)[..., None] if old else kernel[:, None]
    config = layer(
        "Convolution1D", "c", nb_filter=4, filter_length=3, subsample_length=1, border_mode="valid", init="zero"
    )
    config["config"] |= {"activation": "linear", "batch_input_shape": [None, 7, 2], "input_dim": 2, "bias": False}
    pool = layer("MaxPooling1D", "p", pool_length=2, stride=2, border_mode="valid")
    path = write_keras1(tmp_path / "c.h5", "Sequential", [config, pool], {"c": named("c", W=stored), "p": []})
    x = rand(1, 7, 2)
    maps = correlate(x[0][:, None], kernel[:, None])[:4, 0].reshape(2, 2, 4).max(1)
    np.testing.assert_allclose(load_legacy_model(path)(x)[0], maps, atol=1e-5)


def test_convolutional_lstm_is_the_same_in_both_layouts(tmp_path):
    gates = {g: (rand(3, 3, 2, 4), rand(3, 3, 4, 4), rand(4)) for g in "icfo"}

    def write(order):
        def lay(array):
            # Theano's own layout, and turned, as a Theano training would have left it
            return array[::-1, ::-1].transpose(3, 2, 0, 1) if order == "th" and array.ndim == 4 else array

        shape = [None, 2, 2, 6, 6] if order == "th" else [None, 2, 6, 6, 2]
        config = _recurrent("ConvLSTM2D", "c", 0, nb_filter=4, nb_row=3, nb_col=3, subsample=[1, 1], border_mode="same")
        config["config"] |= {"dim_ordering": order, "batch_input_shape": shape}
        del config["config"]["output_dim"]
        stored = [(f"c_{part}_{g}", lay(gates[g][i])) for g in "icfo" for i, part in enumerate("WUb")]
        return write_keras1(tmp_path / f"{order}.h5", "Sequential", [config], {"c": stored})

    x = rand(1, 2, 6, 6, 2)
    tensorflow = load_legacy_model(write("tf"))(x)
    theano = load_legacy_model(write("th"))(x.transpose(0, 1, 4, 2, 3))
    np.testing.assert_allclose(np.transpose(theano, (0, 2, 3, 1)), tensorflow, atol=1e-5)


def test_other_layers_of_keras1(tmp_path):
    deconv, atrous = rand(2, 2, 3, 4), rand(3, 3, 3, 2)
    path = write_keras1(
        tmp_path / "o.h5",
        "Sequential",
        [
            layer("ZeroPadding2D", "pad", padding=[1, 2, 0, 1], dim_ordering="tf", batch_input_shape=[None, 4, 4, 4]),
            layer("Deconvolution2D", "d", nb_filter=3, nb_row=2, nb_col=2, output_shape=[None, 14, 10, 3], bias=False),
            layer("AtrousConvolution2D", "a", nb_filter=2, nb_row=3, nb_col=3, atrous_rate=[2, 2], bias=False),
            layer("PReLU", "prelu", init="zero", shared_axes=[1, 2]),
            layer("LeakyReLU", "leaky", alpha={"type": "ndarray", "value": 0.3}),
            layer("SpatialDropout2D", "sd", p=0.5, dim_ordering="tf"),
            layer("GaussianNoise", "gn", sigma=0.1),
            layer("UpSampling2D", "up", size=[2, 2], dim_ordering="tf"),
        ],
        {
            "d": named("d", W=deconv.transpose(0, 1, 3, 2)),
            "a": named("a", W=atrous),
            "prelu": named("prelu", alphas=rand(1, 1, 2)),
        },
    )
    # the settings that Keras 1 always stored, left out above for length
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        common = {"subsample": [1, 1], "border_mode": "valid", "activation": "linear", "dim_ordering": "tf"}
        config["config"][1]["config"] = {**common, **config["config"][1]["config"], "subsample": [2, 2]}
        config["config"][2]["config"] = {**common, **config["config"][2]["config"]}
        file.attrs["model_config"] = json.dumps(config).encode()
    model = load_legacy_model(path)
    assert model.output_shape == (None, 20, 12, 2)
    np.testing.assert_array_equal(model.get_layer("a").kernel, atrous)
    assert model.get_layer("a").dilation_rate == (2, 2)
    assert model.get_layer("leaky").negative_slope == pytest.approx(0.3)


def test_embedding_keeps_float_weights_though_its_input_is_whole(tmp_path):
    table, (stored, weights) = rand(7, 3), _gates("r", "zrh", 3, 2)
    embedding = layer("Embedding", "e", input_dim=7, output_dim=3, init="uniform", input_length=4, mask_zero=False)
    embedding["config"] |= {"batch_input_shape": [None, 4], "input_dtype": "int32", "dropout": 0.0}
    path = write_keras1(
        tmp_path / "e.h5", "Sequential", [embedding, _recurrent("GRU", "r", 2)], {"e": named("e", W=table), "r": stored}
    )
    model = load_legacy_model(path)
    x = RANDOM.integers(0, 7, (2, 4)).astype("int32")
    assert model.inputs[0].dtype == "int32"
    np.testing.assert_allclose(model(x), [_run_gru(table[row], weights) for row in x], atol=1e-5)


LAMBDA = layer(
    "Lambda",
    "lambda_1",
    function="4wEAAAAAAAA=\n",
    function_type="lambda",
    output_shape=None,
    arguments={},
    output_shape_type="raw",
)


def test_lambda_with_stored_code_is_refused_until_replaced(tmp_path):
    kernel = rand(4, 2)
    start = {**LAMBDA, "config": {**LAMBDA["config"], "batch_input_shape": [None, 4]}}
    path = write_keras1(
        tmp_path / "l.h5",
        "Sequential",
        [start, dense("dense_1", 2, bias=False)],
        {"lambda_1": [], "dense_1": named("dense_1", W=kernel)},
    )
    with pytest.raises(
        WeightsError, match=r"l\.h5: it carries Python code in layers 'lambda_1' \(stored code\).*custom_objects"
    ):
        load_legacy_model(path)
    x = rand(2, 4)
    model = load_legacy_model(path, custom_objects={"lambda_1": lambda t: t / 2.0})
    np.testing.assert_allclose(model(x), x / 2 @ kernel, atol=1e-5)
    model = load_legacy_model(path, custom_objects={"lambda_1": keras.layers.Rescaling(0.5)})
    np.testing.assert_allclose(model(x), x / 2 @ kernel, atol=1e-5)


def test_merge_with_stored_code_is_refused_until_replaced(tmp_path):
    branches = [
        {"class_name": "Sequential", "config": [dense(f"d{i}", 2, batch_input_shape=[None, 3])]} for i in (1, 2)
    ]
    merge = layer("Merge", "merge_1", mode="4wEAAAA", mode_type="lambda", output_shape=None, layers=branches)
    weights = {f"d{i}": named(f"d{i}", W=rand(3, 2), b=np.zeros(2, "float32")) for i in (1, 2)}
    path = write_keras1(tmp_path / "m.h5", "Sequential", [merge], weights)
    with pytest.raises(WeightsError, match="'merge_1'"):
        load_legacy_model(path)
    model = load_legacy_model(path, custom_objects={"merge_1": lambda pair: pair[0] - pair[1]})
    a, b = rand(2, 3), rand(2, 3)
    np.testing.assert_allclose(model([a, b]), a @ weights["d1"][0][1] - b @ weights["d2"][0][1], atol=1e-5)


@pytest.mark.parametrize("class_name", ["Highway", "MaxoutDense", "LocallyConnected2D", "SReLU"])
def test_layers_without_a_counterpart_are_refused_by_name(tmp_path, class_name):
    config = [layer(class_name, "odd_1", output_dim=3, init="zero", batch_input_shape=[None, 3])]
    path = write_keras1(tmp_path / "h.h5", "Sequential", config, {"odd_1": []})
    with pytest.raises(WeightsError, match=f"'odd_1' \\({class_name}"):
        load_legacy_model(path)


def test_weights_only_file_of_theano_fills_a_model(tmp_path):
    kernel, bias = rand(4, 2, 3, 3), rand(4)
    layers = {"convolution2d_1": named("convolution2d_1", W=kernel, b=bias)}
    path = write_keras1(tmp_path / "w.h5", "Sequential", [], layers, version=None)
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
    with pytest.raises(WeightsError, match="load_legacy_weights"):
        load_legacy_model(path)
    inputs = keras.Input((2, 5, 5))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, data_format="channels_first")(inputs))
    load_legacy_weights(model, path)
    np.testing.assert_array_equal(model.layers[1].kernel, kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0))
