"""What lies in a folder: classes, frames, all in natural order (`clip2` before `clip10`)."""

import collections
import re
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError
from tfav.io.images import PictureHeader, inspect_picture
from tfav.io.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES, is_junk, natural_key, scan_folder


def list_classes(folder) -> list[str]:
    """Return the names of the class folders in `folder`, in natural order.

    Hidden ones and those of an operating system (`__MACOSX`) are left out.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    return sorted(
        (entry.name for entry in scan_folder(folder) if entry.is_dir() and not is_junk(entry.name)), key=natural_key
    )


class Frames(NamedTuple):
    """The pictures of one video: their `paths`, and the `headers` of their files."""

    paths: list[Path]
    headers: list[PictureHeader]

    def describe_sizes(self) -> str:
        """What differs, in a few words; "" where all are shown in one size."""
        sizes = collections.Counter(header.upright_size for header in self.headers)
        (usual, _), *others = sizes.most_common()
        if not others:
            return ""
        number = next(i for i, header in enumerate(self.headers) if header.upright_size != usual)
        height, width = self.headers[number].upright_size
        name = self.paths[number].name
        return f"pictures of {len(sizes)} sizes ({name} has {width}x{height}, most {usual[1]}x{usual[0]})"


def inspect_frames(folder) -> Frames:
    """Return the frames of one video in natural order, with what their headers say of them.

    Args:
        folder: Holds numbered images; as from cutting out faces, they may differ in size.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
        DataError: No images, or a number missing or given twice.
        MediaError: An image that cannot be read or is cut short.
    """
    paths = list_frames(folder, check=False)
    check_numbers(Path(folder), paths)
    return Frames(paths, [inspect_picture(path) for path in paths])


def list_frames(folder, *, check: bool = True) -> list[Path]:
    """Return the frames of one video in natural order.

    Args:
        folder: Holds numbered images.
        check: Make sure that numbers run from 0 or 1 without a gap and that all images are whole, as `inspect_frames`
            does. That reads their headers alone.

    Returns:
        The images' paths, one or more.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
        DataError: No images, or with `check` a number missing or given twice.
        MediaError: With `check`, an image that cannot be read or is cut short.
    """
    if check:
        return inspect_frames(folder).paths
    folder = Path(folder)
    entries = [entry for entry in scan_folder(folder) if not is_junk(entry.name)]
    paths = sorted(
        (Path(entry.path) for entry in entries if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES),
        key=lambda path: natural_key(path.name),
    )
    if not paths:
        raise DataError(_no_images(folder, entries))
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


def check_numbers(folder: Path, paths: list[Path]) -> None:
    """Makes sure that the names of frames count from 0 or 1 without a gap.

    Raises:
        DataError: A number is missing or given twice, or a name holds none.
    """
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
