"""Weights from elsewhere, in Keras 3: legacy Keras HDF5, TensorFlow checkpoints, TF-Hub folders, PyTorch state dicts.

Names are loaded when first used, so importing this package loads neither TensorFlow nor Keras.
"""

import importlib

from tfav.weights.errors import WeightsError

_HOME_OF = {
    "HubExtractor": "hub",
    "Report": "report",
    "convert": "legacy",
    "inspect": "inspection",
    "load_checkpoint": "checkpoint",
    "load_legacy_model": "legacy",
    "load_legacy_weights": "legacy",
    "load_pt": "torch",
    "load_state_dict": "torch",
    "read_state_dict": "torch",
}

__all__ = ["WeightsError", *sorted(_HOME_OF)]


def __getattr__(name):
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_HOME_OF})
