"""What other projects have set for Keras, and tfav does not follow: its networks are TensorFlow's and channels last.

`~/.keras/keras.json` and `KERAS_BACKEND` hold for all programs of a machine. With another `image_data_format` or
`floatx` the same code builds another network, which fits no weights.
"""

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from tfav.errors import UsageError

BACKEND = "tensorflow"
DEFAULTS = {"image_data_format": "channels_last", "floatx": "float32", "epsilon": 1e-7}
_TAKEN = {  # by Keras, which otherwise cannot be imported
    "image_data_format": ("channels_last", "channels_first"),
    "floatx": ("float16", "float32", "float64"),
}
_given_backend: str | None = None  # what the environment had before it was set aside


class SetAside(NamedTuple):
    """A setting that tfav does not follow: where it stands, and what to do about it."""

    where: str
    what: str
    remedy: str


def choose_backend() -> None:
    """Lets Keras take TensorFlow, if it is not imported yet; what keras.json and the environment say is set aside."""
    global _given_backend
    given = os.environ.get("KERAS_BACKEND")
    if "keras" in sys.modules or given == BACKEND:
        return
    if given:
        _given_backend = given
        _warn(f"KERAS_BACKEND={given} is set aside: tfav runs on Keras' TensorFlow.")
    os.environ["KERAS_BACKEND"] = BACKEND


def settle() -> None:
    """Puts Keras' settings for all models to those that tfav's are built with; a warning says which were others.

    Raises:
        UsageError: Keras was imported with another backend before, which cannot be changed any more.
    """
    import keras

    if keras.config.backend() != BACKEND:
        raise UsageError(
            "tfav runs on Keras' TensorFlow. Set KERAS_BACKEND=tensorflow, or import tfav before keras. "
            f"Received: backend={keras.config.backend()}"
        )
    for name, value in DEFAULTS.items():
        had = getattr(keras.config, name)()
        if had != value:
            _warn(f"Keras' {name}={had} is set aside: tfav's models are made with {name}={value}. {_remedy()}")
            getattr(keras.config, f"set_{name}")(value)


def set_aside() -> list[SetAside]:
    """What of this machine's settings for Keras tfav does not follow."""
    found = []
    if (given := _given_backend or os.environ.get("KERAS_BACKEND")) and given != BACKEND:
        found.append(SetAside("environment", f"KERAS_BACKEND={given}", "unset KERAS_BACKEND"))
    for name, value in {"backend": BACKEND, **DEFAULTS}.items():
        had = _file().get(name, value)
        if had != value:
            found.append(SetAside(str(path()), f"{name}={had}", _remedy()))
    return found


def check_file() -> None:
    """Refuses a keras.json with which Keras cannot be imported.

    Raises:
        UsageError: Naming the file, the setting and its valid values.
    """
    stored = _file()
    for name, valid in _TAKEN.items():
        if name in stored and stored[name] not in valid:
            raise UsageError(
                f"{path()}: {name} must be one of {', '.join(valid)}, or Keras does not start. {_remedy()} "
                f"Received: {name}={stored[name]}"
            )
    if not isinstance(stored.get("epsilon", 1e-7), float):
        raise UsageError(
            f"{path()}: epsilon must be a decimal number such as 1e-07, or Keras does not start. {_remedy()} "
            f"Received: epsilon={stored['epsilon']}"
        )


def path() -> Path:
    """Where Keras looks for its settings."""
    home = os.environ.get("KERAS_HOME")
    if home:
        return Path(home) / "keras.json"
    base = Path("~").expanduser()
    return (base if os.access(base, os.W_OK) else Path("/tmp")) / ".keras" / "keras.json"


def _file() -> dict:
    try:
        stored = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras, too, takes one that it cannot read for none
        return {}
    return stored if isinstance(stored, dict) else {}


def _remedy() -> str:
    return f"See {path()}."


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
