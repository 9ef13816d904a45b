"""One process at a time in a folder. The lock goes with the process, so a killed run leaves none behind."""

import contextlib
import errno
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from tfav.errors import UsageError
from tfav.io.atomic_write import DiskFullError, is_disk_full

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_WAIT_SEC = 0.2  # for another try where the holder removes its file just then


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
    # Without locks, filelock's own way is a file that a killed run leaves behind.
    lock = FileLock(folder / name, timeout=_WAIT_SEC, poll_interval=0.02, thread_local=False, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UsageError(f"{folder}: another run is writing to it. Wait, or choose another folder.") from error
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(folder) from error
        if error.errno not in _NO_LOCKS:
            raise UsageError(f"{folder}: cannot be written to ({error.strerror}). Choose another folder.") from error
        print(
            f"warning: {folder}: its file system has no locks ({error.strerror}). See to it that no other run "
            "writes to this folder.",
            file=sys.stderr,
        )
    try:
        yield
    finally:
        if os.name != "nt":  # there filelock removes it
            # While it is still held: whoever opened this file meanwhile finds that it is gone, and opens the next.
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        lock.release()
