"""Archives unpacked without trust: nothing lands outside the folder, no links, no bombs, all or nothing."""

import errno
import lzma
import shutil
import stat
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from tfav.errors import TfavError
from tfav.io.atomic_write import partial_folder

MAX_BYTES = 100 * 10**9  # unpacked
MAX_RATIO = 200  # unpacked to packed; the tightest honest archives (label files, blank frames) stay below 50
_RATIO_FLOOR_BYTES = 10**8  # a small archive may hold one file of zeros
MAX_MEMBERS = 2_000_000
_CHUNK_BYTES = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member
    ValueError,
    OSError,
)


_NUMBERS_OF_BROKEN = (
    None,
    errno.EINVAL,  # a zip whose table points before the file's beginning
    errno.EISDIR,  # members that stand in one another's place
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)


class ArchiveError(TfavError):
    """An archive that is broken, or that tries what an archive of data has no business to do."""


def unpack(archive, folder, *, kind: str, max_bytes: int = MAX_BYTES) -> Path:
    """Unpack an archive so that `folder` appears whole or not at all.

    Args:
        archive: The file.
        folder: Takes its content; an older folder there is replaced.
        kind: "zip", "tar" (plain or compressed), "rar", or "file": no archive, the file itself goes into the folder.
            RAR needs one of the programs in `RAR_PROGRAMS`.
        max_bytes: Limit of the unpacked size.

    Returns:
        The folder.

    Raises:
        ArchiveError: The archive is broken; a member's path is absolute or climbs out of the folder, or it is a link or
            a device; the content is beyond a limit; or there is no program for RAR.
        DiskFullError: No space was left.
    """
    archive, folder = Path(archive), Path(folder)
    with partial_folder(folder) as partial:
        try:
            _UNPACKERS[kind](archive, partial, _Budget(archive, max_bytes))
        except _BROKEN as error:
            # Broken data are an OSError without a number (gzip); numbers not in the list are about the disk.
            if isinstance(error, TfavError) or getattr(error, "errno", None) not in _NUMBERS_OF_BROKEN:
                raise
            reason = (
                f"a broken {kind} archive ({str(error).splitlines()[0].rstrip(':')})"
                if str(error)
                else f"a broken {kind} archive"
            )
            raise ArchiveError(f"{archive}: {reason}. Remove it and fetch it again.") from error
    return folder


class _Budget:
    """Counts what is really unpacked, since the sizes that an archive states may lie."""

    def __init__(self, archive: Path, max_bytes: int):
        self.archive = archive
        self.num_members = 0
        self.num_bytes = 0
        self.max_bytes = min(max_bytes, max(_RATIO_FLOOR_BYTES, MAX_RATIO * archive.stat().st_size))

    def spend(self, num_bytes: int = 0, num_members: int = 0) -> None:
        self.num_bytes += num_bytes
        self.num_members += num_members
        if self.num_bytes > self.max_bytes or self.num_members > MAX_MEMBERS:
            raise ArchiveError(
                f"{self.archive}: unpacks to more than {self.max_bytes} bytes, an archive bomb. Remove it."
            )

    def refuse(self, member: str, why: str) -> ArchiveError:
        return ArchiveError(f"{self.archive}: refused, its member {member!r} {why}. Get it from its source again.")

    def place(self, member: str, folder: Path) -> Path:
        """Return where a member goes, having made sure that this is inside `folder`."""
        if not member:
            raise self.refuse(member, "has no name")
        path = PurePosixPath(member.replace("\\", "/"))
        if path.is_absolute() or PureWindowsPath(member).drive or ".." in path.parts or "\0" in member:
            raise self.refuse(member, "points outside of the folder")
        return folder.joinpath(*path.parts)

    def copy(self, source, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            while chunk := source.read(_CHUNK_BYTES):
                self.spend(len(chunk))
                file.write(chunk)


def _unpack_zip(archive: Path, folder: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as content:
        members = content.infolist()
        targets = []
        for member in members:  # all of them are looked at before the first one is written
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise budget.refuse(member.filename, "is a link or a device")
            budget.spend(num_members=1)
            targets.append(budget.place(member.filename, folder))
        for member, target in zip(members, targets, strict=True):
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with content.open(member) as source:
                budget.copy(source, target)


def _unpack_tar(archive: Path, folder: Path, budget: _Budget) -> None:
    # A compressed tar has no table of contents: looking at all members first would unpack a bomb twice.
    with tarfile.open(archive, "r:*") as content:
        for member in content:
            if not (member.isreg() or member.isdir()):
                raise budget.refuse(member.name, "is a link or a device")
            target = budget.place(member.name, folder)
            budget.spend(num_members=1)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                budget.spend(0 if member.size <= budget.max_bytes else member.size)  # before reading through it
                budget.copy(content.extractfile(member), target)


def _rar_commands(program: str, archive: Path, folder: Path) -> tuple[list[str], list[str]]:
    return {
        "unrar": (["unrar", "lb", "--", archive], ["unrar", "x", "-idq", "-o+", "--", archive, f"{folder}/"]),
        "bsdtar": (["bsdtar", "-tf", archive], ["bsdtar", "-xf", archive, "-C", folder]),
        "unar": (["lsar", archive], ["unar", "-quiet", "-no-directory", "-output-directory", folder, archive]),
        "7z": (["7z", "l", "-ba", "-slt", archive], ["7z", "x", "-bso0", "-y", f"-o{folder}", archive]),
    }[program]


RAR_PROGRAMS = ("unrar", "bsdtar", "unar", "7z")


def _unpack_rar(archive: Path, folder: Path, budget: _Budget) -> None:
    program = next((name for name in RAR_PROGRAMS if shutil.which(name)), None)
    if program is None:
        raise ArchiveError(
            f"{archive}: RAR needs one of {', '.join(RAR_PROGRAMS)}. Install one, e.g. `apt-get install unar`, and run "
            "this again; the download stays."
        )
    list_command, unpack_command = _rar_commands(program, archive.absolute(), folder)
    for member in _rar_members(program, _run(list_command, archive)):
        budget.place(member, folder)
        budget.spend(num_members=1)
    _run(unpack_command, archive)
    # What a listing does not tell is looked for in the result, before anybody else sees it.
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise budget.refuse(str(path.relative_to(folder)), "is a link or a device")
        budget.spend(path.lstat().st_size if stat.S_ISREG(mode) else 0)


def _rar_members(program: str, listing: str) -> Iterable[str]:
    lines = listing.splitlines()
    if program == "7z":
        return [line.removeprefix("Path = ") for line in lines if line.startswith("Path = ")]
    return lines[1:] if program == "unar" else lines  # lsar begins with the archive's own name


def _run(command: list, archive: Path) -> str:
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, errors="replace", check=False
    )
    if result.returncode:
        reason = (result.stderr.strip() or result.stdout.strip() or f"exit code {result.returncode}").splitlines()[-1]
        raise ArchiveError(f"{archive}: {command[0]} cannot unpack it ({reason}). Remove it and fetch it again.")
    return result.stdout


def _keep_file(archive: Path, folder: Path, budget: _Budget) -> None:
    with archive.open("rb") as source:
        budget.copy(source, folder / archive.name)


_UNPACKERS = {"zip": _unpack_zip, "tar": _unpack_tar, "rar": _unpack_rar, "file": _keep_file}
