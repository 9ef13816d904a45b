"""The next frames of any video, as GIF and MP4."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfav.errors import MediaError
from tfav.io.encoding import write_gif, write_video
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, name_results, short_name
from tfav.io.progress import Progress, no_progress
from tfav.ranges import check_number
from tfav.systems.next_frame import frame_sequences
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.model import load_model
from tfav.systems.next_frame.rollout import least_frames, predict_next
from tfav.training.run_folder import open_run, predictions_folder

_SHOWN_SIZE = 256  # pixels at least: a player shows 64 as a stamp
_MARK = (235, 110, 40)  # RGB, the bar under frames that are predicted


def predict_files(
    run_dir: Path | str,
    files: Sequence[Path | str] | Path | str,
    *,
    frames: int | None = None,
    out: Path | str | None = None,
) -> dict:
    """Predicts how videos go on after their last frame.

    Args:
        run_dir: A trained run, or `pretrained`.
        files: Videos or folders of frames, or one path; one that cannot be used stops no other.
        frames: Frames to predict; None: as many as in the run's training.
        out: Folder for `NAME_next.gif` and `NAME_next.mp4`, with a NAME by `output_names.name_results`: the frames
            looked at, then the predicted ones, which have a bar under them; None: `predictions/` in the run folder, of
            `pretrained` in the current one.

    Returns:
        `{"files": [...]}`, each with `path`, `frames`, `wrote` and `warnings`, or with `error`.

    Raises:
        UsageError: No frames are asked for, or no run.
    """
    check_number("frames", frames, whole=True, ge=1)
    predict_file = open_predictor(run_dir)
    folder = Path(out) if out is not None else predictions_folder(run_dir)
    files = as_paths(files)
    named = zip(files, name_results(files, folder, ("_next.gif", "_next.mp4")), strict=True)
    return {"files": [row_of(path, predict_file, out=folder, name=name, frames=frames) for path, name in named]}


def open_predictor(run_dir: Path | str) -> Callable[..., dict]:
    """Opens a run once, to predict how one video after the other goes on.

    Args:
        run_dir: A trained run, or `pretrained`.

    Returns:
        A function `(path, *, out, name="", frames=None, progress=...)` from a video to its row as in `predict_files`,
        `name` being that of its results. It raises `MediaError` for a video that cannot be read or is too short, and
        whatever `progress` raises.

    Raises:
        UsageError: No run.
        TfavError: There is no readable model.
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    model = load_model(run.dir, config)

    def predict_file(path, *, out, name: str = "", frames: int | None = None, progress: Progress = no_progress) -> dict:
        path, num_frames = Path(path), frames or config.output_frames
        progress(0.0, "Reading the frames")
        seen, warnings = _read(path, config, least_frames(model))
        progress(0.2, "Predicting the next frames")
        predicted = predict_next(model, seen[None].astype(np.float32) / 255, num_frames)[0]
        progress(0.8, "Drawing them")
        wrote = _write(
            Path(out) / f"{name or short_name(path.stem)}_next", seen, predicted, frame_sequences.frame_rate(path)
        )
        return {"path": str(path), "frames": num_frames, "wrote": wrote, "warnings": warnings}

    return predict_file


def _read(path: Path, config, least: int) -> tuple[np.ndarray, list[str]]:
    """The last frames, `[T, H, W, C]` uint8, and what a person should know of how they were made."""
    seen = frame_sequences.read_frames(path, config.image_size, config.channels, last=config.input_frames)
    if len(seen) < max(least, 1):
        raise MediaError(path, f"{len(seen)} frames, and the model looks at {least}", "Give it a longer video.")
    size, warnings = frame_sequences.frame_size(path), []
    if size != (config.image_size, config.image_size):
        warnings.append(
            f"{path}: its frames, {size[1]} x {size[0]}, are resized to {config.image_size} x {config.image_size}, on "
            "which the run was trained."
        )
    return seen, warnings


def _write(stem: Path, seen: np.ndarray, predicted: np.ndarray, fps: float) -> list[str]:
    made = np.rint(predicted * 255).astype(np.uint8)
    pictures = [_shown(frame, marked=False) for frame in seen] + [_shown(frame, marked=True) for frame in made]
    gif = write_gif(stem.with_name(stem.name + ".gif"), pictures, min(fps, 10.0))  # slower, for the eye
    film = write_video(stem.with_name(stem.name + ".mp4"), pictures, fps)
    return [str(gif), str(film)]


def _shown(frame: np.ndarray, *, marked: bool) -> np.ndarray:
    scale = max(1, -(-_SHOWN_SIZE // frame.shape[0]))
    picture = np.repeat(frame, 3, axis=-1) if frame.shape[-1] == 1 else frame
    picture = np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1)
    bar = np.empty((max(4, len(picture) // 32), picture.shape[1], 3), np.uint8)
    bar[:] = _MARK if marked else 0
    return np.concatenate([picture, bar])
