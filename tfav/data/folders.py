"""The tree a classification data set comes in: `class/video.avi`, or `class/video/frame_00.jpg` once extracted."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError
from tfav.io.folders import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_classes, natural_key


class Example(NamedTuple):
    """One labelled video: a file, or the folder of its frames."""

    path: Path
    label: str
    name: str  # the video's name without class and extension, the same before and after its frames are extracted


class Tree(NamedTuple):
    """What `scan` found."""

    examples: list[Example]
    labels: list[str]  # class names in natural order; the index is the class number
    kind: str  # "videos" or "frames"


def scan(data_dir: Path | str) -> Tree:
    """Lists the examples of a class tree, in natural order.

    Args:
        data_dir: Folder that holds one folder per class, each with video files or with one folder of frames per video.

    Returns:
        Examples, class names and the kind of tree.

    Raises:
        UsageError: The folder is not there or cannot be read.
        DataError: It is empty, a class holds nothing, files and frame folders are mixed, or two videos of a class share
            a name.
    """
    data_dir = Path(data_dir)
    labels = list_classes(data_dir)
    if not labels:
        raise DataError(f"{data_dir}: holds no class folders. Expected {data_dir.name}/CLASS/VIDEO.")
    examples: list[Example] = []
    kinds: dict[str, str] = {}
    for label in labels:
        kind, found = _class_examples(data_dir / label)
        if not found:
            raise DataError(
                f"{data_dir / label}: holds no videos and no frame folders. Add some, or remove the folder."
            )
        kinds[kind] = label
        examples.extend(found)
    if len(kinds) == 2:
        raise DataError(
            f"{data_dir}: {kinds['videos']} holds video files and {kinds['frames']} frame folders. "
            "Use one kind for all classes."
        )
    _check_names(examples)
    return Tree(examples, labels, next(iter(kinds)))


def _class_examples(class_dir: Path) -> tuple[str, list[Example]]:
    entries = sorted((p for p in class_dir.iterdir() if p.name[0] not in "._"), key=lambda path: natural_key(path.name))
    videos = [p for p in entries if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    if videos:
        return "videos", [Example(path, class_dir.name, path.stem) for path in videos]
    folders = [p for p in entries if p.is_dir() and any(f.suffix.lower() in IMAGE_SUFFIXES for f in p.iterdir())]
    return "frames", [Example(path, class_dir.name, path.name) for path in folders]


def _check_names(examples: list[Example]) -> None:
    counts = Counter((example.label, example.name) for example in examples)
    for (label, name), count in counts.items():
        if count > 1:
            files = [e.path for e in examples if (e.label, e.name) == (label, name)]
            raise DataError(
                f"{files[0].parent}: {' and '.join(p.name for p in files)} share the name {name}. "
                "Rename or remove one of them."
            )
