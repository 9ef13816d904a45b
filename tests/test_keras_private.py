"""What Keras does not promise is used in one file, and is there: run with every Keras that setup.cfg allows."""

import ast
import re

import keras
import numpy as np
import pytest

from tests.test_floors import MODULES, PACKAGE
from tfav import keras_private


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((4, 3))
    inner = keras.layers.LSTM(2, return_sequences=True, name="inner")
    x = keras.layers.Bidirectional(inner, name="both")(inputs)
    x = keras.ops.mean(x, axis=1)
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(x))
    model.compile("sgd", "mse")
    return model


# Nobody else ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private(model):
    """Names with an underscore that Keras' classes and their instances have."""
    callbacks = keras.callbacks
    layer, tensor = model.layers[-1], model.output
    operation = tensor._keras_history.operation
    instances = [model, model.optimizer, keras.layers.LSTM(1), layer, layer.kernel, tensor, operation]
    instances += [operation._inbound_nodes[0], keras.metrics.Mean(), keras.losses.MeanSquaredError()]
    instances += [callbacks.EarlyStopping(), callbacks.ReduceLROnPlateau(), callbacks.BackupAndRestore("a")]
    return {name for one in instances for name in dir(one) if re.match("_[^_]", name)}


def of_keras(tree: ast.Module) -> set[ast.AST]:
    """All that stands inside classes that inherit from one of Keras'."""
    found = set()
    for node in ast.walk(tree):
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if any(base.startswith(("keras.", "layers.")) for base in bases):
            found |= set(ast.walk(node))
    return found


def uses(source: str, private: set[str]) -> list[str]:
    """`line: what` for each private part of Keras that a source uses or takes the place of."""
    tree = ast.parse(source)
    if "keras" not in source:
        return []
    inside, found = of_keras(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
            found += [(node.lineno, name) for name in names if name.startswith(("keras.src", "keras._"))]
        elif isinstance(node, ast.Attribute) and node.attr in private:
            is_own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            found += [(node.lineno, ast.unparse(node))] if node in inside or not is_own else []
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("keras.src"):
            found.append((node.lineno, "keras.src"))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            found += [(node.lineno, name) for name in names if name in private]
        elif isinstance(node, ast.FunctionDef) and node.name in private and node in inside:
            found.append((node.lineno, f"def {node.name}"))
    return [f"{line}: {what}" for line, what in found]


def test_private_parts_of_keras_stand_in_one_file(private):
    sources = {path: path.read_text(encoding="utf-8") for path in MODULES if path.name != "keras_private.py"}
    found = {str(path.relative_to(PACKAGE)): uses(source, private) for path, source in sources.items()}
    assert not {name: lines for name, lines in found.items() if lines}


@pytest.mark.parametrize(
    "line",
    [
        "from keras.src.layers import Layer",
        "import keras.src.ops",
        "keras.src.ops.add(1, 2)",
        "model._initial_epoch = 3",
        "getattr(model, '_initial_epoch')",
        "[layer for layer in model._flatten_layers()]",
        "class A(keras.layers.Layer):\n    def f(self):\n        self._track_variable(1)",
        "class A(keras.callbacks.BackupAndRestore):\n    def _save_model(self):\n        pass",
    ],
)
def test_the_rule_would_notice(line, private):
    assert uses(f"import keras\n{line}", private)


def test_the_rule_leaves_ones_own_alone(private):
    assert not uses("import keras\nclass A:\n    def __init__(self):\n        self._lock = self._path = 1", private)
    assert not uses("import keras\nclass A(keras.layers.Layer):\n    def f(self):\n        self._ours = 1", private)


def test_registered_names_are_unique():
    """Of two classes of one name, Keras opens whichever was imported last."""
    pattern = re.compile(r'register_keras_serializable\(package="([\w.]+)"\)\s+(?:class|def) (\w+)')
    names = [match for path in MODULES for match in pattern.findall(path.read_text(encoding="utf-8"))]
    assert len(names) > 15 and len(names) == len(set(names))


# All of it is there --------------------------------------------------------------------------------------------------


def test_layers_inside_wrappers(model):
    names = [layer.name for layer in keras_private.flatten_layers(model)]
    assert {model.name, "both", "forward_inner", "backward_inner", "last"} <= set(names)


def test_what_a_tensor_comes_from(model):
    last, call = keras_private.producer(model.output)
    assert last is model.get_layer("last") and call.output_tensors == [model.output]
    (entering,) = call.input_tensors
    mean, call = keras_private.producer(entering)
    assert not isinstance(mean, keras.layers.Layer) and call.input_tensors[0].shape == (None, 4, 4)


def test_a_variable_that_a_layer_did_not_make():
    layer, variable = keras.layers.Layer(), keras.Variable(np.ones(2, "f"))
    keras_private.track_variable(layer, variable)
    assert layer.trainable_weights == [variable]


def test_layers_of_applications():
    assert all(issubclass(cls, keras.layers.Layer) for cls in keras_private.application_layers().values())


def test_where_fit_begins(model):
    x, y = np.zeros((4, 4, 3)), np.zeros((4, 1))
    assert keras_private.initial_epoch(model) is None
    keras_private.set_initial_epoch(model, 2)
    assert model.fit(x, y, epochs=5, verbose=0).epoch == [2, 3, 4]
    keras_private.set_initial_epoch(model, None)
    assert model.fit(x, y, epochs=2, verbose=0).epoch == [0, 1]


def test_a_loop_of_ones_own(model):
    loop = keras.models.clone_model(model)
    loop.compile("adam", "mse", metrics=["mae"])
    keras_private.build_all(loop, (keras.KerasTensor((2, 4, 3)), keras.KerasTensor((2, 1))))
    assert loop.optimizer.built and "mae" in loop.get_metrics_result()
    keras_private.count_loss(loop, 3.0, 1)
    keras_private.count_loss(loop, 6.0, 2)
    assert loop.get_metrics_result()["loss"] == 5


def test_models_with_and_without_training():
    class Plain(keras.Model):
        def call(self, inputs):
            return inputs + 1

    class Knowing(keras.Model):
        def call(self, inputs, training=False):
            return inputs + (2 if training else 1)

    assert [int(keras_private.call_for_training(kind(), np.zeros(1, "f"))[0]) for kind in (Plain, Knowing)] == [1, 2]


def test_the_variables_of_an_optimizer():
    variables = [keras.Variable(np.full(2, number, "f"), name=f"v{number}") for number in range(3)]
    optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    optimizer.build(variables)
    assert [keras_private.variable_index(optimizer, variable.value) for variable in variables] == [0, 1, 2]
    optimizer.apply([keras.ops.ones(2)] * 3)
    optimizer.apply([keras.ops.ones(2)] * 3)
    pairs = keras_private.moving_averages(optimizer)
    assert [variable for variable, _ in pairs] == variables
    for number, (variable, average) in enumerate(pairs):  # the average begins with what the first step left
        np.testing.assert_allclose([variable[0], average[0]], [number - 2, number - 1.5])
