"""The next frames of any video, as GIF and MP4, and of any array as an array with pictures."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tfav.data.arrays import check_channels
from tfav.errors import DataError, MediaError, UsageError
from tfav.io.array_files import ArrayFile, write_array
from tfav.io.encoding import write_gif, write_video
from tfav.io.field_pictures import write_moving, write_strip
from tfav.io.isolate_errors import row_of
from tfav.io.output_names import as_paths, check_target, name_results, short_name
from tfav.io.progress import Progress, no_progress
from tfav.ranges import check_number
from tfav.systems.next_frame import frame_sequences
from tfav.systems.next_frame.config import SYSTEM, Config
from tfav.systems.next_frame.dataset import open_file, scaling_of
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
    axes: str | None = None,
) -> dict:
    """Predicts how videos, or arrays where the run was trained on one, go on after their last frame.

    Args:
        run_dir: A trained run, or `pretrained`.
        files: Videos or folders of frames, or one path; one that cannot be used stops no other.
        frames: Frames to predict; None: as many as in the run's training.
        out: Folder for `NAME_next.gif` and `NAME_next.mp4`, with a NAME by `output_names.name_results`: the frames
            looked at, then the predicted ones, which have a bar under them; None: `predictions/` in the run folder, of
            `pretrained` in the current one. For an array `NAME_next.npy` with GIF and PNG; or this file, `.npy` or
            `.nc`.
        axes: What the axes of an array count; None: as in the run's training.

    Returns:
        `{"files": [...]}`, each with `path`, `frames`, `wrote` and `warnings`, or with `error`.

    Raises:
        UsageError: No frames are asked for, no run, or one file named for the results of several.
    """
    check_number("frames", frames, whole=True, ge=1)
    run, _ = open_run(run_dir, SYSTEM, Config)
    is_array = "array" in run.metadata
    predict_file = open_predictor(run_dir)
    files, options = as_paths(files), {"frames": frames}
    folder = Path(out) if out is not None else predictions_folder(run_dir)
    if is_array:
        options["axes"] = axes
        if folder.suffix:
            if len(files) != 1:
                raise UsageError(f"--out {folder} is one file. Received: {len(files)} arrays; give a folder.")
            check_target(folder, files, "--out")
            return {"files": [row_of(files[0], predict_file, out=folder, **options)]}
    endings = ("_next.npy", "_next.gif", "_next.png") if is_array else ("_next.gif", "_next.mp4")
    named = zip(files, name_results(files, folder, endings), strict=True)
    return {"files": [row_of(path, predict_file, out=folder, name=name, **options) for path, name in named]}


def predict_array(
    run_dir: Path | str, array: np.ndarray | Path | str, num_frames: int | None = None, *, axes: str | None = None
) -> np.ndarray:
    """Predicts how an array goes on along its axis of time.

    Args:
        run_dir: A run that was trained on an array.
        array: In the user's units, NaN where a cell is missing; or a file. Its last frames are looked at.
        num_frames: Frames to predict; None: as many as in the run's training.
        axes: What its axes count; None: as in the run's training.

    Returns:
        float32 in the user's units, axes as those of `array`, of which that of time has `num_frames`.

    Raises:
        UsageError: No run on an array, or axes or a size that do not fit.
        DataError: Too few frames, infinities, a frame without any value, or another number of channels than the run's.

    Example:
        >>> forecast = predict_array("runs/radar", radar, 24)  # radar [T, H, W] gives [24, H, W]
    """
    run, config = open_run(run_dir, SYSTEM, Config)
    if "array" not in run.metadata:
        raise UsageError(f"{run_dir}: a run on pictures. Use predict_files, or train one on an array (--axes).")
    file, _, made = _forecast(run, config, load_model(run.dir, config), array, num_frames, axes)
    return file.as_stored(made)


def _forecast(run, config, model, source, num_frames, axes) -> tuple[ArrayFile, np.ndarray, np.ndarray]:
    """The array, the frames looked at and those predicted, `[N, T, H, W, C]` in the user's units."""
    scaling = scaling_of(run.metadata)
    if axes is None:  # those of the run, but where the file's dimensions have names these say
        has_names = not isinstance(source, np.ndarray) and Path(source).suffix not in (".npy", ".npz")
        axes = config.axes or ("" if has_names else run.metadata["array"]["axes"])
    file = open_file(dataclasses.replace(config, axes=axes), source)
    check_channels(file, scaling)
    count, length = file.shape[:2]
    needed = max(least_frames(model), min(config.input_frames, length))
    if length < needed:
        raise DataError(f"{file.path}: {length} frames, and the run looks at {needed}. Give it a longer array.")
    seen = np.stack([file.read(number, length - needed) for number in range(count)])
    blank = np.argwhere(np.isnan(seen).all((2, 3, 4)))
    if len(blank):
        number, frame = blank[0]
        raise DataError(
            f"{file.path}: frame {length - needed + frame} of sequence {number} has no value at all. "
            f"The last {needed} frames are looked at; cut off or mend those without any."
        )
    return file, seen, predict_next(model, seen, num_frames or config.output_frames, scaling=scaling)


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

    def predict_an_array(path, *, out, name="", frames=None, axes=None, progress: Progress = no_progress) -> dict:
        progress(0.0, "Reading the frames")
        file, seen, made = _forecast(run, config, model, path, frames, axes)
        progress(0.8, "Drawing them")
        target = Path(out)
        if not target.suffix:
            target = target / f"{name or short_name(Path(path).stem)}_next.npy"
        names = run.metadata["array"]["names"]
        target.parent.mkdir(parents=True, exist_ok=True)
        wrote = [write_array(target, made, dataclasses.replace(file, names=tuple(names)))]
        wrote.append(write_moving(target.with_suffix(".gif"), seen[0], made[0], names))
        wrote.append(write_strip(target.with_suffix(".png"), seen[0], made[0], names))
        warnings = scaling_of(run.metadata).check(seen, path, names)
        if len(made) > 1:
            warnings.append(f"{path}: the pictures show the first of {len(made)} sequences; {target.name} has all.")
        return {"path": str(path), "frames": made.shape[1], "wrote": list(map(str, wrote)), "warnings": warnings}

    if "array" in run.metadata:
        return predict_an_array

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
