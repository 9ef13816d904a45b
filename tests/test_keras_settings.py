"""Keras' settings of this machine are set aside, and told: they do not build other networks, nor end in a traceback."""

import json
import os
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

from tfav import cli, doctor, keras_settings
from tfav.errors import UsageError
from tfav.io import subprocesses
from tfav.systems import SYSTEMS, load
from tfav.training.checkpoints import read_model

PROJECT = Path(__file__).resolve().parents[1]
SMALL = {
    "cnn_lstm": {"num_classes": 3, "num_frames": 4, "image_size": 32, "cnn_filters": (4, 4), "cnn_depths": (1, 1)},
    "two_stream": {"num_classes": 3},
    "next_frame": {},
    "lipnet": {},
    "av_words": {"num_classes": 3},
}


@pytest.fixture
def others():
    """Settings of another project, put back afterwards."""
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float64")
    keras.config.set_epsilon(1e-3)
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def build(name):
    system = load(name)
    return system.build_model(system.Config.preset("demo", **SMALL[name]))


def variables(model):
    return [(variable.path, tuple(variable.shape), variable.dtype) for variable in model.weights]


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_same_network_is_built(name, others, capsys):
    made = variables(build(name))
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "image_data_format=channels_first is set aside" in line]
    assert [line for line in said if "floatx=float64" in line] and [line for line in said if "epsilon=0.001" in line]
    keras.backend.clear_session()
    assert made == variables(build(name))
    assert not capsys.readouterr().err, "told once"


def test_a_saved_model_answers_as_before(tmp_path, others):
    keras.config.set_image_data_format("channels_last")
    inputs = keras.layers.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs)))
    frames = np.random.default_rng(0).random((1, 8, 8, 3), "float32")
    expected = model(frames)
    model.save(tmp_path / "best.keras")
    keras.config.set_image_data_format("channels_first")
    again = read_model(tmp_path / "best.keras")
    np.testing.assert_allclose(again(frames), expected)


def test_keras_imported_with_another_backend_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(UsageError, match=r"Set KERAS_BACKEND=tensorflow, or import tfav before keras. Rec.*=jax"):
        build("next_frame")


def test_a_backend_of_the_environment_or_the_file_is_set_aside(tmp_path):
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text('{"backend": "theano", "floatx": "float32"}', encoding="utf-8")
    asked, imported = "os.environ['KERAS_BACKEND']", "__import__('keras').config.backend()"
    for given, what in (({}, imported), ({"KERAS_BACKEND": ""}, asked), ({"KERAS_BACKEND": "jax"}, asked)):
        code = f"import os, tfav; print({what})"
        environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
        environment |= {"HOME": str(tmp_path)} | given
        command = subprocesses.code_command(code)
        done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "tensorflow", done.stderr[-500:]
        assert ("KERAS_BACKEND=jax is set aside" in done.stderr) == (given.get("KERAS_BACKEND") == "jax")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    def store(**settings):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        monkeypatch.setattr(keras_settings, "_given_backend", None)
        (tmp_path / "keras.json").write_text(json.dumps(settings), encoding="utf-8")

    return store


def test_doctor_tells(stored, monkeypatch):
    stored(backend="tensorflow", image_data_format="channels_last", floatx="float32", epsilon=1e-7)
    assert doctor._keras_settings().state == doctor.OK
    stored(backend="jax", image_data_format="channels_first")
    found = doctor._keras_settings()
    assert found.state == doctor.ASIDE and "keras.json" in found.remedy
    assert "backend=jax" in found.detail and "image_data_format=channels_first" in found.detail
    monkeypatch.setattr(keras_settings, "_given_backend", "torch")
    assert "KERAS_BACKEND=torch" in doctor._keras_settings().detail


@pytest.mark.parametrize("settings", [{"floatx": "bfloat16"}, {"epsilon": 1}, {"image_data_format": "th"}], ids=str)
def test_a_file_that_keras_does_not_start_with_is_named(settings, stored, capsys, tmp_path):
    stored(**settings)
    assert cli.main(["predict", "next_frame", "--run-dir", "pretrained", "a.mp4"]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "keras.json") in said and said.count("\n") == 1
    assert doctor._keras_settings().state == doctor.MISSING


@pytest.mark.parametrize("text", ["{", "[]", "", '{"image_dim_ordering": "th"}'])
def test_a_file_that_keras_passes_over(text, stored, tmp_path):
    stored()
    (tmp_path / "keras.json").write_text(text, encoding="utf-8")
    keras_settings.check_file()
    assert not keras_settings.set_aside()


def test_importing_the_package_loads_no_keras():
    code = "import sys, tfav.keras_settings; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run(subprocesses.code_command(code), cwd=PROJECT, check=False).returncode == 0
