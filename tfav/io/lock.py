"""One process at a time in a folder. The lock goes with the process, so a killed run leaves none behind."""

import contextlib
from pathlib import Path

from tfav.errors import UsageError
from tfav.io.partial import DiskFullError, is_disk_full


@contextlib.contextmanager
def locked_folder(folder, name: str = ".lock"):
    """Hold a folder, made if need be, for as long as the block runs.

    Args:
        folder: The folder.
        name: Of the lock file in it, which is removed at the end.

    Raises:
        UsageError: Another process holds it, or it cannot be written to.
        DiskFullError: No space is left to make it.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("a")
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(folder) from error
        raise UsageError(f"{folder}: cannot be written to ({error.strerror}). Choose another folder.") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # not on Windows: there two runs at once are the user's care
        except OSError as error:
            raise UsageError(f"{folder}: another run is writing to it. Wait, or choose another folder.") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                (folder / name).unlink()
