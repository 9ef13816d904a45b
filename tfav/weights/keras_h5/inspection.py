"""What a legacy file holds, told without building anything and without TensorFlow."""

from dataclasses import dataclass, field
from pathlib import Path

from tfav.weights.errors import WeightsError
from tfav.weights.keras_h5 import architecture, lambda_layers, sandbox
from tfav.weights.keras_h5.archive import Archive

_SHOWN = """
    units filters kernel_size strides padding dilation_rate pool_size size rate axis activation recurrent_activation
    return_sequences merge_mode target_shape dims n input_dim output_dim batch_input_shape data_format function
""".split()  # noqa: SIM905
_UNREMARKABLE = (None, "linear", "valid", 1, [1], [1, 1], [1, 1, 1], "channels_last", False)


@dataclass(frozen=True)
class LayerSummary:
    """One layer: `level` 0 is the model's own, 1 and more are inside others, whose `parameters` are None."""

    name: str
    class_name: str
    level: int
    settings: str
    parameters: int | None


@dataclass
class Summary:
    """What `inspect` found.

    Attributes:
        architecture: "Sequential", "Functional" or "weights only".
        parameters: Number of values stored for the layers.
        contents: What else the file holds (optimizer state, training configuration).
        problems: What will keep the file from being opened as it is.
    """

    path: str
    size_bytes: int
    keras_version: str
    backend: str
    architecture: str
    name: str
    layers: list[LayerSummary]
    parameters: int
    contents: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def render(self):
        """The summary as lines of text."""
        lines = [
            f"{self.path}: {self.size_bytes / 2**20:.1f} MB",
            f"Keras {self.keras_version}, backend {self.backend}",
            f"{f'{self.architecture} {self.name}'.strip()}: {len(self.layers)} layers, {self.parameters:,} parameters",
        ]
        width = max((len(layer.name) + 2 * layer.level for layer in self.layers), default=0)
        for layer in self.layers:
            name = "  " * layer.level + layer.name
            count = "" if layer.parameters is None else f"{layer.parameters:,}"
            lines.append(f"  {name:<{width}}  {count:>12}  {layer.class_name} {layer.settings}".rstrip())
        lines += [f"also holds: {item}" for item in self.contents]
        lines += [f"problem: {item}" for item in self.problems]
        return "\n".join(lines)

    __str__ = render


def inspect(path):
    """Summarises a legacy HDF5 file.

    Args:
        path: A whole-model or weights-only file of Keras 1, Keras 2 or tf.keras.

    Returns:
        A `Summary`; `print` shows it.

    Raises:
        WeightsError: It is no such file, or it is damaged.
    """
    sandbox.check(path)
    return summarize(path)


def summarize(path):
    """`inspect` without having let another process read the file first: for files that are known to be sound."""
    with Archive(path) as archive:
        stored = archive.stored_layers()
        config = archive.json("model_config")
        counts = {name: sum(array.size for array in arrays) for name, arrays in stored.items()}
        summary = Summary(
            str(path),
            Path(path).stat().st_size,
            archive.keras_version or "unknown",
            archive.backend or "not stored",
            "weights only",
            "",
            [LayerSummary(name, "", 0, "", count) for name, count in counts.items()],
            sum(counts.values()),
        )
        if archive.has_optimizer:
            summary.contents.append("optimizer state")
        summary.contents += _training(archive)
        if config is not None:
            try:
                root, is_keras1, _ = architecture.parse(path, config, archive.keras_version)
            except WeightsError as error:
                summary.problems.append(error.reason)
            else:
                _add_architecture(summary, root, is_keras1, stored)
    return summary


def _training(archive):
    try:
        config = archive.json("training_config")
    except WeightsError as error:
        return [f"a training configuration that cannot be read ({error.reason})"]
    if not isinstance(config, dict):
        return []
    optimizer = config.get("optimizer_config") or {}
    name = optimizer.get("class_name", "?") if isinstance(optimizer, dict) else "?"
    return [f"training configuration: optimizer {name}, loss {str(config.get('loss'))[:80]}"]


def _add_architecture(summary, root, is_keras1, stored):
    summary.architecture = "Sequential" if root.model.is_sequential else "Functional"
    summary.name = root.name or ""
    if is_keras1 and summary.keras_version == "unknown":
        summary.keras_version = "1 (not stored; by its words)"
    summary.layers = [row for spec in root.model.layers for row in _rows(spec, 0, stored)]
    code = [spec.name for spec in architecture.walk_layer(root) if lambda_layers.carries_code(spec)]
    if code:
        summary.problems.append(
            f"layers {code} carry Python code, which is never run; pass custom_objects to load_legacy_model"
        )


def _rows(spec, level, stored):
    """The layer and all inside it."""
    given = {key: spec.config[key] for key in _SHOWN if key in spec.config}
    settings = [
        f"{key}={_short(value)}"
        for key, value in given.items()
        if not any(value is usual or value == usual for usual in _UNREMARKABLE)
    ]
    count = sum(array.size for array in stored.get(spec.name, [])) if level == 0 else None
    yield LayerSummary(spec.name or "(not named)", spec.stored_class, level, " ".join(settings), count)
    for inner in [*spec.wrapped.values(), *(spec.model.layers if spec.model else [])]:
        yield from _rows(inner, level + 1, stored)


def _short(value):
    text = str(value).replace("None", "?").replace(" ", "")
    return text if len(text) <= 40 else f"{text[:37]}..."
