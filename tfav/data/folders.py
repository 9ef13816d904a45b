"""The tree a classification data set comes in: `class/video.avi`, or `class/video/frame_00.jpg` once extracted."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError
from tfav.io.frame_folders import list_classes
from tfav.io.listing import EMPTY, MANIFEST_NAME, VIDEO_SUFFIXES, Listing, describe_left_out, walk_files
from tfav.io.output_names import video_name
from tfav.io.text_files import same_form

# Reasons for leaving something out, beside those of `tfav.io.listing`, as they stand behind a number.
BESIDE_CLASSES = "beside the class folders"
DEEPER = "deeper than CLASS/VIDEO"
OTHER_KIND = "folders of frames beside videos"
LOOSE = "with pictures in no folder of their own"

_PART = r"(^|[^a-z])({})(set)?([^a-z]|$)"
_TRAINING, _HELD_BACK = (
    re.compile(_PART.format(names)) for names in ("train|training", "val|valid|validation|test|testing|dev|eval")
)


class Example(NamedTuple):
    """One labelled video, or a stretch of one: a file, or the folder of its frames. A table may say more of it."""

    path: Path
    label: str  # an accented letter is one character, whatever the file system makes of it
    name: str  # the video's name without class and extension, the same before and after its frames are extracted
    more: tuple[str, ...] = ()  # labels beside the first, where a clip may have several
    span: tuple[float, float] | None = None  # from a second to another one; None: the whole video
    group: str = ""  # the recording session; empty: what the name spells
    part: str = ""  # train, val or test; empty: drawn

    @property
    def labels(self) -> tuple[str, ...]:
        """All of its labels; none where the first is empty."""
        return (self.label, *self.more) if self.label else ()

    @property
    def key(self) -> Path:
        """What no other example of the data set has: the path, with the stretch behind it."""
        return (
            self.path.with_name(f"{self.path.name}@{self.span[0]:.3f}-{self.span[1]:.3f}") if self.span else self.path
        )

    @property
    def video(self) -> Path:
        """What all stretches of a video share, be they times in it or folders of their frames."""
        return self.path.with_name(video_name(self.path.name))


class Tree(NamedTuple):
    """What `scan` found."""

    examples: list[Example]
    labels: list[str]  # class names in natural order; the index is the class number
    kind: str  # "videos" or "frames"


def scan(data_dir: Path | str) -> Tree:
    """Lists the examples of a class tree, in natural order.

    What lies there and is no example is counted and told in a warning, with its reason. Empty files are examples: who
    reads them refuses them, as others that cannot be read; the warning names them before the work begins.

    Args:
        data_dir: Folder that holds one folder per class, each with video files or with one folder of frames per video.

    Returns:
        Examples, class names and the kind of tree.

    Raises:
        UsageError: The folder is not there or cannot be read.
        DataError: It is empty, a class holds nothing, the folders are the parts of a split and no classes, videos lie
            deeper, files and frame folders are mixed, or two videos of a class share a name.
    """
    data_dir = Path(data_dir)
    folders = list_classes(data_dir)
    listing = walk_files(data_dir, VIDEO_SUFFIXES, frames=True)
    if not folders:
        directly = len(listing.files) + len(listing.frame_folders)
        beside = ", but videos or pictures themselves" if directly else ""
        raise DataError(f"{data_dir}: holds no class folders{beside}. Expected {data_dir.name}/CLASS/VIDEO.")
    _refuse_parts(data_dir, folders)
    labels = [same_form(folder) for folder in folders]
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise DataError(
            f"{data_dir}: two folders are called {twice[0]}, with the accent as a letter of its own in one of them. "
            "Put their videos into one folder."
        )
    inside: dict[Path, list[Path]] = {data_dir / folder: [] for folder in folders}
    frame_folders = set(listing.frame_folders)
    for path in [*listing.to_try(), *listing.frame_folders]:
        if path.parent in inside:
            inside[path.parent].append(path)
    found = {
        folder: _class_examples(label, inside[data_dir / folder], frame_folders)
        for folder, label in zip(folders, labels, strict=True)
    }
    kinds = {kind: folder for folder, (kind, examples) in found.items() if examples}
    for folder, (_, examples) in found.items():
        if not examples:
            raise DataError(_nothing_in(data_dir, folder, listing))
    if len(kinds) == 2:
        raise DataError(
            f"{data_dir}: {kinds['videos']} holds video files and {kinds['frames']} frame folders. "
            "Use one kind for all classes."
        )
    examples = [example for _, members in found.values() for example in members]
    _check_names(examples)
    taken = {example.path for example in examples}
    told = [describe_left_out(data_dir, _left_out(data_dir, listing, taken))]
    told.append(describe_left_out(data_dir, {EMPTY: [path for path in listing.broken if path in taken]}, "unusable"))
    if any(told):
        # From here, and so once in a process: a training lists its data four times.
        warnings.warn(" ".join(filter(None, told)), stacklevel=1)
    return Tree(examples, labels, next(iter(kinds)))


def failed_examples(data_dir: Path | str, failed: Mapping[str, str]) -> dict[str, str]:
    """Of the files that could not be prepared, those that `scan` lists; it leaves out the others, and says so.

    Args:
        data_dir: The tree.
        failed: From the name under `data_dir` to the reason, as in a `PrepareReport`.
    """
    return {
        name: reason
        for name, reason in failed.items()
        if len(Path(name).parts) == 2 and (Path(data_dir) / name).exists()
    }


def _class_examples(label: str, inside: list[Path], frame_folders: set[Path]) -> tuple[str, list[Example]]:
    videos = [path for path in inside if path not in frame_folders]
    if videos:
        return "videos", [Example(path, label, path.stem) for path in videos]
    return "frames", [Example(path, label, path.name) for path in inside]


def _left_out(data_dir: Path, listing: Listing, taken: set[Path]) -> dict[str, list[Path]]:
    """All that is no example, by reason."""
    left_out = {r: kept for r, paths in listing.unusable().items() if (kept := [p for p in paths if p not in taken])}
    own = {path.with_suffix("") for path in listing.files}  # frames that tfav extracted beside their videos
    others = [(path, False) for path in listing.files] + [(path, True) for path in listing.frame_folders]
    for path, is_folder in others:
        depth = len(path.relative_to(data_dir).parts)
        if path in taken or (path in own and (path / MANIFEST_NAME).exists()):
            continue
        reasons = (LOOSE, LOOSE, OTHER_KIND) if is_folder else (BESIDE_CLASSES, BESIDE_CLASSES, OTHER_KIND)
        left_out.setdefault(DEEPER if depth > 2 else reasons[depth], []).append(path)
    return left_out


def _refuse_parts(data_dir: Path, folders: list[str]) -> None:
    """Refuses a tree whose folders are called `train` and `val`: they would become classes."""
    training = [name for name in folders if _TRAINING.search(name.lower())]
    held_back = [name for name in folders if _HELD_BACK.search(name.lower()) and name not in training]
    if training and held_back:
        raise DataError(
            f"{data_dir}: {training[0]} and {held_back[0]} are called like the parts of a split, whose classes lie "
            f"deeper, and would become classes. Give --data-dir {data_dir / training[0]} to train on and "
            f"{data_dir / held_back[0]} to evaluate; or put all videos into {data_dir.name}/CLASS/VIDEO and name the "
            "parts with --train-list and --test-list. If they are classes, rename them."
        )


def _nothing_in(data_dir: Path, folder: str, listing: Listing) -> str:
    """Why a class folder holds no example, and what to do."""
    class_dir = data_dir / folder
    inside = [path for path in [*listing.files, *listing.frame_folders] if class_dir in path.parents]
    if inside:
        first = inside[0].relative_to(data_dir).as_posix()
        below = class_dir / inside[0].relative_to(class_dir).parts[0]
        alone = len(list_classes(data_dir)) == 1 and len(inside[0].relative_to(class_dir).parts) > 1
        remedy = (
            f"Give --data-dir {class_dir}, if {below.name} is a class"
            if alone
            else f"Move the videos of a class up into its folder, such as {class_dir}"
        )
        return (
            f"{class_dir}: its {len(inside)} videos lie deeper than {data_dir.name}/CLASS/VIDEO, first {first}. "
            f"{remedy}."
        )
    if class_dir in listing.frame_folders:
        return (
            f"{class_dir}: holds pictures themselves, where each video has a folder of its own for its frames. "
            f"Move them into such folders, {folder}/VIDEO/frame_00.jpg."
        )
    unusable = {
        reason: inside
        for reason, paths in listing.unusable().items()
        if (inside := [path for path in paths if class_dir in path.parents])
    }
    reasons = describe_left_out(data_dir, unusable)
    reasons = f" ({reasons.removeprefix(f'{data_dir}: ').rstrip('.')})" if reasons else ""
    return f"{class_dir}: holds no videos and no frame folders{reasons}. Add some, or remove the folder."


def _check_names(examples: list[Example]) -> None:
    names = [(example.label, same_form(example.name)) for example in examples]
    for (label, name), count in Counter(names).items():
        if count > 1:
            files = [e.path for e, own in zip(examples, names, strict=True) if own == (label, name)]
            raise DataError(
                f"{files[0].parent}: {' and '.join(p.name for p in files)} share the name {name}. "
                "Rename or remove one of them."
            )
