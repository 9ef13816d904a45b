"""What holds for every system, asked of each through its `SYSTEM` alone, of a sixth one too."""

import ast
import dataclasses
import inspect
import itertools
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.systems.made_data import MAKERS
from tfav import cli
from tfav.cli.commands import parsed
from tfav.systems import SYSTEMS, load
from tfav.training.system import KINDS, MEMBERS, given

NAMES = sorted(SYSTEMS)
PACKAGE = Path(cli.__file__).resolve().parents[1]
OPTIONS = {"prepare": "PrepareOptions", "evaluate": "EvaluateOptions", "predict_files": "PredictOptions"}


def documented(cls) -> set[str]:
    """Fields of a dataclass that its docstring, or one of a base, says something of; or the string below a field."""
    found = set()
    for base in cls.__mro__[:-1]:
        found |= set(re.findall(r"^ {4}(\w+): \S", inspect.getdoc(base) or "", re.MULTILINE))
        body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(base))).body[0].body
        for statement, following in itertools.pairwise(body):
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if isinstance(statement, ast.AnnAssign) and is_text:
                found.add(statement.target.id)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_system_has_every_member(name):
    system = load(name)
    assert system.name == name == Path(sys.modules[system.package].__file__).parent.name
    assert system.kind in KINDS and system.summary and "\n" not in system.summary
    assert not [member for member in MEMBERS if getattr(system, member, None) is None]
    with pytest.raises(AttributeError, match="has no 'prediction'"):
        _ = system.prediction


@pytest.mark.parametrize("name", NAMES)
def test_functions_take_what_the_contract_gives_them(name):
    system = load(name)
    for function, arguments in {
        "open_data": ["config"],
        "build_datasets": ["config"],
        "build_model": ["config"],
        "compile_args": ["config"],
        "callbacks": ["config", "run_dir"],
        "train": ["config", "run_dir", "devices"],
        "prepare": ["source", "out"],
        "evaluate": ["run_dir", "data_dir", "part", "progress"],
        "predict_files": ["run_dir", "files"],
        "export": ["run_dir"],
        "demo": ["out_dir"],
        "describe_evaluation": ["result"],
    }.items():
        parameters = inspect.signature(getattr(system, function)).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        own = dataclasses.fields(getattr(system, OPTIONS[function])) if function in OPTIONS else ()
        wanted = {*arguments, *(field.name for field in own)}
        assert takes_all or not wanted - set(parameters), function


@pytest.mark.parametrize("name", NAMES)
def test_presets_survive_json_and_are_complete(name):
    system = load(name)
    assert {"notebook", "demo"} <= set(system.PRESETS) and {"cpu", "transfer"} & set(system.PRESETS)
    for preset in system.PRESETS:
        config = system.Config.preset(preset)
        stored = json.loads(json.dumps(config.to_dict()))
        assert system.Config.from_dict(stored) == config == pickle.loads(pickle.dumps(config))
        assert config.preset_name == preset


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_documented_and_a_flag(name, capsys):
    system = load(name)
    for cls in (system.Config, *(getattr(system, options) for options in OPTIONS.values())):
        assert not {field.name for field in dataclasses.fields(cls)} - documented(cls), cls.__name__
    default = system.Config.preset("demo")
    for field in dataclasses.fields(system.Config):
        value = getattr(default, field.name)
        if field.name == "preset_name" or isinstance(value, bool) or value in ("", (), None):
            continue
        words = [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
        flag = "--" + field.name.replace("_", "-")
        _, _, config = parsed("train", [name, "--preset", "demo", "--run-dir", "r", flag, *words])
        assert getattr(config, field.name) == value, field.name


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_few(name):
    assert len(dataclasses.fields(load(name).Config)) <= 45


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["prepare", "evaluate", "predict"])
def test_a_wrong_option_is_one_line(name, command, capsys):
    assert cli.main([command, name, "--nonesuch", "3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "nonesuch" in said
    with pytest.raises(TypeError, match="nonesuch"):
        getattr(load(name), OPTIONS[{"predict": "predict_files"}.get(command, command)])(nonesuch=3)


@dataclasses.dataclass
class Trained:
    """A system after one epoch on made data, by Keras' own `fit`."""

    system: object
    config: object
    run_dir: Path
    val: tf.data.Dataset


@pytest.fixture(scope="module", params=NAMES)
def trained(request, tmp_path_factory):
    """One epoch of a few steps on made data."""
    folder = tmp_path_factory.mktemp(request.param)
    system = load(request.param)
    config = system.Config.preset("demo", **MAKERS[request.param](folder))
    keras.utils.set_random_seed(0)
    train, val, _ = system.build_datasets(config)
    model = system.build_model(config)
    model.compile(**system.compile_args(config))
    history = model.fit(
        train.take(2), validation_data=val, epochs=1, verbose=0, callbacks=system.callbacks(config, folder / "run")
    )
    assert np.isfinite(history.history["loss"]).all()
    return Trained(system, config, folder / "run", val)


_RELOAD = """
import sys, keras, numpy as np, tfav
from tfav.systems import load
load(sys.argv[1]).build_model
from tfav.training import checkpoints
model = checkpoints.read_model(sys.argv[2])
inputs = dict(np.load(sys.argv[3]))
outputs = model(inputs if len(inputs) > 1 or isinstance(model.input, dict) else inputs["0"], training=False)
np.savez(sys.argv[4], *keras.tree.flatten(outputs))
"""


def test_what_fit_leaves_gives_the_same_outputs_in_another_process(trained, tmp_path):
    from tfav.training import checkpoints

    model = checkpoints.read_model(trained.run_dir / "best.keras")
    inputs = next(iter(trained.val))[0]
    named = inputs if isinstance(inputs, dict) else {"0": inputs}
    np.savez(tmp_path / "in.npz", **{key: np.asarray(value) for key, value in named.items()})
    outputs = keras.tree.flatten(model(inputs, training=False))
    arguments = [trained.system.name, trained.run_dir / "best.keras", tmp_path / "in.npz", tmp_path / "out.npz"]
    done = subprocess.run([sys.executable, "-c", _RELOAD, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(tmp_path / "out.npz") as stored:
        for one, other in zip(outputs, (stored[key] for key in stored.files), strict=True):
            np.testing.assert_allclose(keras.ops.convert_to_numpy(one).astype("f"), other.astype("f"), atol=1e-5)


def test_a_run_is_evaluated_and_says_its_scores(trained):
    result = trained.system.evaluate(
        trained.run_dir, part="val", progress=False, **given(trained.system.EvaluateOptions())
    )
    assert result["failed"] == [] and trained.system.describe_evaluation(result)
    json.dumps(result)


def test_mixed_precision_trains(trained):
    config = dataclasses.replace(trained.config, precision="mixed_bfloat16")
    train, _, _ = trained.system.build_datasets(config)
    model = trained.system.build_model(config)
    model.compile(**trained.system.compile_args(config))
    history = model.fit(train.take(1), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}


# The house -----------------------------------------------------------------------------------------------------------


def test_names_of_systems_stand_in_their_folders_alone():
    words = re.compile(rf"\b({'|'.join(NAMES)})\b")
    found = []
    for path in PACKAGE.rglob("*.py"):
        if "systems" in path.relative_to(PACKAGE).parts:
            continue
        text = path.read_text(encoding="utf-8").replace("lipnet-grid", "")  # the name of a data set
        for number, line in enumerate(text.splitlines(), 1):
            if words.search(line):
                found.append(f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def _imports(path: Path, files: dict[str, Path]) -> set[str]:
    """Modules of the package that a file imports where it begins, not inside functions."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tfav"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in files else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(files)


def test_no_two_files_import_one_another():
    files = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }
    graph = {name: _imports(path, files) for name, path in files.items()}

    def reach(start: str) -> set[str]:
        seen, ahead = set(), [start]
        while ahead:
            for target in graph[ahead.pop()] - seen:
                seen.add(target)
                ahead.append(target)
        return seen

    assert not [name for name in graph if name in reach(name)]
