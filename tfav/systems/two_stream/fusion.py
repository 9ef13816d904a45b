"""Late fusion: the weighted mean of two streams' probabilities, and what a fusion's run asks of its streams."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.data.classification import check_known_classes, make_split
from tfav.data.folders import Example
from tfav.errors import TfavError, UsageError
from tfav.ranges import check_number
from tfav.systems.two_stream.config import Config
from tfav.systems.two_stream.sampling import find_examples
from tfav.systems.two_stream.stream import Stream, agree_on_labels, both_streams, compute_both, load_stream

FUSION_FILE = "fusion.json"  # in the run folder: the weight chosen on its validation part


def check_streams(config: Config, labels: list[str]) -> None:
    """Refuses streams that are not there, differ in their classes, or know others than these.

    Raises:
        UsageError: Naming what is missing or differs.
        DataError: A class that the streams do not know.
    """
    for kind in ("spatial", "motion"):
        if not getattr(config, kind):
            raise UsageError(f"the fusion needs both streams. Give --{kind} a run folder or a .h5 file.")
    agreed = agree_on_labels(load_stream(config.spatial, "spatial"), load_stream(config.motion, "motion"))
    check_known_classes(config.data_dir, labels, agreed)
    if agreed != labels:
        raise UsageError(
            f"{config.data_dir}: holds {len(labels)} of the {len(agreed)} classes the streams know, all needed here."
        )


def choose_run_weight(config: Config, examples: Sequence[Example], labels: list[str]) -> dict:
    """What `fusion.json` holds: the weight of the spatial stream that is best on these examples, and their number.

    Only those count that neither stream was trained on: of its own training videos a stream is always sure. Without
    any, both weigh the same.
    """
    known = set().union(*map(_trained_on, both_streams(config)))
    examples = [example for example in examples if example.key.absolute() not in known]
    if not examples:
        return {"spatial_weight": 0.5, "chosen_on": 0}
    stored = compute_both(config, examples)
    truth = np.array([labels.index(example.label) for example in examples])
    weight = choose_weight(truth, stored["spatial"].probabilities, stored["motion"].probabilities)
    return {"spatial_weight": weight, "chosen_on": len(examples)}


def _trained_on(stream: Stream) -> set[Path]:
    """The keys of the examples a stream's run was trained on, as far as that can still be told."""
    with contextlib.suppress(TfavError):
        if stream.config is not None:
            examples = find_examples(stream.config).examples
            return {example.key.absolute() for example in make_split(examples, stream.config).train}
    return set()


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
