"""Weights from elsewhere, in Keras 3: legacy Keras HDF5, TensorFlow checkpoints, TF-Hub folders, PyTorch state dicts.

Names are loaded when first used, so importing this package loads neither TensorFlow nor Keras.
"""

import importlib

from tfav.weights.errors import WeightsError

_HOME_OF = {
    "HubExtractor": "tf_hub",
    "Report": "report",
    "convert": "keras_h5.loader",
    "inspect": "keras_h5.inspection",
    "load_checkpoint": "tf_checkpoint",
    "load_legacy_model": "keras_h5.loader",
    "load_legacy_weights": "keras_h5.loader",
    "load_pt": "pytorch",
    "load_state_dict": "pytorch",
    "read_state_dict": "pytorch",
}

__all__ = ["WeightsError", *sorted(_HOME_OF)]


def __getattr__(name):
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_HOME_OF})
