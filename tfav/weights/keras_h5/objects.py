"""Initializers, regularizers, constraints, activations and dtypes of old configurations, as objects of Keras 3.

Only classes of Keras itself are made here, from plain numbers and names. What a model needs for its outputs
(activations) must be known; what only training would use (the rest) is dropped with a note where it is not.
"""

import inspect

import keras

from tfav.weights.errors import WeightsError
from tfav.weights.keras_h5.legacy_layers import legacy_hard_sigmoid

# Old name -> class of Keras 3, both in lower case without underscores, where there is more to it than that.
_CLASSES = {
    "zero": "zeros",
    "one": "ones",
    "normal": "randomnormal",
    "uniform": "randomuniform",
    "weightregularizer": "l1l2",
    "l1l2regularizer": "l1l2",
    "activityregularizer": "l1l2",
}
_SETTINGS = {"m": "max_value", "value_max": "max_value"}
_KNOWN_ACTIVATIONS = """
    elu exponential gelu leaky_relu linear log_softmax mish relu relu6 selu sigmoid silu softmax softplus softsign tanh
""".split()  # noqa: SIM905
_ACTIVATIONS = {"identity": "linear", "swish": "silu"}


def make(kind: str, value, custom_objects: dict):
    """An object of Keras for a stored one: a string, `{"class_name", "config"}`, or Keras 1's flat dict.

    Args:
        kind: "initializer", "regularizer" or "constraint".
        value: As stored.
        custom_objects: The caller's own, by name.

    Returns:
        The object; None for one that is not known.
    """
    name, settings = value, {}
    if isinstance(value, dict):
        name = value.get("class_name") or value.get("name")
        flat = {key: item for key, item in value.items() if key not in ("class_name", "name")}
        settings = flat if value.get("config") is None else value["config"]
    if not isinstance(name, str) or not isinstance(settings, dict):
        return None
    cls = custom_objects[name] if name in custom_objects else _find_class(getattr(keras, f"{kind}s"), name)
    if not inspect.isclass(cls):
        return cls
    allowed = inspect.signature(cls.__init__).parameters
    settings = {_SETTINGS.get(key, key): item for key, item in settings.items()}
    try:
        return cls(**{key: item for key, item in settings.items() if key in allowed})
    except (TypeError, ValueError):
        return None


def _find_class(module, name: str):
    wanted = name.lower().replace("_", "").removesuffix("v1")
    wanted = _CLASSES.get(wanted, wanted)
    classes = (cls for key, cls in vars(module).items() if key.lower() == wanted and inspect.isclass(cls))
    return next((cls for cls in classes if not inspect.isabstract(cls)), None)


def activation(value, custom_objects: dict):
    """A Keras 3 activation: a known name, or a function.

    Raises:
        WeightsError: The activation is neither Keras' own nor in `custom_objects`.
    """
    name = value
    if isinstance(value, dict):
        name = value["config"] if isinstance(value.get("config"), str) else value.get("class_name")
    if name is None:
        return None
    for key in (name, str(name).split(">")[-1]):
        if key in custom_objects:
            return custom_objects[key]
    known = _ACTIVATIONS.get(name, str(name).removesuffix("_v2"))  # TensorFlow's functions keep a version in their name
    if known == "hard_sigmoid":
        return legacy_hard_sigmoid
    if name in ("LeakyReLU", "ReLU", "ELU") and isinstance(value, dict):
        slope = "negative_slope" if name == "LeakyReLU" else "alpha"
        config = {slope if key == "alpha" else key: item for key, item in value["config"].items()}
        allowed = ("alpha", "negative_slope", "max_value", "threshold")
        return getattr(keras.layers, name)(**{key: item for key, item in config.items() if key in allowed})
    if known not in _KNOWN_ACTIVATIONS:
        remedy = f"Pass custom_objects={{{str(name)!r}: the function}}."
        raise WeightsError(None, f"activation {name!r} is not one of Keras'", remedy)
    return known


def dtype(value) -> str | None:
    """A dtype or dtype policy by name; None where the configuration leaves it open."""
    if isinstance(value, dict):
        value = (value.get("config") or {}).get("name")
    return None if value in (None, "_infer", "infer") else str(value)


def layer_dtype(value) -> str | None:
    """As `dtype`, but None for whole numbers too: old layers named their input's dtype there, not their weights'."""
    name = dtype(value)
    return None if name is None or name.startswith(("int", "uint", "bool", "string")) else name
