"""tfav: audio-visual video models in Keras 3 on TensorFlow.

Importing the package loads no TensorFlow; the names below do, when they are first used.
"""

from tfav import keras_settings, lazy_names
from tfav._version import __version__

keras_settings.choose_backend()

__getattr__, __dir__, __all__ = lazy_names.attach(
    __name__,
    submodules=["data", "io", "layers", "report", "systems", "training", "weights"],
    submod_attrs={
        "training": ["fit", "mixed_precision", "strategy"],
        "errors": ["DataError", "MediaError", "TfavError"],
    },
)
__all__ = [*__all__, "__version__"]
