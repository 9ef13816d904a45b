"""One process at a time in a folder. The lock goes with the process, so a killed run leaves none behind."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from tfav.errors import UsageError
from tfav.io.atomic_write import DiskFullError, is_disk_full

# What a lock that somebody else holds answers; everything else means that the file system has no locks.
_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, getattr(errno, "EDEADLOCK", errno.EAGAIN)}


@contextlib.contextmanager
def locked_folder(folder, name: str = ".lock"):
    """Hold a folder, made if need be, for as long as the block runs.

    Where the file system has no locks (Lustre without `-o flock`, NFS without a lock daemon) a warning on stderr says
    so, and the block runs without one.

    Args:
        folder: The folder.
        name: Of the lock file in it, which is removed at the end.

    Raises:
        UsageError: Another process holds it, or it cannot be written to.
        DiskFullError: No space is left to make it.
    """
    folder = Path(folder)
    with _hold(folder, folder / name) as file:
        try:
            yield
        finally:
            if os.name != "nt":
                # While it is still held: whoever opened this file meanwhile finds that it is gone, and opens the next.
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
            _release(file)
    if os.name == "nt":  # there a file that is open cannot be removed, so one that others wait for stays
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _hold(folder: Path, path: Path):
    """The open file at `path`, locked."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a", encoding="utf-8")
        except OSError as error:
            if is_disk_full(error):
                raise DiskFullError(folder) from error
            raise UsageError(f"{folder}: cannot be written to ({error.strerror}). Choose another folder.") from error
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                file.close()
                raise UsageError(f"{folder}: another run is writing to it. Wait, or choose another folder.") from error
            print(
                f"warning: {folder}: its file system has no locks ({error.strerror}). See to it that no other run "
                "writes to this folder.",
                file=sys.stderr,
            )
            return file
        if _is_at(file, path):
            return file
        # The process that held it has removed the file since it was opened here: a lock on that keeps nobody out.
        file.close()


def _lock(file) -> None:
    """Locks an open file, or raises `OSError` at once."""
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(file) -> None:
    """Unlocks it by name: a process forked meanwhile has the file open, too, and closing it here would not do."""
    with contextlib.suppress(OSError):
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
            return
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


def _is_at(file, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
