"""Late fusion: the weighted mean of two classifiers' probabilities, and how the weight is chosen."""

import json
from pathlib import Path

import numpy as np

from tfav.errors import UsageError
from tfav.ranges import check_number

FUSION_FILE = "fusion.json"  # in a run folder: the weight chosen on its validation part


def stored_weight(run_dir: Path) -> float:
    """The weight of the spatial stream, 0-1."""
    return json.loads((run_dir / FUSION_FILE).read_bytes())["spatial_weight"]


_WEIGHT_STEPS = 20  # the weight is chosen in steps of 1/20


_TINY = 1e-7


def fuse(spatial: np.ndarray, motion: np.ndarray, spatial_weight: float = 0.5) -> np.ndarray:
    """The weighted mean of two streams' probabilities.

    Args:
        spatial: `[..., K]` float, rows that sum to 1.
        motion: Of the same shape.
        spatial_weight: 0-1; motion has the rest. 0.5 is the average.

    Returns:
        `[..., K]` float, rows that sum to 1.

    Raises:
        UsageError: Shapes that differ, or a weight outside 0-1.
    """
    spatial, motion = np.asarray(spatial), np.asarray(motion)
    if spatial.shape != motion.shape:
        raise UsageError(f"both streams need the same shape. Received: {spatial.shape} and {motion.shape}")
    check_number("spatial_weight", spatial_weight, ge=0, le=1)
    return spatial_weight * spatial + (1 - spatial_weight) * motion


def choose_weight(truth: np.ndarray, spatial: np.ndarray, motion: np.ndarray) -> float:
    """The weight of the spatial stream that is best on validation videos: most right, then the lower loss.

    Args:
        truth: `[N]` int class numbers.
        spatial: `[N, K]` probabilities of each video.
        motion: Likewise.
    """
    truth = np.asarray(truth)

    def quality(weight: float) -> tuple[int, float]:
        fused = fuse(spatial, motion, weight)
        of_truth = fused[np.arange(len(truth)), truth]
        return int((fused.argmax(-1) == truth).sum()), float(np.log(of_truth + _TINY).sum())

    return max((step / _WEIGHT_STEPS for step in range(_WEIGHT_STEPS + 1)), key=quality)
