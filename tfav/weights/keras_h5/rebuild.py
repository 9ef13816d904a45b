"""Building the Keras 3 model for a parsed architecture, one checked layer at a time."""

import contextlib
import inspect

import keras

from tfav.keras_private import producer
from tfav.weights.errors import WeightsError, few, first_line
from tfav.weights.keras_h5 import architecture, lambda_layers, layer_table, objects, operations
from tfav.weights.keras_h5.graph import Ref, order_calls
from tfav.weights.keras_h5.lazy_init import Budget, restore

_OPERATION_LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
_WRAPPERS = ("TimeDistributed", "Bidirectional")

# For chains saved without their input's shape: how many of its sizes the first kernel leaves open, and where in the
# kernel's shape the last one stands.
_SHAPE_FROM_KERNEL = {
    "Dense": (1, 0),
    "Conv1D": (2, -2),
    "Conv2D": (3, -2),
    "Conv3D": (4, -2),
    "LSTM": (2, 0),
    "GRU": (2, 0),
    "SimpleRNN": (2, 0),
    "Embedding": (2, None),
}


class Rebuilder:
    """Builds a model from its `LayerSpec`.

    Args:
        path: The file, for errors.
        stored: `{layer name: [Stored, ...]}`; sizes are checked against it before anything is allocated.
        custom_objects: The caller's replacements, by layer, class or function name.
        report: Collects notes.

    Attributes:
        built: The Keras layer of every `LayerSpec`, by the spec's id.
    """

    def __init__(self, path, stored, custom_objects, report):
        self.path = path
        self.stored = stored
        self.custom = dict(custom_objects or {})
        self.report = report
        self.built = {}
        self._budget = Budget(path, sum(array.size for arrays in stored.values() for array in arrays))
        self._names = [{}]

    def build(self, root):
        """The Keras model of a whole file.

        Raises:
            WeightsError: A layer cannot be translated, is code, or does not fit what is stored.
        """
        custom = {k: v for k, v in self.custom.items() if inspect.isclass(v) or inspect.isfunction(v)}
        with self._guarded(root.name), keras.saving.custom_object_scope(custom):
            self._refuse_what_cannot_be_built(root)
            if root.model.is_sequential and root.model.batch_shape is None:
                root.model.batch_shape = self._guess_batch_shape(root.model.layers)
            model = self._model(root)
        restore(model)
        return model

    # -- what is refused before anything is made ----------------------------------------------------------------

    def _refuse_what_cannot_be_built(self, root):
        code, unknown = [], []
        for spec in architecture.walk_layer(root):
            if spec.model or spec.class_name in ("InputLayer", *_WRAPPERS) or self._replacement(spec) is not None:
                continue
            if lambda_layers.carries_code(spec):
                code.append(spec)
            elif spec.class_name in _OPERATION_LAYERS:
                if operations.find(spec) is None:
                    unknown.append(f"{spec.name!r} (TensorFlow's {operations.operation_name(spec)})")
            elif spec.class_name == "RNN":
                cells = [config["class_name"] for config in _cell_configs(spec)] or ["none"]
                known = (*layer_table.CELLS, *self.custom)
                unknown += [f"{spec.name!r} (cell {cell})" for cell in cells if cell not in known]
            elif layer_table.find_class(spec.class_name) is None:
                unknown.append(f"{spec.name!r} ({spec.stored_class}: {layer_table.why_refused(spec.class_name)})")
        lambda_layers.refuse(self.path, code)
        if unknown:
            reason = f"these layers are not translated: {few(unknown, 5)}"
            raise WeightsError(self.path, reason, "Pass custom_objects={class or layer name: ...}.")

    def _replacement(self, spec):
        """What the caller gave for a layer: by its name, its class, or the name of its function."""
        names = [spec.name, spec.class_name, spec.stored_class, spec.stored_class.split(">")[-1]]
        if lambda_layers.carries_code(spec):
            names = [spec.name, lambda_layers.function_name(spec), spec.stored_class]
        for name in names:
            if name is not None and name in self.custom:
                return self.custom[name]
        known = lambda_layers.carries_code(spec) or layer_table.find_class(spec.class_name) is not None
        return None if known else keras.saving.get_registered_object(spec.class_name)

    # -- models --------------------------------------------------------------------------------------------------

    def _model(self, spec):
        name = self._unique_name(spec.model.name or spec.name or "model")
        build = self._sequential if spec.model.is_sequential else self._functional
        self._names.append({})  # names need to differ within a model only
        model = build(spec.model, name)
        self._names.pop()
        if not spec.model.trainable:  # setting True would thaw every layer inside
            model.trainable = False
        self.built[id(spec)] = model
        return model

    def _sequential(self, spec, name):
        has_shape = spec.layers and spec.batch_shape is not None
        specs = architecture.with_input(spec, self.path) if has_shape else spec.layers
        layers = [self._layer(layer) for layer in specs]
        with self._guarded(name):
            return keras.Sequential(layers, name=name)

    def _functional(self, spec, name):
        tensors = {}  # (layer name, call number or "input") -> list of tensors
        for layer in spec.layers:
            if layer.class_name == "InputLayer" and not layer.calls:
                made = self._input(layer)
                self.built[id(layer)] = made
                tensors[layer.name, None] = [made.output]
        by_name = {layer.name: layer for layer in spec.layers}

        def resolve(structure):
            if isinstance(structure, Ref):
                layer = by_name[structure.layer]
                number = structure.node - layer.first_node if layer.calls else None
                outputs = tensors[structure.layer, number]
                if not 0 <= structure.tensor < len(outputs):
                    raise WeightsError(self.path, f"layer {structure.layer!r} has no output {structure.tensor}")
                return outputs[structure.tensor]
            if isinstance(structure, list):
                return [resolve(item) for item in structure]
            if isinstance(structure, dict):
                return {key: resolve(item) for key, item in structure.items()}
            return structure

        for layer, number in order_calls(spec, self.path):
            call = layer.calls[number]
            outputs = self._call(layer, resolve(call.inputs), resolve(call.kwargs))
            tensors[layer.name, number] = keras.tree.flatten(outputs)
        return keras.Model(_unwrap(resolve(spec.inputs)), _unwrap(resolve(spec.outputs)), name=name)

    def _call(self, spec, inputs, kwargs):
        """Makes the layer on its first call, and calls it."""
        if spec.class_name in _OPERATION_LAYERS and self._replacement(spec) is None:
            with self._guarded(spec.name):
                outputs = operations.apply(spec, inputs, kwargs)
                self._name_operations(spec, outputs, [inputs, kwargs])
                return outputs
        layer = self.built[id(spec)] if id(spec) in self.built else self._layer(spec)
        if isinstance(inputs, list) and len(inputs) > 1 and spec.class_name in layer_table.RECURRENT:
            inputs, kwargs = inputs[0], {"initial_state": inputs[1:], **kwargs}
        with self._guarded(spec.name):
            outputs = layer(inputs, **self._accepted(layer, spec, kwargs))
            return _as_stored(spec, outputs, self.path)

    def _accepted(self, layer, spec, kwargs):
        """The stored call arguments that the layer takes; one that matters and is not taken is an error."""
        takes = inspect.signature(layer.call).parameters
        given = {key: value for key, value in kwargs.items() if value is not None}
        lost = sorted(key for key in given if key not in takes and key not in ("training", "mask", "name"))
        if lost:
            raise WeightsError(self.path, f"layer {spec.name!r} is called with {lost}, which is not translated")
        return {key: value for key, value in given.items() if key in takes}

    # -- layers --------------------------------------------------------------------------------------------------

    def _layer(self, spec):
        """The Keras layer for any `LayerSpec`."""
        if spec.model:
            return self._model(spec)
        name = self._unique_name(spec.name or spec.class_name.lower())
        with self._guarded(spec.name):
            layer = self._make(spec, name)
        self.built[id(spec)] = layer
        return layer

    def _make(self, spec, name):
        replacement = self._replacement(spec)
        if replacement is not None:
            return self._from_caller(replacement, spec, name)
        if spec.class_name == "InputLayer":
            return self._input(spec)
        if spec.class_name in _WRAPPERS:
            return self._wrapper(spec, name)
        if spec.class_name == "RNN":
            return self._rnn(spec, name)
        return layer_table.make(spec, name, self.custom, self.report)

    def _from_caller(self, replacement, spec, name):
        self.report.note(f"layer {spec.name!r} ({spec.stored_class}) replaced by custom_objects")
        if isinstance(replacement, keras.layers.Layer):
            return replacement
        if inspect.isclass(replacement):
            taken = {k: v for k, v in spec.config.items() if k not in ("batch_input_shape", "ragged", "sparse")}
            if spec.class_name == "Lambda":
                taken = {k: v for k, v in taken.items() if k == "trainable"}
            return replacement.from_config({**taken, "name": name})
        arguments = spec.config.get("arguments") or {}
        return keras.layers.Lambda(replacement, name=name, arguments=arguments if isinstance(arguments, dict) else {})

    def _input(self, spec):
        config = spec.config
        shape = config.get("batch_input_shape", config.get("batch_shape"))
        if not isinstance(shape, list) or not all(n is None or (isinstance(n, int) and n > 0) for n in shape):
            raise WeightsError(self.path, f"input {spec.name!r} has no usable shape. Received: {shape}")
        if config.get("ragged"):
            raise WeightsError(self.path, f"input {spec.name!r} takes ragged tensors, which is not translated")
        return keras.layers.InputLayer(
            batch_shape=tuple(shape),
            dtype=objects.dtype(config.get("dtype")) or "float32",
            sparse=True if config.get("sparse") else None,
            name=self._unique_name(spec.name),
        )

    def _wrapper(self, spec, name):
        inner = {key: self._layer(value) for key, value in spec.wrapped.items()}
        if "layer" not in inner:
            raise WeightsError(self.path, f"wrapper {spec.name!r} has no layer inside")
        settings = {"name": name, "trainable": bool(spec.config.get("trainable", True))}
        if spec.class_name == "TimeDistributed":
            return keras.layers.TimeDistributed(inner["layer"], **settings)
        settings["merge_mode"] = spec.config.get("merge_mode", "concat")
        return keras.layers.Bidirectional(inner["layer"], backward_layer=inner.get("backward_layer"), **settings)

    def _rnn(self, spec, name):
        cells = []
        for config in _cell_configs(spec):
            class_name = config["class_name"]
            cell = architecture.LayerSpec(class_name, config["config"].get("name"), config["config"], class_name)
            cells.append(layer_table.make(cell, self._unique_name(cell.name or "cell"), self.custom, self.report))
        keys = ("return_sequences", "return_state", "go_backwards", "stateful")
        settings = {key: bool(spec.config[key]) for key in keys if key in spec.config}
        return keras.layers.RNN(cells[0] if len(cells) == 1 else cells, name=name, **settings)

    # -- names, errors, guesses ---------------------------------------------------------------------------------------

    def _unique_name(self, name):
        """Keras 3 forbids slashes, and two layers of one name in one model."""
        name = str(name).replace("/", "_")
        taken = self._names[-1]
        taken[name] = taken.get(name, 0) + 1
        return name if taken[name] == 1 else self._unique_name(f"{name}_{taken[name]}")

    def _name_operations(self, spec, outputs, inputs):
        """Names the operations made for a layer after it; Keras' own names for them may be taken by layers."""
        done = {id(tensor) for tensor in keras.tree.flatten(inputs)}
        waiting = list(keras.tree.flatten(outputs))
        while waiting:
            tensor = waiting.pop()
            if id(tensor) in done or not keras.utils.is_keras_tensor(tensor):
                continue
            operation, call = producer(tensor)
            operation.name = self._unique_name(spec.name)
            done |= {id(sibling) for sibling in call.output_tensors}
            waiting += call.input_tensors

    @contextlib.contextmanager
    def _guarded(self, name):
        """Charges the budget, and turns what Keras raises into one line that names the layer."""
        try:
            with self._budget.active():
                yield
        except Exception as error:
            if self._budget.error is not None:
                raise self._budget.error from error
            if not isinstance(error, WeightsError):
                reason = f"{name!r} cannot be rebuilt ({first_line(error).rstrip('.')})"
                raise WeightsError(self.path, reason) from error
            if error.path is None:
                raise WeightsError(self.path, error.reason, error.remedy) from error
            raise

    def _guess_batch_shape(self, layers):
        first = layers[0] if layers else None
        arrays = self.stored.get(first.name) if first else None
        if not arrays or first.class_name not in _SHAPE_FROM_KERNEL:
            return None
        num_open, place = _SHAPE_FROM_KERNEL[first.class_name]
        kernel = next((array.shape for array in arrays if len(array.shape) > 1), None)  # a recurrent one comes after it
        if kernel is None:
            return None
        shape = [None] * num_open + ([] if place is None else [int(kernel[place])])
        self.report.note(f"input shape {shape} inferred from the first kernel; the file does not store it")
        return shape


def _cell_configs(spec):
    """Configurations of an RNN's cells; several are kept in a StackedRNNCells or a list."""
    cell = spec.config.get("cell")
    if isinstance(cell, dict) and cell.get("class_name") == "StackedRNNCells":
        cell = cell["config"]["cells"]
    cells = cell if isinstance(cell, list) else [cell]
    return [c for c in cells if isinstance(c, dict) and isinstance(c.get("config"), dict)]


def _as_stored(spec, outputs, path):
    """Puts right what Keras 3 does differently with a layer's output, and checks what Keras 1 stored of it."""
    if spec.stored_class == "Merge" and spec.config.get("normalize"):
        return keras.ops.expand_dims(outputs, 1)  # Keras 1's cosine had one axis more
    declared = spec.config.get("output_shape")
    if spec.stored_class.startswith("Deconv") and isinstance(declared, list):
        pairs = zip(declared[1:], outputs.shape[1:], strict=False)
        if any(None not in (a, b) and a != b for a, b in pairs):
            reason = f"layer {spec.name!r} was saved with output shape {declared}, which Keras 3 cannot give"
            raise WeightsError(path, reason)
    return outputs


def _unwrap(structure):
    """A list of one tensor as the tensor, as Keras 2 models gave their single output."""
    return structure[0] if isinstance(structure, list) and len(structure) == 1 else structure
