"""What lies in a folder: classes, videos, frame folders, frames, all in natural order (`clip2` before `clip10`)."""

import os
import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tfav.errors import DataError, MediaError, UsageError

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))
# fmt: on
IMAGE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".webp"])


def natural_key(name) -> list:
    """Return a sort key under which `clip2` comes before `clip10`."""
    parts = re.split(r"(\d+)", str(name))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, str(name))]


def list_classes(folder) -> list[str]:
    """Return the names of the class folders in `folder`, in natural order; hidden ones are left out.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return sorted((entry.name for entry in _scan(folder) if entry.is_dir()), key=natural_key)


def list_videos(folder, exclude=None) -> list[Path]:
    """Return the video files at any depth under `folder`, known by their suffix, in natural order.

    Args:
        folder: Usually holds a folder for each class; videos directly in it are listed as well.
        exclude: A folder inside that is left out.

    Returns:
        Their paths. Hidden files and folders are left out.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return walk_files(folder, VIDEO_SUFFIXES, exclude)[0]


def list_frame_folders(folder) -> list[Path]:
    """Return the folders at any depth under `folder` that hold images themselves, in natural order.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    images, _ = walk_files(folder, IMAGE_SUFFIXES)
    return sorted({image.parent for image in images}, key=natural_key)


def list_frames(folder, *, check: bool = True) -> list[Path]:
    """Return the frames of one video in natural order.

    Args:
        folder: Holds numbered images.
        check: Make sure that numbers run from 0 or 1 without a gap and that all images have one size. Sizes are read
            from the headers alone.

    Returns:
        The images' paths, one or more.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
        DataError: No images, or with `check` a number missing or given twice, or sizes that differ.
        MediaError: With `check`, an image that cannot be read.
    """
    folder = Path(folder)
    paths = sorted(
        (Path(entry.path) for entry in _scan(folder) if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES),
        key=lambda path: natural_key(path.name),
    )
    if not paths:
        raise DataError(f"{folder}: no images in it. Extract the frames again or remove the folder.")
    if check:
        _check_numbers(folder, paths)
        _check_sizes(paths)
    return paths


def _check_numbers(folder: Path, paths: list[Path]) -> None:
    numbers = {}
    for path in paths:
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise DataError(f"{path}: its name holds no frame number. Rename it, e.g. frame_00.jpg.")
        number = int(digits[-1])
        if number in numbers:
            raise DataError(f"{path}: frame {number} is there twice, see {numbers[number].name}. Remove one of them.")
        numbers[number] = path
    first, num_expected = min(1, *numbers), max(numbers) - min(1, *numbers) + 1
    if num_expected > len(numbers):  # counted without listing them: a name such as 20231105T1200 is a huge number
        gap = next(number for number in range(first, first + num_expected) if number not in numbers)
        more = f" (and {num_expected - len(numbers) - 1} more)" if num_expected > len(numbers) + 1 else ""
        raise DataError(f"{folder}: frame number {gap}{more} is missing. Extract the frames again.")


def _check_sizes(paths: list[Path]) -> None:
    first = None
    for path in paths:
        try:
            with Image.open(path) as image:  # reads the header only
                size = image.size
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
            raise MediaError(path, "not a readable image", "Extract the frames of its folder again.") from error
        first = first or size
        if size != first:
            raise DataError(
                f"{path}: {size[0]}x{size[1]}, while {paths[0].name} is {first[0]}x{first[1]}. "
                "All frames of a folder must have one size; extract them again."
            )


def _scan(folder) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError as error:
        raise UsageError(f"{folder}: no such folder. Check the spelling.") from error
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: not a folder. Name the folder that holds it.") from error
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read ({error.strerror}). Change its permissions.") from error


def walk_files(folder, suffixes: frozenset, exclude=None) -> tuple[list[Path], list[Path]]:
    """Go through all that is under `folder`, hidden files and folders left out, links followed.

    Args:
        folder: Where to begin.
        suffixes: In lower case, with the dot.
        exclude: A folder inside that is left out.

    Returns:
        The files with one of the suffixes, and the other ones, each in natural order.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    folder = Path(folder)
    excluded = {exclude.resolve()} - {folder.resolve()} if exclude is not None else set()
    found, others, visited = [], [], set()

    def visit(parent: Path) -> None:
        if (resolved := parent.resolve()) in visited | excluded:  # links may lead in a circle
            return
        visited.add(resolved)
        for entry in _scan(parent):
            if entry.is_dir():
                visit(parent / entry.name)
            else:
                (found if Path(entry.name).suffix.lower() in suffixes else others).append(parent / entry.name)

    visit(folder)
    return tuple(sorted(paths, key=lambda path: natural_key(path.as_posix())) for paths in (found, others))
