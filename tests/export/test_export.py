"""Exported models answer as the runs do, opened without tfav or Keras; what cannot be exported says why."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.export.made_runs import OTHERS, SMALL, make_run
from tfav import cli, export, systems
from tfav.errors import TfavError, UsageError
from tfav.export import formats
from tfav.export.export_run import compare
from tfav.layers import BidirectionalGRU
from tfav.systems.lipnet.augment import to_input
from tfav.systems.lipnet.config import Config as LipConfig
from tfav.systems.lipnet.export import standardized
from tfav.systems.lipnet.reader import open_reader
from tfav.training import checkpoints
from tfav.training.export_spec import Exported, made_pictures, portable, resized

KINDS = {name: (name, fields) for name, fields in SMALL.items()} | OTHERS
OTHER_RUNTIME = """
import json, sys
import keras
import numpy as np
import tensorflow as tf
before = set(sys.modules)  # TensorFlow alone brings parts of Keras in
loaded = tf.saved_model.load(sys.argv[1])
with np.load(sys.argv[2]) as stored:
    inputs = {name: tf.constant(stored[name]) for name in stored}
answers = loaded.signatures["serving_default"](**inputs)
assert not any(name.split(".")[0] in ("keras", "tfav") for name in set(sys.modules) - before)
assert "tfav" not in sys.modules
np.savez(sys.argv[3], **{name: value.numpy() for name, value in answers.items()})
"""


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """A function from a name of `KINDS` to its run folder, made once."""
    made = {}

    def find(name):
        if name not in made:
            made[name] = make_run(tmp_path_factory.mktemp("run") / "run", *KINDS[name])
        return made[name]

    return find


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_model_answers_as_the_run_does(name, run_of):
    run_dir = run_of(name)
    written = export.export(run_dir, "saved_model", progress=lambda line: None)
    assert written.path == run_dir / "exported" / "saved_model" and written.difference <= 1e-5
    exported = systems.load(KINDS[name][0]).export(run_dir)
    answer = formats.open_saved_model(written.path)
    assert [{len(array) for array in example.values()} for example in exported.examples] == [{1}] * 3
    example = exported.examples[1]
    expected = {key: np.asarray(value) for key, value in exported.serve(**_tensors(example)).items()}
    found = answer(example)
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)
        assert value.min() >= 0 and value.max() <= 1 and value.std() > 0
    card = json.loads(written.card.read_text(encoding="utf-8"))
    assert sorted(card["inputs"]) == sorted(example) and card["checked"]["max_difference"] == written.difference
    assert card["outputs"] == {
        key: {"shape": [None, *value.shape[1:]], "dtype": "float32"} for key, value in expected.items()
    }


def _tensors(arrays):
    return {name: tf.constant(array) for name, array in arrays.items()}


def test_a_saved_model_needs_neither_keras_nor_tfav_and_takes_any_size(run_of, tmp_path):
    run_dir = run_of("two_stream")
    out = tmp_path / "elsewhere"
    export.export(run_dir, "saved_model", out, progress=lambda line: None)
    exported = systems.load("two_stream").export(run_dir)
    flow = made_pictures(5, (2, 40, 60, exported.examples[0]["flow"].shape[-1]))
    np.savez(tmp_path / "inputs.npz", flow=flow)
    arguments = [str(out), str(tmp_path / "inputs.npz"), str(tmp_path / "answers.npz")]
    subprocess.run([sys.executable, "-c", OTHER_RUNTIME, *arguments], check=True, cwd=tmp_path, timeout=300)
    with np.load(tmp_path / "answers.npz") as answers:
        expected = exported.serve(flow=tf.constant(flow))["class"]
        np.testing.assert_allclose(answers["class"], expected, atol=1e-5)


def test_lipnet_answers_what_its_reader_says(run_of):
    run_dir = run_of("lipnet")
    exported = systems.load("lipnet").export(run_dir)
    reader = open_reader(run_dir)
    example = exported.examples[2]
    frames = standardized(reader.config, example["mouths"], example["frame_count"]).numpy()
    (posteriors,) = reader.posteriors(frames, example["frame_count"])
    answers = exported.serve(**_tensors(example))
    count = int(example["frame_count"][0])
    assert count < reader.config.num_frames
    # The run computes in bfloat16, what is exported in float32.
    np.testing.assert_allclose(answers["labels"][0, :count], np.exp(posteriors.labels), atol=0.02)
    np.testing.assert_allclose(answers["words"][0, :count], np.exp(posteriors.words), atol=0.02)


@pytest.mark.parametrize("normalize", ["clip", "wrapped"])
def test_standardising_a_batch_is_standardising_each_clip(normalize):
    config = LipConfig.preset("demo", num_frames=6, crop_size=(8, 10), normalize=normalize)
    frames = made_pictures(0, (3, 6, 8, 10, 1))
    counts = np.array([6, 2, 4], np.int32)
    found = standardized(config, tf.constant(frames), tf.constant(counts)).numpy()
    for clip, count, ours in zip(frames, counts, found, strict=True):
        np.testing.assert_allclose(ours, to_input(config, tf.constant(clip), tf.constant(count)), atol=1e-4)


def test_frames_are_chosen_as_everywhere_else():
    from tfav.io.sampling import indices_evenly
    from tfav.systems.cnn_lstm.export import _choose

    for count in (1, 2, 5, 6, 7, 23):
        frames = np.arange(1, 2 * count + 1).reshape(2, count, 1)
        chosen, mask = tf.function(lambda x: _choose(x, 6, axis=1))(tf.constant(frames))
        expected = frames[:, indices_evenly(count, 6)]
        np.testing.assert_array_equal(chosen[:, : expected.shape[1]], expected)
        np.testing.assert_array_equal(mask, np.repeat([np.arange(6) < count], 2, axis=0))
        assert not chosen.numpy()[:, expected.shape[1] :].any()


def test_a_model_in_bfloat16_becomes_one_in_float32(run_of):
    model = checkpoints.read_model(run_of("lipnet") / "best.keras")
    plain = portable(model)
    assert {layer.compute_dtype for layer in plain.layers} <= {"float32", "int32"}
    assert "bfloat16" in {layer.compute_dtype for layer in model.layers}
    for ours, theirs in zip(plain.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_recurrent_layers_as_keras_has_them_answer_alike(run_of):
    model = portable(checkpoints.read_model(run_of("lipnet") / "best.keras"))
    frames = made_pictures(2, (2, 12, 16, 32, 1)) / np.float32(255)
    inputs = {"frames": frames, "frame_count": np.array([12, 7], np.int32)}
    theirs = model(inputs, training=False)
    layers = [layer for layer in model.layers if isinstance(layer, BidirectionalGRU)]
    assert len(layers) == 2
    for layer in layers:
        layer.as_keras = False
    ours = model(inputs, training=False)
    for name in ("labels", "words"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)


def test_a_converter_takes_a_portable_recurrent_layer(tmp_path):
    """tf2onnx knows the loops of Keras and not the one that trains on a CPU."""
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    model = portable(keras.Sequential([keras.Input((3, 2)), BidirectionalGRU(2)]))
    steps = np.random.default_rng(0).normal(size=(1, 3, 2)).astype(np.float32)
    spec = {"steps": tf.TensorSpec([None, 3, 2], tf.float32, name="steps")}
    exported = Exported(lambda steps: {"state": model(steps)}, spec, [{"steps": steps}], "", {})
    formats.write_onnx(exported, tmp_path / "m.onnx")
    np.testing.assert_allclose(
        formats.open_onnx(tmp_path / "m.onnx")({"steps": steps})["state"], model(steps), atol=1e-5
    )


def test_resizing_leaves_frames_of_the_right_size_alone():
    frames = made_pictures(1, (2, 8, 10, 3))
    np.testing.assert_array_equal(resized(tf.constant(frames), (8, 10)), frames)
    flat = np.repeat(np.array([0, 77, 255], np.uint8), 8 * 10 * 3).reshape(1, 3, 8, 10, 3)
    smaller = tf.function(lambda x: resized(x, (4, 5)))(tf.constant(flat)).numpy()
    np.testing.assert_array_equal(smaller, flat[:, :, :4, :5])


def test_other_answers_are_not_written(run_of, monkeypatch, tmp_path):
    liar = formats.FORMATS["saved_model"]._replace(open=lambda path: lambda inputs: {"class": np.zeros((1, 3), "f")})
    monkeypatch.setitem(formats.FORMATS, "saved_model", liar)
    with pytest.raises(TfavError, match="answers differ from the run's"):
        export.export(run_of("cnn_lstm"), "saved_model", tmp_path / "out", progress=lambda line: None)
    broken = liar._replace(write=lambda exported, path: 1 / 0)
    monkeypatch.setitem(formats.FORMATS, "saved_model", broken)
    with pytest.raises(TfavError, match="SavedModel cannot hold this model: division by zero"):
        export.export(run_of("cnn_lstm"), "saved_model", tmp_path / "out", progress=lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_model_may_have_a_wider_bound(run_of, monkeypatch, tmp_path):
    exported = systems.load("cnn_lstm").export(run_of("cnn_lstm"))

    def off_by(difference):
        def answer(inputs):
            return {name: value.numpy() + difference for name, value in exported.serve(**inputs).items()}

        return formats.FORMATS["saved_model"]._replace(open=lambda path: answer)

    monkeypatch.setitem(formats.FORMATS, "saved_model", off_by(5e-5))
    with pytest.raises(TfavError, match=r"differ from the run's by 5e-05, more than 1e-05"):
        export.export(run_of("cnn_lstm"), "saved_model", tmp_path / "out", progress=lambda line: None)
    monkeypatch.setattr("tfav.systems.cnn_lstm.export", lambda run_dir: exported._replace(amplifies=10.0))
    written = export.export(run_of("cnn_lstm"), "saved_model", tmp_path / "out", progress=lambda line: None)
    assert written.tolerance == pytest.approx(1e-4) and written.difference == pytest.approx(5e-5, rel=0.05)
    assert json.loads(written.card.read_text())["checked"]["tolerance"] == pytest.approx(1e-4)
    monkeypatch.setitem(formats.FORMATS, "saved_model", off_by(2e-4))
    with pytest.raises(TfavError, match=r"more than 0\.0001"):
        export.export(run_of("cnn_lstm"), "saved_model", tmp_path / "other", progress=lambda line: None)


def test_a_number_that_is_none_is_a_difference(run_of):
    exported = systems.load("cnn_lstm").export(run_of("cnn_lstm"))
    difference, _ = compare(exported, lambda inputs: {"class": np.full((1, 3), np.nan, "f")}, lambda line: None)
    assert np.isnan(difference) and not difference <= 1.0


def test_wrong_calls(run_of, tmp_path, capsys):
    with pytest.raises(UsageError, match="unknown format 'tflite'"):
        export.export(run_of("cnn_lstm"), "tflite")
    assert cli.main(["export", "--run-dir", str(tmp_path), "--format", "onnx"]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert cli.main(["export", "--run-dir", "pretrained", "--format", "onnx"]) == 2
    assert "Systems that ship some" in capsys.readouterr().err


def test_command_line(run_of, tmp_path, capsys):
    out = tmp_path / "model é"
    arguments = ["export", "--run-dir", run_of("cnn_lstm"), "--format", "saved_model", "--out", out, "--json"]
    assert cli.main([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("example ") for line in said) == 3 and any("(allowed: 1e-05)" in line for line in said)
    assert json.loads(said[-1])["path"] == str(out) and (out / "saved_model.pb").is_file()


def test_onnx(run_of, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    for name in ("cnn_lstm", "two_stream", "lipnet", "av_words"):
        path = tmp_path / f"{name}.onnx"
        written = export.export(run_of(name), "onnx", path, progress=lambda line: None)
        assert written.difference <= 1e-4
        (example,) = systems.load(name).export(run_of(name)).examples[:1]
        two = {key: np.concatenate([array, array]) for key, array in example.items()}
        answers = formats.open_onnx(path)(two)
        for answer in answers.values():
            np.testing.assert_allclose(answer[0], answer[1], atol=1e-6)


def test_litert_says_what_it_lacks(run_of, tmp_path):
    with pytest.raises(TfavError, match="LiteRT cannot hold this model: it has no operation MaxPool3D"):
        export.export(run_of("lipnet"), "litert", tmp_path / "model.tflite", progress=lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_litert(run_of, tmp_path):
    written = export.export(run_of("cnn_lstm"), "litert", tmp_path / "model.tflite", progress=lambda line: None)
    assert written.difference <= 1e-4
    assert json.loads(written.card.read_text())["inputs"]["frames"]["shape"][0] == 1
