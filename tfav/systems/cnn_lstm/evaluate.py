"""The scores of a run, per video."""

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfav.data.classification import check_known_classes, part_of
from tfav.data.label_tables import list_examples
from tfav.errors import DataError
from tfav.metrics import classification, multi_label
from tfav.metrics.ranking import describe_scores, ranking
from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.predict import predict, read_thresholds
from tfav.training.run_folder import open_run


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    shuffle_frames: bool = False,
    progress: bool = True,
) -> dict:
    """Scores every example of a class tree or of a table, per clip.

    Args:
        run_dir: A trained run.
        data_dir: Folder of `CLASS/VIDEO`, or a table; class names must be ones the model knows. None: the run's own.
        part: `all` examples of it, or the `train`, `val` or `test` part of the run's split.
        shuffle_frames: As in `predict`.
        progress: Show a bar.

    Returns:
        `top1`, `top5`, `macro_f1`, their 95 % intervals, `per_class`, `confusion`, `labels`, `videos` (each with its
        ranked classes) and `failed` (files that could not be read, with the reason). Of a run with `multi_label` what
        `tfav.metrics.multi_label.evaluate` gives, at the run's thresholds. JSON-ready.

    Raises:
        UsageError: No run, or no such part.
        DataError: A class the model does not know, or not one readable video.
    """
    started = time.monotonic()
    run, config = open_run(run_dir, SYSTEM, Config)
    labels = run.metadata["labels"]
    data_dir = config.data_dir if data_dir is None else data_dir
    tree = list_examples(data_dir, multi_label=config.multi_label)
    check_known_classes(data_dir, tree.labels, labels)
    examples = part_of(tree.examples, config, part)
    spans = [example.span for example in examples]
    predictions = predict(run_dir, [e.path for e in examples], shuffle_frames=shuffle_frames, spans=spans)
    bar = tqdm(predictions, total=len(examples), desc="evaluate", unit="video", disable=None if progress else True)
    scored, failed = [], []
    for example, prediction in zip(examples, bar, strict=True):
        if prediction.probabilities is None:
            failed.append({"path": str(example.key), "reason": prediction.error})
        else:
            scored.append((example, prediction.probabilities))
    if not scored:
        raise DataError(f"{data_dir}: none of {len(failed)} videos could be read; first: {failed[0]['reason']}")
    probabilities = np.stack([row for _, row in scored])
    if config.multi_label:
        thresholds = read_thresholds(run_dir)
        truth = np.array([[label in example.labels for label in labels] for example, _ in scored])
        result = multi_label.evaluate(truth, probabilities, labels, np.array([thresholds[label] for label in labels]))
    else:
        truth = np.array([labels.index(example.label) for example, _ in scored])
        result = classification.evaluate(truth, probabilities, labels)
    result["videos"] = [
        {"path": str(example.path), "label": "; ".join(example.labels), "ranking": ranking(probabilities, labels)}
        | ({"start_sec": example.span[0], "end_sec": example.span[1]} if example.span else {})
        for example, probabilities in scored
    ]
    result |= {"failed": failed, "part": part, "shuffled_frames": shuffle_frames}
    result["seconds"] = round(time.monotonic() - started, 2)
    return result


def describe_evaluation(result: dict) -> str:
    """The scores as text: a row per class, totals, files that could not be read."""
    return describe_scores(result)
