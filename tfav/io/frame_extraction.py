"""Folders of videos to folders of JPEG frames: `class/video.avi` becomes `class/video/video_frame_00.jpg` and so on."""

import collections
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfav.errors import DataError, MediaError, UsageError
from tfav.io.atomic_write import partial_folder, write_json
from tfav.io.frame_folders import list_classes
from tfav.io.images import resize, write_picture
from tfav.io.listing import IMAGE_SUFFIXES, MANIFEST_NAME, sharing_failures, source_identity, videos_to_extract
from tfav.io.output_names import clip_name, short_name
from tfav.io.parallel import PrepareReport, Unit, run_units
from tfav.io.video import frame_chooser, select_frames
from tfav.ranges import check_number

_FORMAT = 2  # of the manifest and the way frames are made; a folder of another one is made anew


def extract_frames(
    videos_dir,
    out_dir,
    *,
    every_sec: float | None = None,
    num_frames: int | None = None,
    size: int | Sequence[int] | None = None,
    quality: int = 95,
    keep_damaged: bool = False,
    clips: Sequence[tuple[Path, tuple[float, float] | None]] | None = None,
    **workers,
) -> PrepareReport:
    """Turn every video under `videos_dir` into a folder of JPEG frames: `class/video/video_frame_00.jpg`.

    A folder under its own name is complete and made with the present settings: frames are written beside and renamed
    in, and `frames.json` in it tells source, settings, and each frame's number and time. What is complete is skipped;
    what is half-written, or of other settings or another source, is done again, and removed if that fails.

    A video that fails is counted and named with its reason, and stops no other. That covers damaged ones (cut off, or
    with parts that do not decode), and those that would share a folder: `a.avi` and `a.mp4` in one class both fail.

    Args:
        videos_dir: Holds `class/video.*`, or deeper folders, or videos alone.
        out_dir: Gets the same tree with a folder in place of each video; may be `videos_dir` itself.
        every_sec: One frame each so many seconds (`sampling.indices_every_sec`); or
        num_frames: so many frames evenly over the whole length (`sampling.indices_evenly`); or neither for all.
        size: None keeps the video's; a number makes the shorter side so long, and never enlarges; `(height, width)`
            is met exactly.
        quality: Of the JPEGs, 1-100.
        keep_damaged: Extract what can be read of damaged videos, with a warning for each.
        clips: These videos under `videos_dir` alone, each whole (None) or from a second to another one.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Returns:
        A `PrepareReport`, also written to `out_dir/prepare_report.json`. Classes without videos and ignored files are
        among its warnings.

    Raises:
        UsageError: A wrong setting, or folders that cannot be used.
        DataError: There is no video under `videos_dir`.
        DiskFullError: No space is left.
    """
    frame_chooser(every_sec=every_sec, num_frames=num_frames)
    check_number("quality", quality, whole=True, ge=1, le=100)
    settings = {
        "every_sec": every_sec,
        "num_frames": num_frames,
        "size": _check_size(size),
        "quality": int(quality),
        "keep_damaged": bool(keep_damaged),
    }
    videos_dir, out_dir = Path(videos_dir), Path(out_dir)
    failures, warnings = {}, []
    if clips is None:
        videos, failures, left_out = videos_to_extract(videos_dir, out_dir)
        warnings = [*_find_oddities(videos_dir, out_dir, videos), left_out]
        clips = [(video, None) for video in videos]
    by_target = collections.defaultdict(list)
    for video, span in clips:
        by_target[clip_folder(video.relative_to(videos_dir), span)].append((video, span))
    units = []
    for target, sources in by_target.items():
        failures |= sharing_failures(videos_dir, [video for video, _ in sources], target.as_posix())
        if len(sources) == 1:
            video, span = sources[0]
            name = target.as_posix() if span else video.relative_to(videos_dir).as_posix()
            own = settings | {"span": list(span)} if span else settings
            units.append(Unit(name, (str(video.absolute()), str((out_dir / target).absolute()), own)))
    return run_units(
        _extract_video,
        units,
        out_dir,
        is_done=_is_complete,
        failures=failures,
        warnings=filter(None, warnings),
        settings=settings,
        label="frames",
        **workers,
    )


def clip_folder(video: Path, span: tuple[float, float] | None) -> Path:
    """Where the frames of a video go, or those of a stretch of it from a second to another one."""
    return video.with_name(clip_name(video.stem, span))


def _extract_video(source: str, folder: str, settings: dict) -> str | None:
    source, folder = Path(source), Path(folder)
    if folder.exists() and not _is_ours(folder):
        raise UsageError(f"{folder}: holds other things than frames. Move it away or choose another out_dir.")
    identity = source_identity(source)  # before reading: a file that changes meanwhile is done again next time
    choose = frame_chooser(every_sec=settings["every_sec"], num_frames=settings["num_frames"])
    try:
        with partial_folder(folder) as partial:
            selection = select_frames(
                source,
                choose,
                lambda index, frame: _write_jpeg(partial / f"{index}.jpg", frame, settings),
                strict=not settings["keep_damaged"],
                span=settings.get("span"),
            )
            frames = _number_frames(partial, folder.name, selection)
            write_json(
                partial / MANIFEST_NAME,
                {
                    "format": _FORMAT,
                    "source": identity,
                    "settings": settings,
                    "damage": selection.damage,
                    "frames": frames,
                },
            )
    except (MediaError, DataError):
        shutil.rmtree(folder, ignore_errors=True)  # outdated, or this would not have been called
        raise
    if selection.damage:
        return f"damaged, {len(frames)} frames kept: {selection.damage}"
    return None


def _write_jpeg(path: Path, frame: np.ndarray, settings: dict) -> None:
    height, width = frame.shape[:2]
    size = settings["size"]
    if isinstance(size, int):
        scale = min(1.0, size / min(height, width))
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
    if size:
        frame = resize(frame, *size)
    write_picture(path, frame, quality=settings["quality"])


def _number_frames(partial: Path, name: str, selection) -> list[dict]:
    """Give the frames, stored under their index, their final names; return their manifest entries."""
    digits = max(2, len(str(len(selection.indices) - 1)))
    name = short_name(name)
    indices = selection.indices.tolist()
    frames = []
    for position, (index, time_sec) in enumerate(zip(indices, selection.times_sec.tolist(), strict=True)):
        stored, final = partial / f"{index}.jpg", partial / f"{name}_frame_{position:0{digits}}.jpg"
        if indices[position + 1 : position + 2] == [index]:  # choices never decrease, so repeats are neighbours
            shutil.copyfile(stored, final)
        else:
            stored.rename(final)
        size_bytes = final.stat().st_size
        frames.append({"name": final.name, "index": index, "time_sec": round(time_sec, 6), "bytes": size_bytes})
    kept = {frame["name"] for frame in frames}
    for path in partial.iterdir():
        if path.name not in kept:  # decoded on a wrong prediction
            path.unlink()
    return frames


def _is_complete(source: str, folder: str, settings: dict) -> bool:
    """Tell whether a frame folder is whole, of this source and of these settings."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_bytes())
        made_of = manifest["format"], manifest["source"], manifest["settings"]
        if made_of != (_FORMAT, source_identity(Path(source)), settings):
            return False
        return all((folder / frame["name"]).stat().st_size == frame["bytes"] for frame in manifest["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and all(
        entry.name == MANIFEST_NAME or Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
        for entry in os.scandir(folder)
        if not entry.name.startswith(".")
    )


def _check_size(size) -> int | list[int] | None:
    if size is None or (isinstance(size, int) and size >= 1):
        return size
    if isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, int) and side >= 1 for side in size):
        return list(size)
    raise UsageError(f"size is the shorter side, or (height, width), in pixels. Received: size={size}")


def _find_oddities(videos_dir: Path, out_dir: Path, videos: list[Path]) -> list[str]:
    parts = [video.relative_to(videos_dir).parts for video in videos]
    with_videos = {names[0] for names in parts}
    lines = [
        f"class {name} has no videos"
        for name in list_classes(videos_dir)
        if name not in with_videos
        and (videos_dir / name).resolve() != out_dir.resolve()
        and not (videos_dir / name / MANIFEST_NAME).exists()
    ]
    # Whoever wants the frames alone may have any tree; those that train by class are told now and not only then.
    deeper = [video for video, names in zip(videos, parts, strict=True) if len(names) > 2]
    if deeper:
        lines.append(
            f"{len(deeper)} videos lie deeper than CLASS/VIDEO, where training by class takes none, first {deeper[0]}"
        )
    return lines
