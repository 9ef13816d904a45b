"""The stored architecture, parsed into plain data that can be checked before anything is built.

Every dialect ends in the same few shapes: a `ModelSpec` of `LayerSpec`s, each with the `Call`s made on it, whose
arguments are `Ref`s to outputs of other layers. Nothing here imports Keras.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tfav.weights.errors import WeightsError
from tfav.weights.keras_h5 import keras1
from tfav.weights.keras_h5.archive import MAX_LAYERS
from tfav.weights.keras_h5.graph import (
    Call,
    Ref,
    flat_refs,
    number_calls,
    only_refs,
    order_calls,
    parse_call,
    parse_refs,
)

MAX_DEPTH = 40
MAX_CALLS = 100_000  # a model called twice in a model called twice ... doubles with every level

_SEQUENTIAL = ("Sequential",)
_FUNCTIONAL = ("Model", "Functional", "Container", "Network")
_WRAPPED_KEYS = ("layer", "backward_layer")


@dataclass
class LayerSpec:
    """A layer in the words of Keras 2.

    Attributes:
        stored_class: Class name as stored, before translation.
        model: The layers inside, where the layer is itself a model.
        wrapped: Layers inside a wrapper, by the setting that holds them.
        first_node: Number by which other layers know the first call: 1 for models that were built on an input.
    """

    class_name: str
    name: str | None
    config: dict
    stored_class: str
    calls: list[Call] = field(default_factory=list)
    model: "ModelSpec | None" = None
    wrapped: dict = field(default_factory=dict)
    first_node: int = 0


@dataclass
class ModelSpec:
    """A model: a chain of layers (`is_sequential`) or a graph between `inputs` and `outputs`."""

    name: str | None
    is_sequential: bool
    layers: list[LayerSpec]
    inputs: Any = None
    outputs: Any = None
    trainable: bool = True
    batch_shape: list | None = None


def walk_layer(layer: LayerSpec) -> Iterator[LayerSpec]:
    """The layer and every layer inside it, in stored order."""
    yield layer
    for inner in [*layer.wrapped.values(), *(layer.model.layers if layer.model else [])]:
        yield from walk_layer(inner)


def parse(path, stored, keras_version):
    """Parses a `model_config`, given as the value of its JSON.

    Returns:
        `(LayerSpec of the whole model, was_keras1, was_theano)`; the last is the guess for Keras 1 files.

    Raises:
        WeightsError: The configuration is not a model, or is absurd: too many layers, too deep, cyclic.
    """
    parser = _Parser(path, keras_version)
    try:
        root = parser.layer(_plain(stored), depth=0)
    except RecursionError as error:
        raise WeightsError(path, "its architecture is nested too deeply to be a model") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsError(path, f"its architecture is not written as Keras writes it ({error!r})") from error
    if root.model is None:
        raise WeightsError(path, f"its architecture is of class {root.stored_class!r}, not a Sequential or Model")
    _check_call_count(path, root)
    return root, parser.is_keras1, parser.is_keras1 and keras1.was_theano(parser.seen)


def _plain(value):
    """Unwraps the forms in which Keras' JSON stored tuples, shapes and NumPy values."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and "items" in value:
            return _plain(value["items"])
        if set(value) == {"type", "value"}:
            return _plain(value["value"])
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


class _Parser:
    def __init__(self, path, keras_version):
        self.path = path
        self.is_keras1 = bool(keras_version) and keras_version.startswith(("0.", "1."))
        self.can_be_keras1 = not keras_version or self.is_keras1
        self.seen = []  # (class name, config) of every layer, as stored
        self.count = 0

    def layer(self, stored, depth):
        """One `{"class_name", "config", ...}`."""
        if depth > MAX_DEPTH:
            raise WeightsError(self.path, f"its models are nested over {MAX_DEPTH} deep")
        self.count += 1
        if self.count > MAX_LAYERS:
            raise WeightsError(self.path, f"its architecture has more than {MAX_LAYERS} layers")
        class_name, config = stored["class_name"], stored["config"]
        name = stored.get("name") or (config.get("name") if isinstance(config, dict) else None)
        if not isinstance(class_name, str) or not isinstance(name, str | None) or not isinstance(config, dict | list):
            raise TypeError(f"layer {str(name)[:40]} of class {str(class_name)[:40]}")
        if isinstance(config, list) or class_name in _SEQUENTIAL:
            model = self._sequential(config, name, depth)
        elif class_name in _FUNCTIONAL or {"layers", "input_layers", "output_layers"} <= set(config):
            model = self._functional(config, name, depth)
        else:
            return self._leaf(class_name, config, name, depth)
        return LayerSpec("Model", name, {}, class_name, model=model)

    def _leaf(self, class_name, config, name, depth):
        self.seen.append((class_name, config))
        stored_class = class_name
        if class_name == "Merge":
            class_name, config = keras1.translate_merge(config) or (class_name, config)
        elif self.can_be_keras1 and (self.is_keras1 or keras1.is_keras1(config)):
            self.is_keras1 = True
            class_name, config = keras1.translate(class_name, config)
        wrapped = {
            key: self.layer(config[key], depth + 1)
            for key in _WRAPPED_KEYS
            if isinstance(config.get(key), dict) and "class_name" in config[key]
        }
        config = {key: value for key, value in config.items() if key not in wrapped}
        return LayerSpec(class_name, name, config, stored_class, wrapped=wrapped)

    def _sequential(self, config, name, depth):
        stored = config if isinstance(config, list) else config["layers"]
        settings = {} if isinstance(config, list) else config
        if stored and stored[0].get("class_name") == "Merge" and "layers" in stored[0]["config"]:
            return self._merged(stored, name, depth)
        layers = [self.layer(item, depth + 1) for item in stored]
        shape = _first_batch_shape(layers) or settings.get("build_input_shape")
        trainable = settings.get("trainable", True)
        return ModelSpec(settings.get("name") or name, True, layers, trainable=trainable, batch_shape=shape)

    def _functional(self, config, name, depth):
        layers = []
        for item in config["layers"]:
            layer = self.layer(item, depth + 1)
            layer.name = item.get("name") or layer.name
            layers.append(layer)
        names = Counter(layer.name for layer in layers)
        for layer, item in zip(layers, config["layers"], strict=True):
            layer.calls = [parse_call(node, names) for node in item.get("inbound_nodes", [])]
        inputs, outputs = (parse_refs(config[key], names) for key in ("input_layers", "output_layers"))
        trainable = config.get("trainable", True)
        spec = ModelSpec(config.get("name") or name, False, layers, inputs, outputs, trainable)
        if not (only_refs(spec.inputs) and only_refs(spec.outputs)):
            raise WeightsError(self.path, f"model {spec.name!r} does not say which layers are its inputs and outputs")
        twice = [name for name, count in names.items() if count > 1 or name is None]
        if twice:
            raise WeightsError(self.path, f"its architecture names a layer twice or not at all: {twice[:3]}")
        number_calls(spec)
        order_calls(spec, self.path)  # refuses references to nothing, and circles
        return spec

    def _merged(self, stored, name, depth):
        """Keras 1's `Sequential([Merge([branch, branch]), ...])`, which stored the branches' layers side by side."""
        merge = dict(stored[0]["config"])
        spec = ModelSpec(name, False, [], inputs=[], outputs=None)
        ends = [self._append_branch(spec, self.layer(branch, depth + 1)) for branch in merge.pop("layers")]
        end = _append(spec, self._leaf("Merge", merge, merge.get("name"), depth), ends)
        for item in stored[1:]:
            end = _append(spec, self.layer(item, depth + 1), end)
        spec.outputs = end
        number_calls(spec)
        return spec

    def _append_branch(self, spec, branch):
        """Adds a branch's layers to `spec`; returns the `Ref` of its output."""
        if branch.model is None:
            branch = LayerSpec("Model", None, {}, "Sequential", model=ModelSpec(None, True, [branch]))
            branch.model.batch_shape = _first_batch_shape(branch.model.layers)
        model = branch.model
        if model.is_sequential:
            source, *layers = with_input(model, self.path)
            end = _append(spec, source, None)
            spec.inputs.append(end)
            for layer in layers:
                end = _append(spec, layer, end)
            return end
        taken = {layer.name for layer in spec.layers}
        if taken & {layer.name for layer in model.layers}:
            raise WeightsError(self.path, "two branches of its Merge share layers, which is not translated")
        spec.layers += model.layers
        spec.inputs += flat_refs(model.inputs)
        return flat_refs(model.outputs)[0]


def _first_batch_shape(layers):
    """The batch shape a chain was built on: the first layer carries it, however deep that layer is nested."""
    if not layers:
        return None
    first = layers[0]
    for key in ("batch_input_shape", "batch_shape"):
        if first.config.get(key) is not None:
            return first.config[key]
    if first.model is None or first.model.is_sequential:
        return first.model and first.model.batch_shape
    inputs = {ref.layer for ref in flat_refs(first.model.inputs)}
    sources = [layer for layer in first.model.layers if layer.name in inputs]
    return _first_batch_shape(sources) if len(sources) == 1 else None


def with_input(spec: ModelSpec, path) -> list[LayerSpec]:
    """The layers of a chain, the input that one without an InputLayer has in front of its first layer among them."""
    first = spec.layers[0]
    if first.class_name == "InputLayer":
        return spec.layers
    if spec.batch_shape is None:
        raise WeightsError(
            path,
            f"the input shape of layer {first.name!r} is not stored",
            "Build the model in code and call tfav.weights.load_legacy_weights.",
        )
    name = f"{first.name or 'model'}_input"
    config = {"batch_input_shape": spec.batch_shape, "name": name}
    dtype = first.config.get("input_dtype") or (first.config.get("dtype") if first.class_name == "Embedding" else None)
    if isinstance(dtype, str):
        config["dtype"] = dtype
    return [LayerSpec("InputLayer", name, config, "InputLayer"), *spec.layers]


def _append(spec, layer, inputs):
    """Adds a call of `layer` to the end of a graph; a layer already there (shared) is called once more."""
    layer.name = f"unnamed_{len(spec.layers)}" if layer.name is None else layer.name
    known = next((other for other in spec.layers if other.name == layer.name), None)
    if known is None:
        spec.layers.append(layer)
        known = layer
    if inputs is not None:
        known.calls.append(Call(inputs, {}))
    if known.model:
        known.first_node = 1
    return Ref(known.name, known.first_node + max(len(known.calls) - 1, 0), 0)


def _check_call_count(path, root):
    """Counts the calls a rebuild makes, models inside models included."""

    def calls(layer):
        inside = sum(calls(inner) for inner in layer.model.layers) if layer.model else 1
        total = inside * max(len(layer.calls), 1)
        if total > MAX_CALLS:
            reason = f"rebuilding it would take over {MAX_CALLS} layer calls, models in models included"
            raise WeightsError(path, reason)
        return total

    calls(root)
