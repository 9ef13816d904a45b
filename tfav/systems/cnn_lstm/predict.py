"""A run opened once, to be asked about one video after the other."""

from collections.abc import Callable
from pathlib import Path

from tfav.io.progress import Progress, no_progress
from tfav.metrics.ranking import ranking
from tfav.systems.cnn_lstm import clip_reader
from tfav.systems.cnn_lstm.train import load_scorer, open_run


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
    run, config = open_run(run_dir)
    score = load_scorer(run.dir, config)

    def predict_file(path: Path | str, *, top: int = 5, progress: Progress = no_progress) -> dict:
        progress(0.0, "Reading the frames")
        clip = clip_reader.read_clip(path, config)
        progress(0.5, "Looking at the frames")
        found = ranking(score(clip), run.metadata["labels"], top)
        return {"path": str(path), "ranking": found, "warnings": list(clip.warnings)}

    return predict_file
