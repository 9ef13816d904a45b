"""Floor 4: the five systems. Each hands out a `Config`, plain Keras models and plain `tf.data` data sets.

`SYSTEMS` names those that are here; `load(name)` imports one. Systems never import each other.
"""

import importlib
from types import ModuleType

from tfav.errors import UsageError

SYSTEMS = {
    "cnn_lstm": "video classification: a CNN per frame under an LSTM",
    "two_stream": "action recognition from RGB frames and optical flow; opens old Keras weights",
    "next_frame": "next-frame prediction with ConvLSTM networks on Moving MNIST or any videos",
    "lipnet": "lip reading: sentences with word times from silent video of a face; GRID corpus",
    "av_words": "audio-visual word recognition in noise: by sound, by lips, by both; GRID's words and LRW",
}


def load(name: str) -> ModuleType:
    """Imports a system by name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in SYSTEMS:
        raise UsageError(f"unknown system {name!r}. Valid systems: {', '.join(SYSTEMS)}.")
    return importlib.import_module(f"tfav.systems.{name}")
