"""What a trained model says of videos: all of a list in turn, or one after the other from a run that is opened once."""

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tfav.data.classification import part_of
from tfav.data.label_tables import list_examples
from tfav.errors import DataError, TfavError, UsageError
from tfav.io.atomic_write import write_json
from tfav.io.isolate_errors import failure_of
from tfav.io.output_names import as_paths
from tfav.io.progress import Progress, no_progress
from tfav.live import Live, Window
from tfav.metrics import multi_label
from tfav.metrics.ranking import ranking
from tfav.speech.subtitles import burn_captions
from tfav.systems.cnn_lstm import clip_reader, feature_cache
from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.feature_pca import PrincipalComponents  # noqa: F401 (Keras reads `pca.keras` by it)
from tfav.systems.cnn_lstm.model import cached_backbone
from tfav.training import checkpoints, timelines
from tfav.training.run_folder import open_run, predictions_folder

_GRID_BATCH = 16  # frames that go through the backbone at a time


class Prediction(NamedTuple):
    """What the model says of one file; `probabilities` is `None` where `error` says why there are none."""

    path: Path
    probabilities: np.ndarray | None  # [num_classes] float32
    error: str = ""
    warnings: tuple[str, ...] = ()


class Networks(NamedTuple):
    """The models of a run: all of it, or what comes after a frozen `backbone` and, where there is one, its `pca`."""

    model: keras.Model
    backbone: keras.Model | None = None
    pca: keras.Model | None = None


def predict(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    shuffle_frames: bool = False,
    spans: Sequence[clip_reader.Span] | None = None,
) -> Iterator[Prediction]:
    """Scores video files, or folders of frames, one after the other.

    Args:
        run_dir: A trained run.
        files: What to score, or one path; a file that cannot be read gives a `Prediction` with its error and stops no
            other.
        shuffle_frames: Put the frames in random order first, to see what the order is worth to the model.
        spans: Of each file the stretch to score, from a second to another one, or None for all of it.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    score = load_scorer(run.dir, config)
    rng, files = np.random.default_rng(config.seed), as_paths(files)
    for path, clip in zip(files, clip_reader.read_clips(files, config, spans), strict=True):
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


def predict_files(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    top: int = 5,
    none: bool = False,
    every: float | None = None,
    window_sec: float | None = None,
    smooth_sec: float | None = None,
    out: Path | str | None = None,
    captions: bool = False,
) -> dict:
    """Ranked classes of each file, JSON-ready: `{"files": [{"path", "ranking"} or {"path", "error"}], "labels"}`.

    Of a run with `multi_label` a row has `labels` too: all classes from their threshold on, which may be none. With
    `every` a row has `segments` in place of a ranking, as in `tfav.metrics.timeline`, and the files that it `wrote`.

    Args:
        run_dir: A trained run.
        files: Videos or folders of frames.
        top: Classes in a ranking.
        none: Of a run with one label a clip give `labels` too: the best class, or none where it is below the threshold
            chosen on the validation part.
        every: Look at a window of each video every so many seconds, and say what happens when.
        window_sec: Length of a window; None: that of the clips it was trained on.
        smooth_sec: Deviation of a Gaussian that smooths probabilities over time; None: `every`; 0: none.
        out: Folder for the timelines; None: `predictions/` in the run folder.
        captions: Write each video again with its classes as captions.

    Raises:
        UsageError: No run, no validation part to choose a threshold on, or a length of windows that is not known.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    labels = run.metadata["labels"]
    thresholds = read_thresholds(run_dir) if none or config.multi_label else None
    if every is not None:
        window_sec = window_sec or timelines.read_clip_length(run.dir)
        rows = timelines.find_timelines(
            files,
            _open_windows(run.dir, config, every, window_sec),
            labels,
            out or predictions_folder(run_dir),
            every_sec=every,
            window_sec=window_sec,
            smooth_sec=smooth_sec,
            thresholds=thresholds,
            several=config.multi_label,
            burn=burn_captions if captions else None,
        )
        return {"files": rows, "labels": labels}
    rows = []
    for prediction in predict(run_dir, files):
        row = {"path": str(prediction.path)}
        if prediction.probabilities is None:
            row["error"] = prediction.error
        else:
            row |= _answer(prediction.probabilities, labels, top, thresholds, config)
            row["warnings"] = list(prediction.warnings)
        rows.append(row)
    return {"files": rows, "labels": labels}


def _answer(probabilities: np.ndarray, labels: list[str], top: int, thresholds: dict | None, config: Config) -> dict:
    found = {"ranking": ranking(probabilities, labels, top)}
    if thresholds is not None:
        may_be = ranking(probabilities, labels, len(labels) if config.multi_label else 1)
        found["labels"] = [entry for entry in may_be if entry["probability"] >= thresholds[entry["label"]]]
    return found


def _open_windows(run_dir: Path, config: Config, every_sec: float, window_sec: float):
    """A function from a video to the probabilities of its windows."""
    networks = open_networks(run_dir, config)
    shares_frames = config.views == ("frame",) and not config.subtract_mean

    def look(path: Path) -> timelines.Windows:
        found = clip_reader.Pass()
        if shares_frames:
            windows = _score_on_grid(path, config, networks, every_sec, window_sec, found)
        else:  # what the backbone sees of a frame depends on the window
            score = _scorer(networks, config)
            windows = np.stack([score(c) for c in clip_reader.iter_windows(path, config, every_sec, window_sec, found)])
        return timelines.Windows(windows, found.duration_sec, found.warnings)

    return look


def _score_on_grid(path, config: Config, networks: Networks, every_sec, window_sec, found) -> np.ndarray:
    """Probabilities of each window, `[N, K]`, whose frames lie on one grid: each goes through the backbone once."""
    steps = max(1, round(every_sec * config.num_frames / window_sec))  # of the grid, from a window to the next one
    step_sec = every_sec / steps
    stride = max(1, round(window_sec / config.num_frames / step_sec))
    needed = stride * (config.num_frames - 1) + 1
    look, answer = _halves(networks, config)
    kept, rows, skip = [], [], 0  # features from the next window's first frame on; so many come before it
    grid = clip_reader.iter_grid(path, config, step_sec, found)
    while batch := list(itertools.islice(grid, _GRID_BATCH)):
        new = look(np.stack(batch))
        kept += list(new[skip:])
        skip = max(0, skip - len(new))
        while len(kept) >= needed:
            rows.append(answer(np.stack(kept[:needed:stride], axis=1)))
            skip += max(0, steps - len(kept))
            kept = kept[steps:]
    if not rows or len(kept) >= needed / 2:
        rows.append(answer(np.stack(kept[::stride], axis=1)))
    return np.stack(rows)


def _halves(networks: Networks, config: Config):
    """The backbone, `[n, S, S, 3]` frames to `[n, O, D]`, and what comes after it, `[O, T, D]` to `[num_classes]`."""
    if config.cache_features:
        count = feature_cache.orientations(config)

        def look(frames: np.ndarray) -> np.ndarray:
            clip = clip_reader.Clip(frames[None], np.ones(len(frames), bool))
            return feature_cache.extract(clip, networks.backbone, count).swapaxes(0, 1)

        return look, functools.partial(_answer_features, networks.model, networks.pca, config)
    backbone, head = networks.model.get_layer("frames").model, networks.model.get_layer("head")
    return lambda frames: backbone.predict_on_batch(frames)[:, None], functools.partial(
        _answer_features, head, None, config
    )


def _answer_features(head: keras.Model, pca: keras.Model | None, config: Config, features: np.ndarray) -> np.ndarray:
    padded, mask = feature_cache.pad(features, config)
    inputs = {"features": padded, "mask": mask}
    if pca is not None:
        inputs["features"] = pca.predict_on_batch(inputs)
    return class_probabilities(head.predict_on_batch(inputs)).mean(0)


def read_thresholds(run_dir: Path | str) -> dict[str, float]:
    """The probability from which on each class is said, chosen on the run's validation part when first asked for.

    With `multi_label` the one with the best F1 of each class, 0.5 where there is no validation part; else one for all,
    as `tfav.metrics.multi_label.choose_none_threshold` has it.

    Raises:
        UsageError: There is no validation part.
        DataError: Its videos cannot be read any more.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    path, labels = run.dir / "thresholds.json", run.metadata["labels"]
    if path.exists():
        return json.loads(path.read_bytes())
    if config.has_val:
        examples = part_of(list_examples(config.data_dir, multi_label=config.multi_label).examples, config, "val")
        predictions = predict(run_dir, [e.path for e in examples], spans=[e.span for e in examples])
        found = [
            (e, p.probabilities) for e, p in zip(examples, predictions, strict=True) if p.probabilities is not None
        ]
        if not found:
            raise DataError(f"{config.data_dir}: none of the validation videos can be read, to choose thresholds on.")
        probabilities = np.stack([row for _, row in found])
    if config.multi_label and config.has_val:
        truth = np.array([[label in example.labels for label in labels] for example, _ in found])
        chosen = multi_label.choose_thresholds(truth, probabilities)
    elif config.multi_label:
        chosen = [multi_label.DEFAULT] * len(labels)
    elif config.has_val:
        truth = np.array([labels.index(example.label) for example, _ in found])
        chosen = [multi_label.choose_none_threshold(truth, probabilities)] * len(labels)
    else:
        raise UsageError(f"{run_dir}: has no validation part to choose a threshold on. Train with --val-fraction 0.2.")
    thresholds = {label: round(float(value), 6) for label, value in zip(labels, chosen, strict=True)}
    write_json(path, thresholds)
    return thresholds


def open_predictor(run_dir: Path | str) -> Callable[..., dict]:
    """Opens a run for predictions.

    Args:
        run_dir: A trained run.

    Returns:
        A function `(path, *, top=5, progress=...)` from a video to its row, JSON-ready: `path`, `ranking`, `warnings`.
        It raises `MediaError` for a video that cannot be read, and whatever `progress` raises.

    Raises:
        UsageError: Not a run of this system.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    score = load_scorer(run.dir, config)
    thresholds = read_thresholds(run_dir) if config.multi_label else None

    def predict_file(path: Path | str, *, top: int = 5, progress: Progress = no_progress) -> dict:
        progress(0.0, "Reading the frames")
        clip = clip_reader.read_clip(path, config)
        progress(0.5, "Looking at the frames")
        found = _answer(score(clip), run.metadata["labels"], top, thresholds, config)
        return {"path": str(path), **found, "warnings": list(clip.warnings)}

    return predict_file


def open_live(run_dir: Path | str, *, window_sec: float | None = None, top: int = 5) -> Live:
    """Opens a run for live sources.

    Args:
        run_dir: A trained run.
        window_sec: Length of the windows; None: that of the clips it was trained on.
        top: Classes in an answer.

    Raises:
        UsageError: Not a run of this system, or a length of windows that is not known.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    window_sec = window_sec or timelines.read_clip_length(run.dir)
    score, labels = load_scorer(run.dir, config), run.metadata["labels"]
    thresholds = read_thresholds(run_dir) if config.multi_label else None

    def answer(window: Window) -> dict:
        clip = clip_reader.window_clip(window.frames, window.times_sec, config)
        return _answer(score(clip), labels, top, thresholds, config)

    blank = clip_reader.kept_of(np.zeros((240, 320, 3), np.uint8), config)
    answer(Window([blank] * config.num_frames, np.arange(config.num_frames) / 25, ()))  # so that the first is quick
    return Live(window_sec, answer, lambda frame: clip_reader.kept_of(frame, config))


def open_networks(run_dir: Path, config: Config) -> Networks:
    """Reads the models of a run.

    Raises:
        TfavError: There is no readable model.
    """
    model = checkpoints.read_model(run_dir / "best.keras")
    if not config.cache_features:
        return Networks(model)
    stored = run_dir / "backbone.keras"
    backbone = checkpoints.read_model(stored) if stored.exists() else cached_backbone(config)
    pca = checkpoints.read_model(run_dir / "pca.keras") if config.pca_components else None
    return Networks(model, backbone, pca)


def load_scorer(run_dir: Path, config: Config):
    """A function from a clip to class probabilities `[num_classes]`, the mean over both orientations where cheap."""
    return _scorer(open_networks(run_dir, config), config)


def _scorer(networks: Networks, config: Config):
    model, backbone, pca = networks

    def score_pixels(clip: clip_reader.Clip) -> np.ndarray:
        inputs = {"clip": clip.pixels[0][None], "mask": clip.mask[None].astype(np.float32)}
        return class_probabilities(model.predict_on_batch(inputs))[0]

    def score_features(clip: clip_reader.Clip) -> np.ndarray:
        both = feature_cache.extract(clip, backbone, feature_cache.orientations(config))
        return _answer_features(model, pca, config, both)

    return score_features if config.cache_features else score_pixels


def class_probabilities(outputs):
    """What the model says of the classes, `[B, num_classes]`, be it its one output or one of several."""
    return outputs["class"] if isinstance(outputs, dict) else outputs
