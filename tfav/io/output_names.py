"""Files that a person gives, and the names of what is made of them: no two files share a name in one folder."""

import collections
import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tfav.errors import UsageError
from tfav.io.atomic_write import write_json
from tfav.io.text_files import same_form

_RECORD_NAME = ".sources.json"  # in a folder of results: which name stands for which file
_MAX_NAME_BYTES = 255  # of one name, on all file systems in common use
_BUILDS: tuple[Callable[[Path], str], ...] = (  # names for the results of a file, the shortest first
    lambda path: path.stem,
    lambda path: f"{path.parent.name}_{path.stem}",
    lambda path: f"{path.stem}_{path.suffix[1:]}",
    lambda path: f"{path.parent.parent.name}_{path.parent.name}_{path.stem}",
    lambda path: f"{path.parent.name}_{path.stem}_{path.suffix[1:]}",
    lambda path: f"{path.stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}",
)


def as_paths(files: Iterable[Path | str] | Path | str) -> list[Path]:
    """Return the files that were given, where one alone may be given as it is.

    Args:
        files: Paths, or one path; `~` stands for the home folder.

    Raises:
        UsageError: Something else.
    """
    given = [files] if isinstance(files, str | os.PathLike) else files
    try:
        return [Path(path).expanduser() for path in given]
    except TypeError as error:
        raise UsageError(f"files must be a path or several. Received: files={files!r:.80}") from error


def check_target(target: Path | str | None, files: Iterable[Path], flag: str) -> None:
    """Refuses to write a result over one of the files that it is made of.

    Raises:
        UsageError: `target` is one of `files`, by whatever path or link.
    """
    target = None if target is None else Path(target)
    for path in files if target is not None and target.exists() else ():
        if path.exists() and path.samefile(target):
            raise UsageError(f"{flag} {target}: the video itself, which would be lost. Choose another name.")


def short_name(name: str, added: int = 40) -> str:
    """Return a name to which so many bytes can be added; one that is too long is cut, and keeps a hash of the whole.

    Args:
        name: Of a file or folder, or the beginning of one.
        added: Bytes that come before or behind it.
    """
    limit = _MAX_NAME_BYTES - added
    if len(os.fsencode(name)) <= limit:
        return name
    end = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    while len(os.fsencode(name)) + len(end) > limit:
        name = name[:-1]
    return name + end


def clip_name(name: str, span: tuple[float, float] | None) -> str:
    """Return the name of what is made of a video, or of a stretch of it from a second to another one.

    Example:
        >>> clip_name("match", (3.2, 4.7))
        'match_3.200-4.700'
    """
    return name if span is None else f"{name}_{span[0]:.3f}-{span[1]:.3f}"


def video_name(name: str) -> str:
    """Return the name of the video whose clip was called so by `clip_name`."""
    return re.sub(r"_\d+\.\d{3}-\d+\.\d{3}$", "", name)


def name_results(files: Iterable[Path], folder: Path | str, endings: Iterable[str] = ()) -> list[str]:
    """Return for each file the name under which its results go into a folder.

    That is the file's own without the suffix. Where two files share it, where it stands for another file's results
    in the folder already, and where there is a file of that name and ending that is none of ours, the name of the
    file's folder comes before it: `a_take` and `b_take`. The folder remembers in `.sources.json` which name stands for
    which file, so the same file gets the same name again.

    Args:
        files: Video files, in any folders.
        folder: Where results go; made if need be.
        endings: What results are called behind the name, such as `.align`.
    """
    files, folder, endings = [path.absolute() for path in files], Path(folder), tuple(endings)
    record = _read_record(folder)
    names = {path: record[str(path)] for path in files if str(path) in record}
    taken = {_folded(name) for name in record.values()}
    groups = collections.defaultdict(list)
    for path in dict.fromkeys(files):
        if path not in names:
            groups[_folded(path.stem)].append(path)
    for group in groups.values():
        for build in _BUILDS:
            built = [short_name(build(path)) for path in group]
            keys = {_folded(name) for name in built}
            others = (folder / f"{name}{ending}" for name in built for ending in endings)
            if len(keys) == len(group) and not keys & taken and not any(map(os.path.lexists, others)):
                break
        names |= dict(zip(group, built, strict=True))
        taken |= keys
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # results that can be written all the same matter more
        write_json(folder / _RECORD_NAME, record | {str(path): name for path, name in names.items()})
    return [names[path] for path in files]


def _folded(name: str) -> str:
    """What two names have in common that are one on some file system."""
    return same_form(name).casefold()


def _read_record(folder: Path) -> dict[str, str]:
    try:
        record = json.loads((folder / _RECORD_NAME).read_bytes())
        return {str(source): str(name) for source, name in record.items()}
    except (OSError, ValueError, AttributeError):
        return {}
