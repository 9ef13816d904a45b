"""Files that are damaged, absurd, hostile or something else: one clear line each, soon, and nothing big allocated."""

import gzip
import io
import json
import subprocess
import sys
import time
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from tests.weights.keras_h5.test_keras1 import dense, layer, rand, write_keras1
from tfav.weights import WeightsError
from tfav.weights.keras_h5 import sandbox
from tfav.weights.keras_h5.inspection import inspect
from tfav.weights.keras_h5.loader import load_legacy_model

pytestmark = pytest.mark.timeout(300)  # some start sixty processes, on a machine that may be busy


def _zip_of(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


LOOKALIKES = {
    "empty": (b"", "it is empty"),
    "html": (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>", "HTML page.*Google Drive"),
    "text": (b"sorry, no such file\n", "plain text"),
    "zip": (_zip_of("spatial.h5", "spatial.log"), r"zip archive that holds spatial\.h5.*Unpack"),
    "keras 3": (
        _zip_of("config.json", "metadata.json", "model.weights.h5"),
        r"\.keras file.*keras\.models\.load_model",
    ),
    "cut zip": (_zip_of("spatial.h5")[:60], "truncated zip"),
    "gzip": (gzip.compress(b"x"), "gzip"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "pickle": (b"\x80\x04\x95", "pickle, which is never opened"),
    "json": (b'{"class_name": "Sequential"}', "JSON"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(20), r"TensorFlow Lite model \(\.tflite\)"),
    "safetensors": ((9).to_bytes(8, "little") + b'{"a": {}}', "safetensors file"),
    "PyTorch": (_zip_of("archive/data.pkl", "archive/data/0"), r"PyTorch file.*load_pt"),
    "npz": (_zip_of("a.npy", "b.npy"), r"NumPy arrays \(\.npz\)"),
    "SavedModel, packed": (_zip_of("m/saved_model.pb"), "zip archive of a TensorFlow SavedModel"),
    "noise": (bytes(range(128, 256)) * 4, "no format known|pickle"),
}


@pytest.mark.parametrize("kind", LOOKALIKES)
def test_a_file_of_another_kind_is_named(tmp_path, kind):
    content, words = LOOKALIKES[kind]
    path = tmp_path / "spatial.h5"
    path.write_bytes(content)
    for opened in (load_legacy_model, inspect):
        with pytest.raises(WeightsError, match=words) as caught:
            opened(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders_are_told(tmp_path):
    with pytest.raises(WeightsError, match=r"no such file"):
        load_legacy_model(tmp_path / "nowhere.h5")
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"SavedModel"):
        load_legacy_model(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.onnx", "an ONNX model"),
        ("saved_model.pb", "part of a TensorFlow SavedModel.*Give its folder"),
        ("frozen.pb", "a TensorFlow graph"),
        ("ckpt.index", "part of a TensorFlow checkpoint.*load_checkpoint"),
        ("ckpt.data-00000-of-00001", "part of a TensorFlow checkpoint.*load_checkpoint"),
        ("checkpoint", "part of a TensorFlow checkpoint.*load_checkpoint"),
    ],
)
def test_what_has_no_mark_is_known_by_its_name(name, words, tmp_path):
    (tmp_path / name).write_bytes(b"\x08\x07\x12\x00")
    with pytest.raises(WeightsError, match=words) as caught:
        inspect(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        (("config.json", "metadata.json"), r"an unpacked Keras 3 \.keras file"),
        (("ckpt.index",), "a folder with TensorFlow checkpoints"),
        (("old.h5", "log"), r"Pass the \.h5 file inside: old\.h5\."),
        ((), r"it is a folder\. Pass"),
    ],
)
def test_a_folder_is_told_by_what_is_in_it(inside, words, tmp_path):
    for name in inside:
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match=words):
        inspect(tmp_path)


def _rewrite_config(path, change):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config) or config)


@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_truncated_files_are_told(small, kept):
    content = small.read_bytes()
    small.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(WeightsError, match=r"truncated|damaged"):
        load_legacy_model(small)


def test_scrambled_files_give_an_error_or_a_model_but_nothing_else(small):
    content = bytearray(small.read_bytes())
    random = np.random.default_rng(0)
    for _ in range(60):
        spoilt = bytearray(content)
        for place in random.integers(8, len(content), 12):
            spoilt[place] = random.integers(256)
        small.write_bytes(spoilt)
        try:
            inspect(small)
        except WeightsError as error:
            assert "\n" not in str(error)


def test_an_absurd_layer_is_refused_before_it_is_allocated(small):
    def widen(config):
        config["config"][0]["config"]["output_dim"] = 10**12

    _rewrite_config(small, widen)
    with pytest.raises(WeightsError, match=r"asks for a weight of shape .3, 1000000000000."):
        load_legacy_model(small)


def test_an_absurd_recurrent_and_embedding_layer(tmp_path):
    units = 10**7
    for config in (
        layer("LSTM", "r", output_dim=units, init="zero", inner_init="orthogonal", batch_input_shape=[None, 4, 4]),
        layer("Embedding", "r", input_dim=units, output_dim=units, init="uniform", batch_input_shape=[None, 4]),
    ):
        path = write_keras1(tmp_path / "r.h5", "Sequential", [config], {"r": [("r_W", rand(2, 2))]})
        with pytest.raises(WeightsError, match=r"'r' asks for a weight"):
            load_legacy_model(path)


@pytest.mark.parametrize(("number", "length"), [(0, 0), (1, 2**64 - 16)])
def test_a_heap_that_never_ends_is_refused(small, number, length):
    content = bytearray(small.read_bytes())
    at = content.index(b"GCOL") + 16
    while int.from_bytes(content[at : at + 2], "little") != number:
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = length.to_bytes(8, "little")
    small.write_bytes(content)
    # In a process of its own: the HDF5 library would not come back.
    program = f"from tfav.weights.keras_h5.inspection import inspect; inspect({str(small)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "a heap that never ends" in done.stderr.splitlines()[-1]


def test_heaps_within_heaps_are_refused_soon(small):
    # Each reaches to the end of the file, by objects that leap over the heads of those behind it.
    heap = b"GCOL\x01\0\0\0" + b"".join(number.to_bytes(8, "little") for number in (2**40, 1, 16))
    small.write_bytes(small.read_bytes() + heap * 100_000)
    started = time.monotonic()
    with pytest.raises(WeightsError, match="heaps within heaps"):
        inspect(small)
    assert time.monotonic() - started < 20


def test_a_file_behind_a_block_of_the_users_is_read(small):
    with h5py.File(small) as file, h5py.File(small.with_name("user.h5"), "w", userblock_size=1024) as copy:
        for name, value in file.attrs.items():
            copy.attrs[name] = value
        for name in file:
            file.copy(name, copy)
    assert inspect(small.with_name("user.h5")).layers


def test_declared_data_that_is_not_there_is_refused(small):
    with h5py.File(small, "r+") as file:
        group = file["model_weights/dense_1"]
        del group["dense_1_W"]
        group.create_dataset("dense_1_W", shape=(10**6, 10**6), dtype="float32", chunks=(1000, 1000))
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"declares shape .*holds 0 of"):
        load_legacy_model(small)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_a_compression_bomb_is_refused(small):
    with h5py.File(small, "r+") as file:
        group = file["model_weights/dense_1"]
        del group["dense_1_W"]
        zeros = np.zeros((4000, 10_000), "float32")
        group.create_dataset("dense_1_W", data=zeros, chunks=(1000, 10_000), compression="gzip")
    with pytest.raises(WeightsError, match=r"times more data"):
        load_legacy_model(small)


@pytest.mark.parametrize("kind", ["external", "soft", "external group", "virtual", "raw external"])
def test_nothing_outside_the_file_is_read(small, tmp_path, kind):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = rand(3, 4)
    (tmp_path / "raw.bin").write_bytes(b"\0" * 48)
    with h5py.File(small, "r+") as file:
        group = file["model_weights/dense_1"]
        if kind == "external group":
            del file["model_weights/dense_1"]
            file["model_weights"]["dense_1"] = h5py.ExternalLink(str(other), "/")
        else:
            del group["dense_1_W"]
        if kind == "external":
            group["dense_1_W"] = h5py.ExternalLink(str(other), "/secret")
        elif kind == "soft":
            group["dense_1_W"] = h5py.SoftLink("/model_weights/dense_1/dense_1_b")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape=(3, 4), dtype="float32")
            layout[:] = h5py.VirtualSource(str(other), "secret", shape=(3, 4))
            group.create_virtual_dataset("dense_1_W", layout)
        elif kind == "raw external":
            group.create_dataset("dense_1_W", (3, 4), "float32", external=[(str(tmp_path / "raw.bin"), 0, 48)])
    with pytest.raises(WeightsError, match=r"not followed"):
        load_legacy_model(small)


def _graph(*edges):
    """A Keras 2 functional config of Dense layers; `edges` are `(layer, inputs)`."""
    source = {"batch_input_shape": [None, 4], "dtype": "float32", "sparse": False, "name": "in"}
    layers = [{"class_name": "InputLayer", "name": "in", "config": source, "inbound_nodes": []}]
    for name, inputs in edges:
        config = {"name": name, "units": 4, "activation": "linear", "use_bias": False}
        nodes = [[[i, 0, 0, {}]] for i in inputs]
        layers.append({"class_name": "Dense", "name": name, "config": config, "inbound_nodes": nodes})
    end = [[edges[-1][0], 0, 0]]
    return {"name": "m", "layers": layers, "input_layers": [["in", 0, 0]], "output_layers": end}


def _write_graph(path, config, names):
    return write_keras1(path, "Model", config, {n: [(f"{n}/kernel:0", rand(4, 4))] for n in names}, version="2.1.6")


def test_cyclic_graphs_and_dangling_references_are_refused(tmp_path):
    cyclic = _graph(("a", ["c"]), ("b", ["a"]), ("c", ["b"]))
    with pytest.raises(WeightsError, match=r"circle through layers \['a', 'b', 'c'\]"):
        load_legacy_model(_write_graph(tmp_path / "c.h5", cyclic, "abc"))
    for dangling in (_graph(("a", ["nobody"])), _graph(("a", []))):
        with pytest.raises(WeightsError, match=r"does not exist|not there"):
            load_legacy_model(_write_graph(tmp_path / "d.h5", dangling, "a"))


def test_a_long_chain_in_the_wrong_order_still_loads(tmp_path):
    names = [f"d{i}" for i in range(30)]
    chain = _graph(*[(name, [names[i - 1] if i else "in"]) for i, name in enumerate(names)])
    chain["layers"][1:] = chain["layers"][:0:-1]
    assert load_legacy_model(_write_graph(tmp_path / "l.h5", chain, names)).count_params() == 30 * 16


def test_models_in_models_that_double_at_every_level_are_refused(tmp_path):
    config, class_name = _graph(("a", ["in"])), "Model"
    for level in range(30):
        inner = {"class_name": class_name, "name": f"n{level}", "config": config}
        inner["inbound_nodes"] = [[["in", 0, 0, {}]], [[f"n{level}", 1, 0, {}]]]
        source = _graph(("a", ["in"]))["layers"][0]
        ends = [[f"n{level}", 2, 0]]
        config = {"name": f"m{level}", "layers": [source, inner], "input_layers": [["in", 0, 0]], "output_layers": ends}
    with pytest.raises(WeightsError, match=r"layer calls"):
        load_legacy_model(_write_graph(tmp_path / "d.h5", config, "a"))


def test_deep_nesting_is_refused(small):
    with h5py.File(small, "r+") as file:
        file.attrs["model_config"] = '{"a":' * 15_000
    with pytest.raises(WeightsError, match=r"nested too deeply|not valid JSON"):
        load_legacy_model(small)

    config = dense("dense_1", 4, batch_input_shape=[None, 3])
    for _ in range(60):
        config = {"class_name": "Sequential", "config": [config]}
    with h5py.File(small, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(WeightsError, match=r"deep"):
        load_legacy_model(small)


@pytest.mark.parametrize(
    "config",
    [
        [],
        {},
        "text",
        3,
        {"class_name": "Dense"},
        {"class_name": "Model", "config": {"layers": 3}},
        {"class_name": 1, "config": 2},
    ],
)
def test_an_architecture_that_is_none_is_refused(small, config):
    _rewrite_config(small, lambda _: config)
    with h5py.File(small, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(WeightsError):
        load_legacy_model(small)


def test_wrong_shapes_and_missing_arrays_are_told(small, tmp_path):
    with h5py.File(small, "r+") as file:
        group = file["model_weights/dense_1"]
        del group["dense_1_W"]
        group["dense_1_W"] = rand(3, 5)
    with pytest.raises(
        WeightsError, match=r"'dense_1' does not fit: .*kernel is stored as \[3, 5\].*the model has \[3, 4\]"
    ):
        load_legacy_model(small)
    with h5py.File(small, "r+") as file:
        file["model_weights/dense_1"].attrs["weight_names"] = [b"dense_1_b"]
    with pytest.raises(WeightsError, match=r"takes 2 arrays, the file stores 1"):
        load_legacy_model(small)
    with h5py.File(small, "r+") as file:
        file["model_weights/dense_1"].attrs["weight_names"] = [b"dense_1_W", b"gone"]
    with pytest.raises(WeightsError, match=r"'gone' of layer 'dense_1' is listed but not stored"):
        load_legacy_model(small)


def test_hdf5_that_is_not_keras_is_told(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = rand(3)
    with pytest.raises(WeightsError, match=r"not a Keras file"):
        load_legacy_model(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_group("_layer_checkpoint_dependencies")
    with pytest.raises(WeightsError, match=r"model\.load_weights"):
        load_legacy_model(tmp_path / "y.h5")


def test_objects_and_text_in_place_of_numbers_are_refused(small):
    with h5py.File(small, "r+") as file:
        group = file["model_weights/dense_1"]
        del group["dense_1_b"]
        group["dense_1_b"] = np.array(["a", "b"], dtype=h5py.string_dtype())
    with pytest.raises(WeightsError, match=r"not numbers"):
        load_legacy_model(small)


def test_settings_of_the_wrong_kind_name_the_layer(small):
    def spoil(config):
        config["config"][0]["config"]["activation"] = "evil_function"

    _rewrite_config(small, spoil)
    with pytest.raises(WeightsError, match=r"activation 'evil_function'.*custom_objects"):
        load_legacy_model(small)


def _places(value, place=()):
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*place, key))


def test_no_spoilt_configuration_escapes_as_another_error(tmp_path, monkeypatch):
    """Every value of a configuration replaced in turn by something absurd: a model or a `WeightsError`."""
    # The HDF5 file itself is sound, so that no process need read it first.
    monkeypatch.setattr(sandbox, "check", lambda path: None)
    config = _graph(("a", ["in"]), ("b", ["a"]))
    path = _write_graph(tmp_path / "f.h5", config, "ab")
    absurd = [None, -1, 10**15, "x", [], {}, float("nan"), {"class_name": "Lambda", "config": {}}]
    random = np.random.default_rng(0)
    for place in list(_places(config))[1:]:
        spoilt = json.loads(json.dumps(config))
        holder = spoilt
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = absurd[random.integers(len(absurd))]
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": spoilt})
        for opened in (inspect, load_legacy_model):
            try:
                opened(path)
            except WeightsError as error:
                assert "\n" not in str(error)
