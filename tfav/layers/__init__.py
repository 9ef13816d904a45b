"""Floor 2: Keras layers that more than one system needs. Importing it registers them for loading saved models."""

from tfav.layers.frames import PerFrame, SubtractClipMean
from tfav.layers.frozen import Frozen
from tfav.layers.normalization import BatchNormalization
from tfav.layers.projection import PrincipalComponents
from tfav.layers.recurrence import BidirectionalGRU
from tfav.layers.residual import residual_block
from tfav.layers.sequences import AbsoluteDifference, MaskedPool, SumToOne, TimeJitter
from tfav.layers.shared_target import SharedTarget
from tfav.layers.stem import StemConv3D

__all__ = [
    "AbsoluteDifference",
    "BatchNormalization",
    "BidirectionalGRU",
    "Frozen",
    "MaskedPool",
    "PerFrame",
    "PrincipalComponents",
    "SharedTarget",
    "StemConv3D",
    "SubtractClipMean",
    "SumToOne",
    "TimeJitter",
    "residual_block",
]
