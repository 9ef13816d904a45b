"""What is under a folder: files that can be used, files that cannot, and what is left out, each with its reason.

Every command lists data with `walk_files`, so that none takes what another passes over, or passes over it in silence.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, UsageError
from tfav.io.text_files import same_form

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".gif", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4",
    ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))
# fmt: on
IMAGE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".webp"])
MANIFEST_NAME = "frames.json"  # in every folder of frames that tfav made

# Reasons for leaving something out, as they stand behind a number.
DANGLING = "that are links to nothing"
EMPTY = "empty (0 bytes)"
HIDDEN = "hidden, or an operating system's own"
IN_A_CIRCLE = "that are links to a folder they lie in"
PICTURES = "that are pictures and no videos"
UNKNOWN = "of another kind by their suffix"
IRREGULAR = "that are no regular files"

_OF_SYSTEMS = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__", "@eadir", "lost+found")
) | {"$recycle.bin", "system volume information"}
_OWN = frozenset((MANIFEST_NAME, "prepare_report.json", "enrolment.json"))
_MAX_NAMED = 3


class Listing(NamedTuple):
    """What `walk_files` found, each list in natural order.

    Attributes:
        files: Those with one of the suffixes.
        broken: Those with one of the suffixes that hold nothing: links to nothing, empty files; with the reason.
        frame_folders: Folders that hold pictures themselves, where they were asked for.
        left_out: Everything else, by reason.
    """

    files: list[Path]
    broken: dict[Path, str]
    frame_folders: list[Path]
    left_out: dict[str, list[Path]]

    def to_try(self) -> list[Path]:
        """`files` and empty ones, which fail each for itself, in natural order."""
        empty = [path for path, reason in self.broken.items() if reason == EMPTY]
        return sorted([*self.files, *empty], key=name_key)

    def dangling(self, folder) -> dict[str, str]:
        """Links to nothing, from the name under `folder` to the reason as a sentence, for a report's failures."""
        return {
            path.relative_to(folder).as_posix(): (
                f"{path}: a link to nothing ({path.readlink()}). Mount or fetch what it leads to, or remove the link."
            )
            for path, reason in self.broken.items()
            if reason == DANGLING
        }

    def unusable(self) -> dict[str, list[Path]]:
        """`left_out` and `broken` together, by reason."""
        together = {reason: list(paths) for reason, paths in self.left_out.items()}
        for path, reason in self.broken.items():
            together.setdefault(reason, []).append(path)
        return together


def natural_key(name) -> list:
    """Return a sort key under which `clip2` comes before `clip10`, and an accent is the same in one part or two."""
    name = same_form(str(name))
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-1, name)]


def name_key(path: Path) -> tuple:
    """Return the natural sort key of a path, its suffix last: a video and the folder of its frames sort alike."""
    known = path.suffix.lower() in VIDEO_SUFFIXES
    return natural_key((path.with_suffix("") if known else path).as_posix()), path.suffix if known else ""


def is_junk(name: str) -> bool:
    """Whether a name is hidden (`.DS_Store`, `._clip.mp4`), or one that an operating system leaves."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def walk_files(
    folder, suffixes: frozenset, exclude=None, *, frames: bool = False, companions: Iterable[str] = ()
) -> Listing:
    """Go through all that is under `folder`, links followed.

    Args:
        folder: Where to begin.
        suffixes: Of the wanted files, in lower case, with the dot.
        exclude: A folder inside that is passed over, since results go there.
        frames: Look for folders of pictures too.
        companions: Suffixes of files that belong to the wanted ones, such as `.align`, and are no oddity.

    Returns:
        All that is there. Not mentioned are what tfav itself wrote, companions, and the pictures in `frame_folders`.

    Raises:
        UsageError: `folder` is no folder or cannot be read.
    """
    folder = Path(folder)
    excluded = {exclude.resolve()} - {folder.resolve()} if exclude is not None else set()
    files, broken, frame_folders, left_out = [], {}, [], {}

    def leave_out(reason: str, path: Path) -> None:
        left_out.setdefault(reason, []).append(path)

    def visit(parent: Path, above: frozenset) -> None:
        entries = scan_folder(parent)
        made_here = any(entry.name == MANIFEST_NAME for entry in entries)
        has_pictures = False
        for entry in entries:
            suffix = _suffix(entry.name)
            is_picture = suffix in IMAGE_SUFFIXES and suffix not in suffixes
            if is_picture and frames and not is_junk(entry.name) and entry.is_file():
                has_pictures = True  # there may be millions of them, so no path is made
                continue
            path = parent / entry.name
            if entry.name in _OWN or suffix in companions:
                continue
            if is_junk(entry.name):
                leave_out(HIDDEN, path)
            elif entry.is_symlink() and not path.exists():
                if suffix in suffixes:
                    broken[path] = DANGLING
                else:
                    leave_out(DANGLING, path)
            elif entry.is_dir():
                resolved = path.resolve()
                if resolved in above:
                    leave_out(IN_A_CIRCLE, path)
                elif resolved not in excluded:
                    visit(path, above | {resolved})
            elif is_picture:
                if not made_here:
                    leave_out(PICTURES, path)
            elif suffix not in suffixes:
                leave_out(UNKNOWN, path)
            elif not entry.is_file():
                leave_out(IRREGULAR, path)
            elif entry.stat().st_size == 0:
                broken[path] = EMPTY
            else:
                files.append(path)
        if has_pictures:
            frame_folders.append(parent)

    visit(folder, frozenset([folder.resolve()]))
    return Listing(
        sorted(files, key=name_key),
        {path: broken[path] for path in sorted(broken, key=name_key)},
        sorted(frame_folders, key=name_key),
        {reason: sorted(paths, key=name_key) for reason, paths in left_out.items()},
    )


def videos_to_extract(videos_dir, out_dir) -> tuple[list[Path], dict[str, str], str]:
    """Return the videos under a folder, failures known before any is read, and a line on what is left out, or "".

    Args:
        videos_dir: Where to look.
        out_dir: Where results go, which is passed over.

    Raises:
        UsageError: `videos_dir` is no folder or cannot be read.
        DataError: There is no video in it.
    """
    listing = walk_files(videos_dir, VIDEO_SUFFIXES, exclude=Path(out_dir))
    videos, failures = listing.to_try(), listing.dangling(videos_dir)
    if not videos and not failures:
        known = " ".join(sorted(VIDEO_SUFFIXES))
        raise DataError(f"{videos_dir}: no videos in it. They are known by their suffix: {known}.")
    return videos, failures, describe_left_out(videos_dir, listing.left_out)


def sharing_failures(videos_dir, sources: Sequence[Path], folder: str) -> dict[str, str]:
    """Return why videos are not extracted that would share a folder, by their names; nothing for one alone."""
    names = [source.relative_to(videos_dir).as_posix() for source in sources]
    reason = f"{' and '.join(names)} would share the folder {folder}. Rename one of them."
    return dict.fromkeys(names, reason) if len(names) > 1 else {}


def describe_left_out(folder, left_out: Mapping[str, Sequence[Path]], what: str = "left out") -> str:
    """Return one line that counts what is left out of a data set, by reason and with the first names; "" for nothing.

    Args:
        folder: What was listed.
        left_out: From the reason, as it stands behind a number, to the paths.
        what: What they are, if not left out.
    """
    parts = []
    for reason, paths in left_out.items():
        if not paths:
            continue
        named = [path.relative_to(folder).as_posix() for path in paths[:_MAX_NAMED]]
        more = ", ..." if len(paths) > _MAX_NAMED else ""
        names = ", ".join(named).replace("\n", "\\n")  # a name may hold anything, and this is one line
        parts.append(f"{len(paths)} {reason} ({names}{more})")
    total = sum(map(len, left_out.values()))
    return f"{folder}: {total} {what}: {'; '.join(parts)}." if parts else ""


def source_identity(path: Path) -> dict:
    """Return what a manifest keeps of the video that something was made of."""
    status = path.stat()
    return {"name": path.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def file_state(path: Path) -> list:
    """Return what changes when a file, or any file of a folder, is written anew: sizes and times of last change.

    Args:
        path: A file, or a folder of frames. The time of a folder itself does not change when a picture in it is
            overwritten in place.

    Returns:
        What JSON can hold: size and time, of a folder a number of files and a hash over theirs.
    """
    status = path.stat()
    if not path.is_dir():
        return [status.st_size, status.st_mtime_ns]
    with os.scandir(path) as entries:
        found = sorted((os.fsencode(entry.name), entry.stat()) for entry in entries if entry.is_file())
    digest = hashlib.sha256()
    for name, inner in found:
        digest.update(b"%s|%d|%d;" % (name, inner.st_size, inner.st_mtime_ns))
    return [len(found), digest.hexdigest()[:16]]


def _suffix(name: str) -> str:
    """As `Path.suffix`, in lower case; ten times as quick, since there may be millions of names."""
    stem, _, end = name.rpartition(".")
    return f".{end.lower()}" if stem else ""


def scan_folder(folder) -> list[os.DirEntry]:
    """Return all entries of a folder.

    Raises:
        UsageError: It is no folder or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError as error:
        raise UsageError(f"{folder}: no such folder. Check the spelling.") from error
    except NotADirectoryError as error:
        raise UsageError(f"{folder}: not a folder. Name the folder that holds it.") from error
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read ({error.strerror}). Change its permissions.") from error
