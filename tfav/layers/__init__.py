"""Floor 2: Keras layers that two systems share. Importing it registers them for loading saved models."""

from tfav.layers.normalization import FusedBatchNormalization
from tfav.layers.recurrence import BidirectionalGRU
from tfav.layers.residual import residual_block

__all__ = ["BidirectionalGRU", "FusedBatchNormalization", "residual_block"]
