"""What lies in a folder: classes, videos, frame folders, frames, all in natural order (`clip2` before `clip10`)."""

import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tfav.errors import DataError, MediaError
from tfav.io.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_junk, natural_key, scan_folder, walk_files


def list_classes(folder) -> list[str]:
    """Return the names of the class folders in `folder`, in natural order.

    Hidden ones and those of an operating system (`__MACOSX`) are left out.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return sorted(
        (entry.name for entry in scan_folder(folder) if entry.is_dir() and not is_junk(entry.name)), key=natural_key
    )


def list_videos(folder, exclude=None) -> list[Path]:
    """Return the video files at any depth under `folder`, known by their suffix, in natural order.

    Args:
        folder: Usually holds a folder for each class; videos directly in it are listed as well.
        exclude: A folder inside that is left out.

    Returns:
        Their paths, as in `listing.walk_files`, which also tells what is left out.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return walk_files(folder, VIDEO_SUFFIXES, exclude).files


def list_frame_folders(folder) -> list[Path]:
    """Return the folders at any depth under `folder` that hold images themselves, in natural order.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return walk_files(folder, VIDEO_SUFFIXES, frames=True).frame_folders


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
    entries = [entry for entry in scan_folder(folder) if not is_junk(entry.name)]
    paths = sorted(
        (Path(entry.path) for entry in entries if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES),
        key=lambda path: natural_key(path.name),
    )
    if not paths:
        raise DataError(_no_images(folder, entries))
    if check:
        _check_numbers(folder, paths)
        _check_sizes(paths)
    return paths


def _no_images(folder: Path, entries: list) -> str:
    videos = sorted((e.name for e in entries if Path(e.name).suffix.lower() in VIDEO_SUFFIXES), key=natural_key)
    if videos:
        return (
            f"{folder}: a folder of {len(videos)} videos, and the frames of one are needed. "
            f"Name the videos themselves, such as {folder / videos[0]}."
        )
    folders = sorted((entry.name for entry in entries if entry.is_dir()), key=natural_key)
    if folders:
        return f"{folder}: holds folders and no images. Name what is inside, such as {folder / folders[0]}."
    return f"{folder}: no images in it. Extract the frames again, or name another folder."


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
