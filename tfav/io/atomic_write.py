"""Results written beside and renamed in, so that a file or folder under its own name is always complete.

A name that begins with `.partial-` is work in progress; one that is left over belongs to a run that was killed.
"""

import contextlib
import errno
import json
import os
import shutil
import uuid
from pathlib import Path

from tfav.errors import TfavError
from tfav.io.text_files import write_json_text

PREFIX = ".partial-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FULL_WORDS = tuple(os.strerror(number) for number in _FULL)


class DiskFullError(TfavError):
    """No space is left where the results go: the one failure that stops a whole run, since every unit would meet it.

    Args:
        path: What was being written.
    """

    def __init__(self, path):
        super().__init__(path)  # the path alone, so that the error survives pickling between processes
        self.path = str(path)

    def __str__(self) -> str:
        return f"{self.path}: no space left on the disk. Free some space or choose another folder, then run it again."


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error means that the disk, the quota or the file size limit is used up.

    HDF5 and TensorFlow have errors of their own for it, which only say so in words.
    """
    if isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in _FULL):
        return True
    return isinstance(error, Exception) and any(words in str(error) for words in _FULL_WORDS)


def _partial_path(path: Path) -> Path:
    # The end of the name is kept: writers choose the format by the suffix. Two writers never share a name. Systems
    # count a name's bytes, of which a letter may have four.
    end = path.name
    while len(os.fsencode(end)) > 80:
        end = end[1:]
    return path.with_name(f"{PREFIX}{uuid.uuid4().hex[:8]}-{end}")


@contextlib.contextmanager
def partial_file(path):
    """Give a path beside `path` to write to; on success it becomes `path`, on any error it is removed.

    Args:
        path: Where the finished file goes; an older file there is replaced at once.

    Yields:
        The path to write to, in the same folder and with the same suffix.

    Raises:
        DiskFullError: No space was left.
    """
    path = Path(path)
    partial = _partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if is_disk_full(error):
            raise DiskFullError(path) from error
        raise


@contextlib.contextmanager
def partial_folder(path):
    """Give an empty folder beside `path` to fill; on success it takes the place of `path`, on any error it is removed.

    Args:
        path: Where the finished folder goes; an older folder there is removed.

    Yields:
        The folder to fill.

    Raises:
        DiskFullError: No space was left.
    """
    path = Path(path)
    partial = _partial_path(path)
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            # A folder that is not empty cannot be renamed over. Between these two lines there is no folder at all,
            # which a killed run leaves as "missing", never as "half".
            outdated = _partial_path(path)
            path.rename(outdated)
            partial.rename(path)
            shutil.rmtree(outdated, ignore_errors=True)
        else:
            partial.rename(path)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if is_disk_full(error):
            raise DiskFullError(path) from error
        raise


def require_space(folder, num_bytes: int) -> None:
    """Make sure that a file of so many bytes has room, for writers that do not survive it when there is none.

    HDF5 is one: it keeps what it could not write, fails again when it lets go of it, and takes the process down.

    Args:
        folder: Where the file is to go; it exists.
        num_bytes: Of the file.

    Raises:
        DiskFullError: There is no room, or no quota left.
    """
    with partial_file(Path(folder, "space")) as probe, probe.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, num_bytes))
        elif shutil.disk_usage(folder).free < num_bytes:
            raise DiskFullError(folder)
    Path(folder, "space").unlink()


def write_json(path, content) -> None:
    """Write `content` as indented JSON, atomically.

    Raises:
        DiskFullError: No space was left.
    """
    with partial_file(path) as partial:
        write_json_text(partial, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def remove_partials(folder, *, recursive: bool = True) -> int:
    """Remove what killed runs left under `folder`.

    Args:
        folder: Where to look; need not exist.
        recursive: Look at any depth, or only directly in it.

    Returns:
        How many files and folders were removed.
    """
    num_removed = 0
    for parent, folders, files in os.walk(folder):
        for name in [n for n in folders if n.startswith(PREFIX)]:
            folders.remove(name)
            shutil.rmtree(Path(parent, name), ignore_errors=True)
            num_removed += 1
        for name in files:
            if name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    Path(parent, name).unlink()
                    num_removed += 1
        if not recursive:
            break
    return num_removed
