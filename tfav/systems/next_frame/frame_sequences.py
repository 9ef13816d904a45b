"""Frames of any video or folder of frames at the model's size, and whole folders of them cut to sequences."""

import collections
import json
import math
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from tfav.data.example_files import fingerprint
from tfav.errors import DataError, MediaError, UsageError
from tfav.io import images
from tfav.io.atomic_write import partial_file, write_json
from tfav.io.cache import keyed_path
from tfav.io.frame_folders import inspect_frames, list_frames
from tfav.io.listing import MANIFEST_NAME, VIDEO_SUFFIXES, describe_left_out, file_state, name_key, walk_files
from tfav.io.npy_sequences import write_sequences
from tfav.io.parallel import PrepareReport, Unit, run_units
from tfav.io.video import iter_frames, probe


def read_frames(path: Path | str, size: int, channels: int, *, last: int | None = None) -> np.ndarray:
    """The frames of a video file or a folder of frames, resized; proportions are not kept.

    Args:
        path: The file or folder.
        size: Height and width, in pixels.
        channels: 1 grey, 3 colour.
        last: Only so many frames, from the end.

    Returns:
        `[T, size, size, channels]` uint8.

    Raises:
        MediaError: It cannot be read.
    """
    frames = collections.deque(_iter_frames(Path(path)), maxlen=last)
    return np.stack([_resized(frame, size, channels) for frame in frames])


def frame_size(path: Path | str) -> tuple[int, int]:
    """Height and width of a video's frames, in pixels."""
    path = Path(path)
    if path.is_dir():
        return inspect_frames(path).headers[0].upright_size
    info = probe(path, exact=False)
    return info.height, info.width


def frame_rate(path: Path | str) -> float:
    """Frames per second; 10 for a folder of frames, which has none."""
    return 10.0 if Path(path).is_dir() else probe(path, exact=False).fps


class _Found(NamedTuple):
    """Videos and folders of frames, links to nothing with their reason, and a warning of what is left out."""

    videos: list[Path]
    failures: dict[str, str]
    warnings: list[str]


def _list(folder: Path | str) -> _Found:
    listing = walk_files(folder, VIDEO_SUFFIXES, frames=True)
    videos, failures = listing.to_try(), listing.dangling(folder)
    # The frames that tfav extracted beside their video are that video once more: it would stand in two parts.
    stems = {video.with_suffix("") for video in videos}
    twice = [path for path in listing.frame_folders if path in stems and (path / MANIFEST_NAME).exists()]
    found = sorted([*videos, *(path for path in listing.frame_folders if path not in twice)], key=name_key)
    if not found and not failures:
        raise DataError(f"{folder}: neither videos nor frames in it. Name a folder that has some.")
    left_out = listing.left_out | ({"that are frames of a video beside them": twice} if twice else {})
    return _Found(found, failures, list(filter(None, [describe_left_out(folder, left_out)])))


def cut_folder(
    folder: Path | str,
    out: Path | str,
    *,
    num_frames: int,
    size: int,
    channels: int,
    **workers,
) -> PrepareReport:
    """Cuts all videos of a folder to sequences that follow one another, and writes them into one file.

    What is left over at the end of a video is not used. Beside the file, `FILE.json` says which sequences are of which
    video, so that a split can keep videos whole. Videos are cut in parallel into a hidden folder beside the file, which
    goes when the file is whole; a run that was killed goes on from there.

    Args:
        folder: Of videos, or of folders of frames, at any depth.
        out: The `.npy` file, in the layout of `tfav.io.npy_sequences`.
        num_frames: Frames of a sequence.
        size: Height and width, in pixels.
        channels: 1 grey, 3 colour.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Returns:
        An account of all videos. Those that failed, because they cannot be read or are too short, are not in the file;
        nothing is written where all failed.
    """
    out = Path(out).absolute()
    waiting = out.with_name(f".{out.name}.cutting")
    shape = (num_frames, size, size, channels)
    found = _list(folder)
    videos = {video: waiting / f"{fingerprint(str(video.absolute()), video, shape)}.raw" for video in found.videos}
    report = run_units(
        _cut_video,
        [Unit(str(video), (str(video.absolute()), str(cut), shape)) for video, cut in videos.items()],
        waiting,
        is_done=_is_cut,
        failures=found.failures,
        warnings=found.warnings,
        settings={"num_frames": num_frames, "size": size, "channels": channels},
        label="sequences",
        **workers,
    )
    good = {video: cut for video, cut in videos.items() if str(video) not in report.failed}
    if good:
        pieces = [np.memmap(cut, np.uint8, "r").reshape(-1, *shape) for cut in good.values()]
        write_sequences(out, (row[None] for piece in pieces for row in piece), sum(map(len, pieces)))
        counts = [[str(video), len(piece)] for video, piece in zip(good, pieces, strict=True)]
        write_json(_facts_path(out), {"videos": counts})
    if report.ok:  # else what is cut waits for the others to be mended
        shutil.rmtree(waiting, ignore_errors=True)
    return report


def cached_sequences(
    folder: Path | str,
    cache: Path,
    *,
    num_frames: int,
    size: int,
    channels: int,
    failed: dict[str, str] | None = None,
) -> Path:
    """The file `cut_folder` makes of a folder, made now or kept from before.

    Args:
        folder: As in `cut_folder`.
        cache: Where files are kept.
        num_frames: As in `cut_folder`.
        size: As in `cut_folder`.
        channels: As in `cut_folder`.
        failed: Takes the reasons of videos that cannot be used, which are then left out; None: all or nothing.

    Raises:
        DataError: Videos cannot be read or are too short, all of them or, without `failed`, any; the first is named,
            the others are counted.
    """
    found = _list(folder)
    for line in found.warnings:
        warnings.warn(line, stacklevel=1)  # from here, and so once in a process
    states = [(str(video.resolve()), *file_state(video)) for video in found.videos]
    states += list(found.failures)  # never taken for a file made without them
    path = keyed_path(cache / "next_frame", "sequences", states, num_frames, size, channels).with_suffix(".npy")
    if path.exists() and _facts_path(path).exists():
        return path
    report = cut_folder(folder, path, num_frames=num_frames, size=size, channels=channels)
    if report.ok:
        return path
    total = len(found.videos) + len(found.failures)
    if failed is not None and len(report.failed) < total:
        failed |= report.failed
        kept = path.with_name(f"usable-{path.name}")  # never taken for the whole
        for whole, part in ((_facts_path(path), _facts_path(kept)), (path, kept)):
            whole.replace(part)
        return kept
    _facts_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    reason = next(iter(report.failed.values()))
    raise DataError(f"{folder}: {len(report.failed)} of {total} videos cannot be used; first: {reason}")


def group_sizes(path: Path, count: int) -> list[int]:
    """How many sequences of a file belong together, in their order; each by itself where that is not known."""
    try:
        sizes = [number for _, number in json.loads(_facts_path(path).read_bytes())["videos"]]
    except (OSError, ValueError, KeyError, TypeError):
        return [1] * count
    return sizes if sum(sizes) == count else [1] * count


def _cut_video(video: str, cut: str, shape: tuple[int, int, int, int]) -> str | None:
    num_frames, size, _, channels = shape
    total = 0
    with partial_file(cut) as partial, partial.open("wb") as file:
        for frame in _iter_frames(Path(video)):
            file.write(_resized(frame, size, channels).tobytes())
            total += 1
        if total < num_frames:
            raise MediaError(
                video, f"{total} frames, and a sequence has {num_frames}", "Remove it, or ask for shorter ones."
            )
        file.truncate(total // num_frames * math.prod(shape))
    sizes = inspect_frames(video).describe_sizes() if Path(video).is_dir() else ""
    return f"{sizes}; each is resized by itself" if sizes else None


def _is_cut(video: str, cut: str, shape: tuple[int, int, int, int]) -> bool:
    return Path(cut).exists()


def _iter_frames(path: Path) -> Iterator[np.ndarray]:
    if not path.exists():
        raise UsageError(f"{path}: no such file. Check the spelling.")
    if not path.is_dir():
        for _, _, frame in iter_frames(path):
            yield frame
        return
    for file in list_frames(path):
        yield images.read_picture(file)


def _resized(frame: np.ndarray, size: int, channels: int) -> np.ndarray:
    if channels == 1:
        frame = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return images.resize(frame, size, size).reshape(size, size, channels)


def _facts_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")
