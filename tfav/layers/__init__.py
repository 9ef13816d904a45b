"""Floor 2: Keras layers that more than one system needs. Importing it registers them for loading saved models."""

from tfav.layers.frames import PerFrame, SubtractClipMean

__all__ = ["PerFrame", "SubtractClipMean"]
