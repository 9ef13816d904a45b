"""PyTorch state dicts in Keras models: against plain NumPy, and what does not fit or is not safe."""

import builtins
import pickle
import sys
import types

import keras
import numpy as np
import pytest
from keras import layers

from tfav.layers import BidirectionalGRU
from tfav.weights import WeightsError, load_pt, load_state_dict


def rand(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(0, 0.5, shape).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def torch_gru(x, w_ih, w_hh, b_ih, b_hh):
    """PyTorch's formulas, gates in the order reset, update, new; `x` `[T, D]`."""
    state, states = np.zeros(w_hh.shape[1]), []
    for step in x:
        i_r, i_z, i_n = np.split(w_ih @ step + b_ih, 3)
        h_r, h_z, h_n = np.split(w_hh @ state + b_hh, 3)
        update = sigmoid(i_z + h_z)
        new = np.tanh(i_n + sigmoid(i_r + h_r) * h_n)
        state = (1 - update) * new + update * state
        states.append(state)
    return np.array(states)


def gru_dict(units, dim, name="net.gru"):
    shapes = {"weight_ih": (3 * units, dim), "weight_hh": (3 * units, units), "bias_ih": (3 * units,)}
    shapes["bias_hh"] = shapes["bias_ih"]
    ends = ("_l0", "_l0_reverse")
    return {
        f"{name}.{role}{end}": rand(*shape, seed=2 * place + number)
        for number, end in enumerate(ends)
        for place, (role, shape) in enumerate(shapes.items())
    }


@pytest.mark.parametrize(
    "make", [BidirectionalGRU, lambda n, **k: layers.Bidirectional(layers.GRU(n, return_sequences=True), **k)]
)
def test_a_gru_of_two_directions(make):
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, make(4, name="net.gru.l0")(inputs))
    stored = gru_dict(4, 3)
    _, report = load_state_dict(model, stored, with_report=True)
    x = rand(6, 3)
    ends = ("_l0", "_l0_reverse")
    roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    forward, backward = ([stored[f"net.gru.{role}{end}"] for role in roles] for end in ends)
    expected = np.concatenate([torch_gru(x, *forward), torch_gru(x[::-1], *backward)[::-1]], axis=1)
    np.testing.assert_allclose(model(x[None])[0], expected, atol=1e-6)
    assert len(report.translated) == 8 and "gates reordered, two biases joined" in report.render()


def test_convolution_norm_pool_and_dense():
    inputs = keras.Input((10, 2))
    x = layers.ZeroPadding1D(1)(inputs)
    x = layers.Conv1D(3, 3, 2, use_bias=False, name="net.0")(x)
    x = layers.BatchNormalization(epsilon=1e-5, name="net.1")(x)
    x = layers.AveragePooling1D(3)(layers.ZeroPadding1D(1)(x))  # AvgPool1d(3, padding=1)
    model = keras.Model(inputs, layers.Dense(2, name="fc")(x), name="small")
    stored = {
        "net.0.weight": rand(3, 2, 3),
        "net.1.weight": rand(3, seed=1),
        "net.1.bias": rand(3, seed=2),
        "net.1.running_mean": rand(3, seed=3),
        "net.1.running_var": np.array([1e-5, 0.5, 2.0], np.float32),  # an epsilon of 1e-3 would show
        "net.1.num_batches_tracked": np.array(7),
        "fc.weight": rand(2, 3),
        "fc.bias": rand(2, seed=4),
    }
    _, report = load_state_dict(model, stored, with_report=True)
    given = rand(10, 2, seed=5)
    padded = np.pad(given.T, ((0, 0), (1, 1)))
    out = np.array(
        [[(padded[:, t : t + 3] * kernel).sum() for t in range(0, 10, 2)] for kernel in stored["net.0.weight"]]
    )
    norm = (out.T - stored["net.1.running_mean"]) / np.sqrt(stored["net.1.running_var"] + 1e-5)
    norm = norm * stored["net.1.weight"] + stored["net.1.bias"]
    pooled = np.pad(norm, ((1, 1), (0, 0)))[:6].reshape(2, 3, 3).sum(1) / 3
    expected = pooled @ stored["fc.weight"].T + stored["fc.bias"]
    np.testing.assert_allclose(model(given[None])[0], expected, rtol=1e-4, atol=1e-4)
    assert report.ignored == ["net.1.num_batches_tracked: no weight of the model"] and not report.notes


def test_kernels_of_two_and_three_dimensions():
    inputs = keras.Input((2, 5, 4, 2))
    model = keras.Model(inputs, layers.Conv3D(3, (2, 3, 4), name="c")(inputs))
    weight, bias = rand(3, 2, 2, 3, 4), rand(3)
    load_state_dict(model, {"c.weight": weight, "c.bias": bias})
    x = rand(2, 5, 4, 2)
    first = np.einsum("thwc,octhw->o", x[:, :3], weight) + bias
    np.testing.assert_allclose(model(x[None])[0, 0, 0, 0], first, atol=1e-5)
    inputs = keras.Input((3, 4, 2))
    model = keras.Model(inputs, layers.Conv2D(3, (3, 4), use_bias=False, name="c")(inputs))
    load_state_dict(model, {"c.weight": weight[:, :, 0]})
    np.testing.assert_allclose(
        model(x[None, 0, :3])[0, 0, 0], np.einsum("hwc,ochw->o", x[0, :3], weight[:, :, 0]), atol=1e-5
    )


@pytest.fixture
def dense():
    """A model `part` whose one layer bears the model's name in front."""
    inputs = keras.Input((3,))
    return keras.Model(inputs, layers.Dense(2, name="part.fc")(inputs), name="part")


SOUND = {"fc.weight": rand(2, 3), "fc.bias": rand(2)}


def test_names_in_front(dense):
    load_state_dict(dense, {f"module.{name}": array for name, array in SOUND.items()})
    np.testing.assert_array_equal(dense.layers[-1].kernel, SOUND["fc.weight"].T)
    outer_in = keras.Input((3,))
    outer = keras.Model(outer_in, dense(outer_in), name="outer")
    load_state_dict(outer, {f"part.{name}": 2 * array for name, array in SOUND.items()})
    np.testing.assert_array_equal(dense.layers[-1].bias, 2 * SOUND["fc.bias"])
    load_state_dict(dense, {"a.weight": SOUND["fc.weight"], "a.bias": SOUND["fc.bias"], "b": rand(1)}, name_map=renamed)
    np.testing.assert_array_equal(dense.layers[-1].bias, SOUND["fc.bias"])


def renamed(name):
    return None if name == "b" else name.replace("a.", "fc.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fc.bias": None}, r"part.*fc\.bias is missing, for part\.fc/bias \[2\]"),
        ({"fc2.bias": rand(2)}, r"fc2\.bias has no place in the model"),
        ({"fc.weight": rand(3, 2)}, r"fc\.weight should be \[2, 3\], and is \[3, 2\]"),
        ({"fc.weight": np.full((2, 3), "x")}, r"fc\.weight holds no numbers"),
        ({"fc.weight": None, "fc.bias": None}, "holds no tensors"),
    ],
)
def test_what_does_not_fit_changes_nothing(dense, change, words):
    before = dense.get_weights()
    stored = {name: array for name, array in {**SOUND, **change}.items() if array is not None}
    with pytest.raises(WeightsError, match=words) as caught:
        load_state_dict(dense, stored)
    assert "\n" not in str(caught.value)
    for old, new in zip(before, dense.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_extra_tensors_can_be_left_out(dense):
    _, report = load_state_dict(dense, {**SOUND, "fc2.bias": rand(2)}, strict=False, with_report=True)
    assert report.ignored == ["fc2.bias: no weight of the model"]


def test_layers_without_a_rule():
    inputs = keras.Input((3, 3))
    for layer, words in (
        (layers.LSTM(2, name="rnn"), "LSTM, for which no rule"),
        (layers.GRU(2, reset_after=False, name="rnn"), "no GRU with biases and reset_after"),
    ):
        with pytest.raises(WeightsError, match=words):
            load_state_dict(keras.Model(inputs, layer(inputs)), SOUND)
    norm = keras.Model(inputs, layers.BatchNormalization(name="bn")(inputs))
    stored = {f"bn.{name}": rand(3) for name in ("weight", "bias", "running_mean", "running_var")}
    _, report = load_state_dict(norm, stored, with_report=True)
    assert "epsilon 0.001" in report.notes[0]


def test_npz(dense, tmp_path):
    np.savez(tmp_path / "w.npz", **SOUND)
    load_pt(dense, tmp_path / "w.npz")
    np.testing.assert_array_equal(dense.layers[-1].bias, SOUND["fc.bias"])
    np.savez(tmp_path / "odd.npz", **{"fc.weight": np.array([{}], dtype=object)})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "w.npz").read_bytes()[:40])
    for name in ("odd.npz", "cut.npz"):
        with pytest.raises(WeightsError, match=r"no \.npz file of plain arrays"):
            load_pt(dense, tmp_path / name)
    with pytest.raises(WeightsError, match="no such file"):
        load_pt(dense, tmp_path / "gone.pt")


class Trap:
    """Leaves a mark if it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_without_pytorch(dense, tmp_path, monkeypatch):
    path, mark = tmp_path / "w.pt", tmp_path / "ran"
    path.write_bytes(pickle.dumps(Trap(mark)))
    own = builtins.__import__

    def without(name, *arguments, **keywords):
        if name == "torch":
            raise ImportError(name)
        return own(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WeightsError, match=r"PyTorch is needed.*tfav\[torch\].*npz"):
        load_pt(dense, path)
    assert not mark.exists()


class _Tensor:
    def __init__(self, array):
        self.array, self.shape = array, array.shape

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def __getattr__(self, name):
        return (lambda: self.array) if name == "numpy" else (lambda: self)


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ([1, 2], "holds a list, no state dict"),
        ({"epoch": 3}, "a dict with 'epoch' among its keys"),
        ({}, "an empty dict"),
        (pickle.UnpicklingError("Unsupported global: GLOBAL os.system"), "cannot be opened|opened safely.*os.system"),
    ],
)
def test_only_state_dicts_are_taken(dense, tmp_path, monkeypatch, loaded, words):
    """With a stand-in, so that it runs where PyTorch is not installed."""
    (tmp_path / "w.pt").write_bytes(b"x")
    _stand_in(monkeypatch, loaded)
    with pytest.raises(WeightsError, match=words):
        load_pt(dense, tmp_path / "w.pt")


def test_a_checkpoint_s_state_dict_is_found(dense, tmp_path, monkeypatch):
    (tmp_path / "w.pt").write_bytes(b"x")
    asked = _stand_in(monkeypatch, {"epoch": 3, "state_dict": {k: _Tensor(v) for k, v in SOUND.items()}})
    load_pt(dense, tmp_path / "w.pt")
    np.testing.assert_array_equal(dense.layers[-1].bias, SOUND["fc.bias"])
    assert asked == [{"map_location": "cpu", "weights_only": True}]


def _stand_in(monkeypatch, loaded) -> list:
    asked = []

    def load(path, **keywords):
        asked.append(keywords)
        if isinstance(loaded, Exception):
            raise loaded
        return loaded

    torch = types.SimpleNamespace(load=load, is_tensor=lambda value: isinstance(value, _Tensor))
    monkeypatch.setitem(sys.modules, "torch", torch)
    return asked


def test_real_files_of_pytorch(dense, tmp_path):
    torch = pytest.importorskip("torch", reason="the extra torch is not installed")
    for legacy in (False, True):
        path = tmp_path / f"{legacy}.pt"
        state = {name: torch.from_numpy(array) for name, array in SOUND.items()}
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        load_pt(dense, path)
        np.testing.assert_array_equal(dense.layers[-1].kernel, SOUND["fc.weight"].T)
    mark = tmp_path / "ran"
    (tmp_path / "trap.pt").write_bytes(pickle.dumps({"fc.weight": Trap(mark)}))
    with pytest.raises(WeightsError, match="opened safely"):
        load_pt(dense, tmp_path / "trap.pt")
    assert not mark.exists()
