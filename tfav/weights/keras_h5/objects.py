"""Initializers, regularizers, constraints, activations and dtypes of old configurations, as objects of Keras 3.

Only classes of Keras itself are made here, from plain numbers and names. What a model needs for its outputs
(activations) must be known; what only training would use (the rest) is dropped with a note where it is not.
"""

import inspect

import keras

from tfav.weights.errors import WeightsError
from tfav.weights.keras_h5.legacy_layers import legacy_hard_sigmoid

# Old spelling -> Keras 3 class, where snake-casing the class name is not enough.
_INITIALIZERS = {
    "zero": "Zeros",
    "one": "Ones",
    "normal": "RandomNormal",
    "uniform": "RandomUniform",
    "normal_v1": "RandomNormal",
    "uniform_v1": "RandomUniform",
    "glorot_normal_v1": "GlorotNormal",
    "glorot_uniform_v1": "GlorotUniform",
    "convolution_aware": None,
}
_REGULARIZERS = {
    "WeightRegularizer": "L1L2",
    "L1L2Regularizer": "L1L2",
    "ActivityRegularizer": "L1L2",
    "l1_l2": "L1L2",
    "l1": "L1",
    "l2": "L2",
}
_CONSTRAINTS = {"maxnorm": "MaxNorm", "nonneg": "NonNeg", "unitnorm": "UnitNorm", "minmaxnorm": "MinMaxNorm"}
_SETTINGS = {"m": "max_value", "value_max": "max_value"}

# TensorFlow functions keep a version in their name.
_ACTIVATIONS = {
    "softmax_v2": "softmax",
    "log_softmax_v2": "log_softmax",
    "sigmoid_v2": "sigmoid",
    "identity": "linear",
    "swish": "silu",
}
_KNOWN_ACTIVATIONS = frozenset(
    [
        "elu",
        "exponential",
        "gelu",
        "leaky_relu",
        "linear",
        "log_softmax",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "softmax",
        "softplus",
        "softsign",
        "tanh",
    ]
)


def _snake(name):
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _find_class(module, name, aliases):
    """The class of `module` that `name` means, in any of its old spellings, or None."""
    name = aliases.get(name, name)
    if name is None:
        return None
    wanted = {str(name).lower().replace("_", "")}
    wanted.add(str(aliases.get(_snake(str(name)), name)).lower().replace("_", ""))
    for candidate, cls in vars(module).items():
        if inspect.isclass(cls) and candidate.lower() in wanted and not inspect.isabstract(cls):
            return cls
    return None


def _split(value):
    """`(class name, settings)` of a stored object: a string, `{"class_name", "config"}`, or Keras 1's flat dict."""
    if isinstance(value, str):
        return value, {}
    if isinstance(value, dict):
        name = value.get("class_name") or value.get("name")
        settings = value.get("config")
        if settings is None:
            settings = {k: v for k, v in value.items() if k not in ("class_name", "name")}
        if isinstance(name, str) and isinstance(settings, dict):
            return name, settings
    return None, {}


def _make(module, value, aliases, custom_objects):
    name, settings = _split(value)
    cls = custom_objects.get(name) if name in custom_objects else _find_class(module, name, aliases) if name else None
    if cls is None:
        return None
    if not inspect.isclass(cls):
        return cls
    allowed = inspect.signature(cls.__init__).parameters
    settings = {_SETTINGS.get(key, key): item for key, item in settings.items()}
    try:
        return cls(**{key: item for key, item in settings.items() if key in allowed})
    except (TypeError, ValueError):
        return None


def initializer(value, custom_objects):
    """A Keras 3 initializer, or None for one not known."""
    return _make(keras.initializers, value, _INITIALIZERS, custom_objects)


def regularizer(value, custom_objects):
    """A Keras 3 regularizer, or None for one not known."""
    return _make(keras.regularizers, value, _REGULARIZERS, custom_objects)


def constraint(value, custom_objects):
    """A Keras 3 constraint, or None for one not known."""
    return _make(keras.constraints, value, _CONSTRAINTS, custom_objects)


def activation_name(value):
    """The name an activation was stored under, or None for no activation."""
    if isinstance(value, dict):
        config = value.get("config")
        return config if isinstance(config, str) else value.get("class_name")
    return value


def activation(value, custom_objects):
    """A Keras 3 activation: a known name, or a function.

    Raises:
        WeightsError: The activation is neither Keras' own nor in `custom_objects`.
    """
    name = activation_name(value)
    if name is None:
        return None
    for key in (name, str(name).split(">")[-1]):
        if key in custom_objects:
            return custom_objects[key]
    name = _ACTIVATIONS.get(name, name)
    if name == "hard_sigmoid":
        return legacy_hard_sigmoid
    if name in ("LeakyReLU", "ReLU", "ELU") and isinstance(value, dict):
        config = {
            {"alpha": "negative_slope"}.get(k, k) if name == "LeakyReLU" else k: v for k, v in value["config"].items()
        }
        allowed = ("alpha", "negative_slope", "max_value", "threshold")
        return getattr(keras.layers, name)(**{k: v for k, v in config.items() if k in allowed})
    if name not in _KNOWN_ACTIVATIONS:
        raise WeightsError(
            None, f"activation {name!r} is not one of Keras'", f"Pass custom_objects={{{str(name)!r}: the function}}."
        )
    return name


def dtype(value):
    """A dtype or dtype policy by name; None where the configuration leaves it open."""
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("name")
    return None if value in (None, "_infer", "infer") else str(value)


def layer_dtype(value):
    """As `dtype`, but None for whole numbers too: old layers named their input's dtype there, not their weights'."""
    name = dtype(value)
    return None if name is None or name.startswith(("int", "uint", "bool", "string")) else name
