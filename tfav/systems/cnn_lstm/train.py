"""Training, evaluation and prediction: thin functions over Keras' own, each usable alone."""

import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from tfav import training
from tfav.data.class_folders import Example, scan
from tfav.data.classification import check_known_classes, part_of
from tfav.errors import DataError, TfavError
from tfav.io.atomic_write import partial_file
from tfav.io.frame_extraction import extract_frames
from tfav.io.isolate_errors import failure_of
from tfav.io.output_names import as_paths
from tfav.io.parallel import PrepareReport
from tfav.metrics import classification
from tfav.metrics.ranking import describe_scores, ranking
from tfav.systems.cnn_lstm import clip_reader, feature_cache
from tfav.systems.cnn_lstm.backbone import cached_extractor, save_extractor
from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.dataset import Data, build_dataset, build_datasets, open_data
from tfav.systems.cnn_lstm.model import build_model
from tfav.training import callbacks as training_callbacks
from tfav.training import checkpoints
from tfav.training import run_folder as runs
from tfav.training.optimizers import make_optimizer, schedule_callback

_NUM_EXAMPLES = 4  # clips whose prediction is shown after each epoch


class Prediction(NamedTuple):
    """What the model says of one file; `probabilities` is `None` where `error` says why there are none."""

    path: Path
    probabilities: np.ndarray | None  # [num_classes] float32
    error: str = ""
    warnings: tuple[str, ...] = ()


class Networks(NamedTuple):
    """The models of a run: all of it, or what comes after a frozen `extractor` and, where there is one, its `front`."""

    model: keras.Model
    extractor: keras.Model | None = None
    front: keras.Model | None = None


def compile_args(config: Config) -> dict:
    """Arguments for `model.compile`: AdamW or Adam, cross-entropy, accuracy."""
    optimizer = make_optimizer(config.learning_rate, weight_decay=config.weight_decay)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    if len(config.outputs()) == 1:
        return {"optimizer": optimizer, "loss": loss, "metrics": ["accuracy"]}
    # Each part of the head has a loss of its own; `class`, their product, is what is scored.
    losses = {name: loss if name != "class" else None for name in config.outputs()}
    return {"optimizer": optimizer, "loss": losses, "metrics": {"class": ["accuracy"]}}


def callbacks(
    config: Config, run_dir: Path | str, extra: Sequence = (), *, opened: Data | None = None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run: its folder, schedule, best checkpoint, early stop, TensorBoard, metrics, resume.

    The best checkpoint goes by validation accuracy; without a validation part it is the last epoch's.

    Args:
        config: What is trained.
        run_dir: The run folder, made when training begins.
        extra: Further callbacks.
        opened: What `open_data(config)` gave, where that was called before.
    """
    return training_callbacks.standard(
        run_dir,
        start=functools.partial(start_run, config, run_dir, opened=opened),
        monitor=_monitor(config) if config.has_val else None,
        patience=config.patience,
        schedule=schedule_callback(config.schedule, config.learning_rate, config.epochs),
        extra=extra,
    )


def start_run(config: Config, run_dir: Path | str, *, opened: Data | None = None) -> None:
    """Makes the run folder, or opens the one that is there; the models that stay as they are in training go into it.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    opened = opened or open_data(config)
    runs.start(run_dir, SYSTEM, config, {"labels": opened.labels})
    save_extractor(config, Path(run_dir) / "extractor.keras")
    _save_front(opened.front, Path(run_dir) / "front.keras")


def _monitor(config: Config) -> str:
    return "val_accuracy" if len(config.outputs()) == 1 else "val_class_accuracy"


def train(
    config: Config, run_dir: Path | str, *, devices: str | None = None, verbose: str | int = "auto"
) -> list[dict]:
    """Trains into a run folder, or goes on with the run that is there.

    Args:
        config: What to train on and how.
        run_dir: The run folder.
        devices: As in `tfav.strategy`.
        verbose: As in `model.fit`; `"auto"` is a bar on a terminal and a line per epoch elsewhere.

    Returns:
        One row per epoch: losses, accuracies, seconds.

    Raises:
        UsageError: The folder belongs to another run.
        DataError: The data set cannot be used as it stands.
    """
    training.prepare_devices(devices)  # before the data sets start TensorFlow
    opened = open_data(config)
    runs.check(run_dir, SYSTEM, config, {"labels": opened.labels})
    keras.utils.set_random_seed(config.seed)
    train_set, val_set, _ = build_datasets(config, opened=opened)
    start_run(config, run_dir, opened=opened)  # only now: data that cannot be used leaves no folder behind
    with training.strategy(devices):
        model = build_model(dataclasses.replace(config, num_classes=len(opened.labels)))
        model.compile(**compile_args(config))
    history = training.fit(
        model,
        train_set,
        val_set,
        epochs=config.epochs,
        callbacks=callbacks(config, run_dir, [_example_predictions(opened, run_dir)], opened=opened),
        run_dir=run_dir,
        verbose=verbose,
    )
    return history


def predict(
    run_dir: Path | str, files: Sequence[Path | str] | Path | str, *, shuffle_frames: bool = False
) -> Iterator[Prediction]:
    """Scores video files, or folders of frames, one after the other.

    Args:
        run_dir: A trained run.
        files: What to score, or one path; a file that cannot be read gives a `Prediction` with its error and stops no
            other.
        shuffle_frames: Put the frames in random order first, to see what the order is worth to the model.
    """
    run, config = open_run(run_dir)
    score = load_scorer(run.dir, config)
    rng, files = np.random.default_rng(config.seed), as_paths(files)
    for path, clip in zip(files, clip_reader.read_clips(files, config), strict=True):
        if isinstance(clip, TfavError):
            yield Prediction(Path(path), None, str(clip))
            continue
        if shuffle_frames:
            clip = clip.shuffled(rng)
        try:
            prediction = Prediction(Path(path), score(clip), warnings=clip.warnings)
        except Exception as error:
            prediction = Prediction(Path(path), None, str(failure_of(path, error)))
        yield prediction


def evaluate(
    run_dir: Path | str,
    data_dir: Path | str | None = None,
    *,
    part: str = "all",
    shuffle_frames: bool = False,
    progress: bool = True,
) -> dict:
    """Scores every example of a class tree, per video.

    Args:
        run_dir: A trained run.
        data_dir: Folder of `CLASS/VIDEO`; class names must be ones the model knows. None: the run's own.
        part: `all` examples of it, or the `train`, `val` or `test` part of the run's split.
        shuffle_frames: As in `predict`.
        progress: Show a bar.

    Returns:
        `top1`, `top5`, their 95 % intervals, `per_class`, `confusion`, `labels`, `videos` (each with its ranked
        classes) and `failed` (files that could not be read, with the reason). JSON-ready.

    Raises:
        UsageError: No run, or no such part.
        DataError: A class the model does not know, or not one readable video.
    """
    started = time.monotonic()
    run, config = open_run(run_dir)
    labels = run.metadata["labels"]
    data_dir = config.data_dir if data_dir is None else data_dir
    tree = scan(data_dir)
    check_known_classes(data_dir, tree.labels, labels)
    examples = part_of(tree.examples, config, part)
    predictions = predict(run_dir, [example.path for example in examples], shuffle_frames=shuffle_frames)
    bar = tqdm(predictions, total=len(examples), desc="evaluate", unit="video", disable=None if progress else True)
    scored, failed = [], []
    for example, prediction in zip(examples, bar, strict=True):
        if prediction.probabilities is None:
            failed.append({"path": str(example.path), "reason": prediction.error})
        else:
            scored.append((example, prediction.probabilities))
    if not scored:
        raise DataError(f"{data_dir}: none of {len(failed)} videos could be read; first: {failed[0]['reason']}")
    truth = np.array([labels.index(example.label) for example, _ in scored])
    result = classification.evaluate(truth, np.stack([p for _, p in scored]), labels)
    result["videos"] = [
        {"path": str(example.path), "label": example.label, "ranking": ranking(probabilities, labels)}
        for example, probabilities in scored
    ]
    result |= {"failed": failed, "part": part, "shuffled_frames": shuffle_frames}
    result["seconds"] = round(time.monotonic() - started, 2)
    return result


def predict_files(run_dir: Path | str, files: Sequence[Path | str] | Path | str, *, top: int = 5) -> dict:
    """Ranked classes of each file, JSON-ready: `{"files": [{"path", "ranking"} or {"path", "error"}], "labels"}`.

    Raises:
        UsageError: No run.
    """
    labels = open_run(run_dir)[0].metadata["labels"]
    rows = []
    for prediction in predict(run_dir, files):
        row = {"path": str(prediction.path)}
        if prediction.probabilities is None:
            row["error"] = prediction.error
        else:
            row["ranking"] = ranking(prediction.probabilities, labels, top)
            row["warnings"] = list(prediction.warnings)
        rows.append(row)
    return {"files": rows, "labels": labels}


def prepare(source: Path | str, out: Path | str, **options) -> PrepareReport:
    """Turns videos into folders of frames; options as in `tfav.io.frame_extraction.extract_frames`."""
    return extract_frames(source, out, **options)


def describe_evaluation(result: dict) -> str:
    """The scores as text: a row per class, totals, files that could not be read."""
    return describe_scores(result)


def open_run(run_dir: Path | str) -> tuple[runs.Run, Config]:
    """Reads a run folder of this system."""
    run = runs.load(run_dir, SYSTEM)
    return run, Config.from_dict(run.config, str(run.dir / "config.json"))


def open_networks(run_dir: Path, config: Config) -> Networks:
    """Reads the models of a run.

    Raises:
        TfavError: There is no readable model.
    """
    model = checkpoints.read_model(run_dir / "best.keras")
    if not config.cache_features:
        return Networks(model)
    stored = run_dir / "extractor.keras"
    extractor = checkpoints.read_model(stored) if stored.exists() else cached_extractor(config)
    front = checkpoints.read_model(run_dir / "front.keras") if config.projection else None
    return Networks(model, extractor, front)


def load_scorer(run_dir: Path, config: Config):
    """A function from a clip to class probabilities `[num_classes]`, the mean over both orientations where cheap."""
    model, extractor, front = open_networks(run_dir, config)

    def score_pixels(clip: clip_reader.Clip) -> np.ndarray:
        inputs = {"clip": clip.pixels[0][None], "mask": clip.mask[None].astype(np.float32)}
        return _classes(model.predict_on_batch(inputs))[0]

    def score_features(clip: clip_reader.Clip) -> np.ndarray:
        both, mask = feature_cache.pad(
            feature_cache.extract(clip, extractor, feature_cache.orientations(config)), config
        )
        inputs = {"features": both, "mask": mask}
        if front is not None:
            inputs["features"] = front.predict_on_batch(inputs)
        return _classes(model.predict_on_batch(inputs)).mean(0)

    return score_features if config.cache_features else score_pixels


def _classes(outputs) -> np.ndarray:
    return outputs["class"] if isinstance(outputs, dict) else outputs


def _save_front(front: keras.Model | None, path: Path) -> None:
    if front is not None and not path.exists():
        with partial_file(path) as partial:
            front.save(partial)


def _example_predictions(opened: Data, run_dir: Path | str):
    split, labels = opened.split, opened.labels
    source = split.val or split.test or split.train
    # One of each of the first classes rather than four of the first.
    by_label = {example.label: example for example in reversed(source)}
    chosen: list[Example] = [by_label[label] for label in labels if label in by_label][:_NUM_EXAMPLES]
    dataset = build_dataset(opened.config, chosen, labels, front=opened.front)
    batch = next(iter(dataset.unbatch().batch(len(chosen))))[0]

    def describe(model: keras.Model) -> list[dict]:
        rows = []
        for example, probabilities in zip(chosen, _classes(model.predict_on_batch(batch)), strict=True):
            best = ranking(probabilities, labels, top=1)[0]
            text = f"{example.label}: {best['label']} {best['probability']:.0%}"
            rows.append({"path": str(example.path), "label": example.label, **best, "text": text})
        return rows

    return training_callbacks.ExamplePredictions(Path(run_dir) / "examples.jsonl", describe)
