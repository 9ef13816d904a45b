"""The scores of a run: a stream's, or a fusion's beside those of its streams."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.data.classification import check_known_classes, part_of
from tfav.data.folders import Example
from tfav.metrics import classification
from tfav.metrics.late_fusion import EQUAL, FUSION_FILE, Fusion, fuse, read_fusion
from tfav.metrics.ranking import describe_scores, ranking
from tfav.systems.two_stream import sampling, stream
from tfav.systems.two_stream.config import STREAMS, SYSTEM, Config
from tfav.systems.two_stream.stream import agree_on_labels, load_stream
from tfav.training import checkpoints
from tfav.training.run_folder import open_run


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    progress: bool = True,
) -> dict:
    """Scores videos: the mean over each one's samples against its class.

    Args:
        run_dir: A trained run: a stream, or the fusion.
        data_dir: Folder of `CLASS/VIDEO`, or a prepared one; None: the run's own.
        part: `all` videos of it, or the `train`, `val` or `test` part of the run's split.
        progress: Show a bar.

    Returns:
        As `tfav.metrics.classification.evaluate`, and `videos` (each with its ranked classes), `failed` (videos that
        cannot be used, with the reason), `seconds`. For the fusion also `streams`: the same scores of spatial, motion,
        average (both alike), late (as the run's `fusion` says) and recurrent.

    Raises:
        UsageError: No run, or an unknown part.
        DataError: A class the model does not know, or not one usable video.
    """
    started = time.monotonic()
    run, config = open_run(run_dir, SYSTEM, Config)
    if data_dir is not None:
        config = dataclasses.replace(config, data_dir=str(data_dir))
    labels = run.metadata["labels"]
    examples = _examples_of(config, part, labels)
    is_fusion = config.stream == "fusion"
    asked = stream.both_streams(config) if is_fusion else [load_stream(run.dir, config.stream)]
    examples, stored, failed = stream.compute_usable(asked, config, examples, progress=progress)
    scores = _fusion_scores(run.dir, config, stored, labels) if is_fusion else {}
    main = scores["recurrent"] if is_fusion else stored[config.stream].probabilities
    truth = np.array([labels.index(example.label) for example in examples])
    result = classification.evaluate(truth, main, labels)
    result["videos"] = [
        {"path": str(example.path), "label": example.label, "ranking": ranking(row, labels)}
        | ({"start_sec": example.span[0], "end_sec": example.span[1]} if example.span else {})
        for example, row in zip(examples, main, strict=True)
    ]
    if scores:
        result["streams"] = {
            name: _brief(classification.evaluate(truth, rows, labels)) for name, rows in scores.items()
        }
        result["fusion"] = json.loads((run.dir / FUSION_FILE).read_bytes())
    return result | {"failed": failed, "part": part, "seconds": round(time.monotonic() - started, 2)}


def evaluate_fusion(
    spatial, motion, config: Config, *, part: str = "all", fusion: Fusion = EQUAL, progress: bool = True
) -> dict:
    """Scores two streams alone and fused, without a fusion run.

    Args:
        spatial: Run folder or `.h5` file of the spatial stream.
        motion: Of the motion stream.
        config: Where the videos are, their split, and how many samples each gives.
        part: As in `evaluate`.
        fusion: How; by default both count alike.
        progress: Show a bar.

    Returns:
        `spatial`, `motion` and `fused`, each with `count`, `top1`, `top1_interval`, `top5`; and `failed`, as in
        `evaluate`.
    """
    asked = load_stream(spatial, "spatial"), load_stream(motion, "motion")
    labels = agree_on_labels(*asked)
    examples, stored, failed = stream.compute_usable(
        asked, config, _examples_of(config, part, labels), progress=progress
    )
    rows = {kind: answers.probabilities for kind, answers in stored.items()}
    rows["fused"] = fuse(rows["spatial"], rows["motion"], fusion)
    truth = np.array([labels.index(example.label) for example in examples])
    scores = {name: _brief(classification.evaluate(truth, values, labels)) for name, values in rows.items()}
    return scores | {"failed": failed}


def describe_evaluation(result: dict) -> str:
    """The scores as text: a row per class, totals; for the fusion a row per way of fusing."""
    lines = [describe_scores(result)]
    for name, scores in result.get("streams", {}).items():
        lines.append(f"{name:<10}top-1 {scores['top1']:6.1%}  top-5 {scores['top5']:6.1%}")
    return "\n".join(lines)


def _fusion_scores(run_dir: Path, config: Config, stored: dict[str, stream.Stored], labels) -> dict[str, np.ndarray]:
    spatial, motion = stored["spatial"].probabilities, stored["motion"].probabilities
    both = np.concatenate([stored["spatial"].features, stored["motion"].features], axis=-1)
    recurrent = checkpoints.read_model(run_dir / "best.keras").predict(both, batch_size=config.batch_size, verbose=0)
    return {
        "spatial": spatial,
        "motion": motion,
        "average": fuse(spatial, motion),
        "late": fuse(spatial, motion, read_fusion(run_dir, STREAMS, labels)),
        "recurrent": recurrent,
    }


def _examples_of(config: Config, part: str, labels: Sequence[str]) -> list[Example]:
    found = sampling.find_examples(config)
    check_known_classes(config.data_dir, found.labels, labels)
    return part_of(found.examples, config, part)


def _brief(result: dict) -> dict:
    return {key: result[key] for key in ("count", "top1", "top1_interval", "top5")}
