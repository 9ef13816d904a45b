"""A fusion's run: whether its two streams go together, and the weight of each one's probabilities."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.data.class_folders import Example
from tfav.data.classification import check_known_classes
from tfav.errors import UsageError
from tfav.systems.two_stream import fusion, stream_features
from tfav.systems.two_stream.config import Config
from tfav.systems.two_stream.stream import agree_on_labels, load_stream

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


def choose_weight(config: Config, examples: Sequence[Example], labels: list[str]) -> dict:
    """What `fusion.json` holds: the weight of the spatial stream that is best on these examples, and their number."""
    stored = stream_features.compute_both(config, examples)
    truth = np.array([labels.index(example.label) for example in examples])
    weight = fusion.choose_weight(truth, stored["spatial"].probabilities, stored["motion"].probabilities)
    return {"spatial_weight": weight, "chosen_on": len(examples)}


def stored_weight(run_dir: Path) -> float:
    """The weight of the spatial stream, 0-1."""
    return json.loads((run_dir / FUSION_FILE).read_bytes())["spatial_weight"]
