"""What a trained model says of videos: all of a list in turn, or one after the other from a run that is opened once."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tfav.errors import TfavError
from tfav.io.isolate_errors import failure_of
from tfav.io.output_names import as_paths
from tfav.io.progress import Progress, no_progress
from tfav.metrics.ranking import ranking
from tfav.systems.cnn_lstm import clip_reader, feature_cache
from tfav.systems.cnn_lstm.config import SYSTEM, Config
from tfav.systems.cnn_lstm.feature_pca import PrincipalComponents  # noqa: F401 (Keras reads `pca.keras` by it)
from tfav.systems.cnn_lstm.model import cached_backbone
from tfav.training import checkpoints
from tfav.training.run_folder import open_run


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
    run_dir: Path | str, files: Sequence[Path | str] | Path | str, *, shuffle_frames: bool = False
) -> Iterator[Prediction]:
    """Scores video files, or folders of frames, one after the other.

    Args:
        run_dir: A trained run.
        files: What to score, or one path; a file that cannot be read gives a `Prediction` with its error and stops no
            other.
        shuffle_frames: Put the frames in random order first, to see what the order is worth to the model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
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


def predict_files(run_dir: Path | str, files: Sequence[Path | str] | Path | str, *, top: int = 5) -> dict:
    """Ranked classes of each file, JSON-ready: `{"files": [{"path", "ranking"} or {"path", "error"}], "labels"}`.

    Raises:
        UsageError: No run.
    """
    labels = open_run(run_dir, SYSTEM, Config)[0].metadata["labels"]
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

    def predict_file(path: Path | str, *, top: int = 5, progress: Progress = no_progress) -> dict:
        progress(0.0, "Reading the frames")
        clip = clip_reader.read_clip(path, config)
        progress(0.5, "Looking at the frames")
        found = ranking(score(clip), run.metadata["labels"], top)
        return {"path": str(path), "ranking": found, "warnings": list(clip.warnings)}

    return predict_file


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
    model, backbone, pca = open_networks(run_dir, config)

    def score_pixels(clip: clip_reader.Clip) -> np.ndarray:
        inputs = {"clip": clip.pixels[0][None], "mask": clip.mask[None].astype(np.float32)}
        return class_probabilities(model.predict_on_batch(inputs))[0]

    def score_features(clip: clip_reader.Clip) -> np.ndarray:
        both, mask = feature_cache.pad(
            feature_cache.extract(clip, backbone, feature_cache.orientations(config)), config
        )
        inputs = {"features": both, "mask": mask}
        if pca is not None:
            inputs["features"] = pca.predict_on_batch(inputs)
        return class_probabilities(model.predict_on_batch(inputs)).mean(0)

    return score_features if config.cache_features else score_pixels


def class_probabilities(outputs):
    """What the model says of the classes, `[B, num_classes]`, be it its one output or one of several."""
    return outputs["class"] if isinstance(outputs, dict) else outputs
