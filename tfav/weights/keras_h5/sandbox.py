"""A file of strangers is read by another process first, which may hang, break down or run out of memory.

The HDF5 library was not made for damaged files: it may walk in circles, set aside gigabytes for a text, or crash. What
it does in a process of its own costs no more than that process, a third of a second for sound files.
"""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

from tfav.io import subprocesses
from tfav.weights.errors import DamagedError, WeightsError
from tfav.weights.keras_h5.archive import MAX_INFLATION, Archive, reading

MAX_SEC = 120
MEMORY_BYTES = 1 << 30  # beside what a file's own arrays may take
_DAMAGED = 3
_REMEDY = "It is damaged, or made to do harm; fetch it again."
_NO_PROCESS = "See what `python -m tfav.weights.keras_h5.sandbox FILE` says."


def check(path: Path | str) -> None:
    """Reads a legacy HDF5 file in a process with little memory and time. Files of any other kind are left alone.

    Args:
        path: The file.

    Raises:
        WeightsError: The library did not survive it, or found it damaged.
    """
    path = Path(path)
    if not path.is_file() or not sys.executable:
        return
    try:
        done = subprocess.run(
            [*subprocesses.module_command("tfav.weights.keras_h5.sandbox"), str(path.absolute())],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(sys.executable).parent,
            timeout=MAX_SEC,
            check=False,
        )
    except OSError as error:
        raise WeightsError(path, f"no other process can read it first ({error.strerror})", _NO_PROCESS) from error
    except subprocess.TimeoutExpired as error:
        raise WeightsError(path, f"the HDF5 library did not come to its end in {MAX_SEC} s", _REMEDY) from error
    if done.returncode == _DAMAGED:
        raise WeightsError(path, done.stdout.decode("utf-8", "replace").strip(), "Fetch it again.")
    if done.returncode < 0:
        number = -done.returncode
        name = signal.Signals(number).name if number in set(signal.Signals) else number
        raise WeightsError(path, f"the HDF5 library broke down on it ({name})", _REMEDY)
    if done.returncode:
        raise WeightsError(path, f"no other process can read it first (exit code {done.returncode})", _NO_PROCESS)


def read_all(path: Path | str) -> None:
    """Reads whatever `load_legacy_model`, `load_legacy_weights` and `inspect` may read.

    Raises:
        DamagedError: The library could not read it. What else is wrong with a file they tell better themselves.
    """
    archive = _unless_refused(Archive, path)
    if archive is None:
        return
    with archive:
        for name in ("model_config", "training_config"):
            _unless_refused(archive.json, name)
        _unless_refused(getattr, archive, "has_optimizer")
        for arrays in (_unless_refused(archive.stored_layers) or {}).values():
            for array in arrays:
                with reading(path):
                    array.read()


def _unless_refused(read, *args):
    """What it gives; None where something else is wrong than damage."""
    try:
        return read(*args)
    except DamagedError:
        raise
    except WeightsError:
        return None


def limit_memory(size: int) -> None:
    """Limits this process to what it has and what a file of `size` bytes may take; where there are such limits."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES + MAX_INFLATION * size, hard))


def main() -> None:
    """`python -m tfav.weights.keras_h5.sandbox FILE`: exit code 3, and the reason, where the file is damaged."""
    (path,) = sys.argv[1:]
    limit_memory(Path(path).stat().st_size)
    try:
        read_all(path)
    except DamagedError as error:
        print(error.reason)
        sys.exit(_DAMAGED)
    except MemoryError:
        print("it asks for more memory than a file of its size may")
        sys.exit(_DAMAGED)


if __name__ == "__main__":
    main()
