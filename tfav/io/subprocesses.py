"""Python processes that are started here import nothing from the folder they are started in.

Python looks there first for `-c` and `-m`, so a `json.py` beside somebody's videos would run. `-P` and
`PYTHONSAFEPATH` forbid it from 3.11 on; `-I` does everywhere, and forgets `PYTHONPATH` and the user's own packages, so
the paths of this process are handed over.
"""

import contextlib
import multiprocessing.util
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]  # last, so that a tfav that is not installed is found, too
_HAS_SAFE_PATH = sys.version_info >= (3, 11)

_FORGET_CURRENT = "import sys; sys.path[:1] = [entry for entry in sys.path[:1] if entry]"

ENVIRONMENT = {"PYTHONSAFEPATH": "1"}
_lock, _depth, _before = threading.Lock(), 0, {}  # threads may start processes at the same time


def module_command(module: str) -> list[str]:
    """The command that runs a module, to which its arguments are appended."""
    return code_command(f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)")


def code_command(code: str) -> list[str]:
    """The command that runs a line of Python."""
    return [sys.executable, "-I", "-X", "utf8", "-W", "ignore", "-c", f"import sys; sys.path[:] = {_paths()!r}; {code}"]


@contextlib.contextmanager
def safe_start() -> Iterator[None]:
    """Around what starts processes by multiprocessing or joblib, which choose the command themselves."""
    if not _HAS_SAFE_PATH:
        _rewrite_commands()
        yield
        return
    global _depth
    with _lock:
        if not _depth:
            _before.update({name: os.environ.get(name) for name in ENVIRONMENT})
            os.environ.update(ENVIRONMENT)
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            for name, value in _before.items() if not _depth else ():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _paths() -> list[str]:
    """Where this process looks for modules, without the current folder."""
    here = Path.cwd()
    kept = [entry for entry in sys.path if entry and not _is_same(Path(entry), here)]
    return list(dict.fromkeys([*kept, str(_ROOT)]))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one that is not there
        return False


def _without_current_folder(command: Sequence) -> list:
    """A command of multiprocessing or joblib that takes the current folder off the path before it imports anything.

    What a process of theirs is to import of its parent's it is told in its first message.
    """
    for flag in ("-c", "-m"):
        if flag in command:
            place = list(command).index(flag)
            code = command[place + 1]
            if flag == "-m":
                code = f"import runpy; runpy.run_module({code!r}, run_name='__main__', alter_sys=True)"
            return [*command[:place], "-c", f"{_FORGET_CURRENT}; {code}", *command[place + 2 :]]
    return list(command)


def _rewrite_commands() -> None:
    """Lets multiprocessing and joblib start their processes so. For Python 3.10, which knows no safer way."""
    from joblib.externals.loky.backend import fork_exec

    if hasattr(fork_exec.fork_exec, "rewrites"):
        return
    spawn, start = multiprocessing.util.spawnv_passfds, fork_exec.fork_exec

    def spawnv_passfds(path, args, passfds):
        return spawn(path, _without_current_folder(args), passfds)

    def safe_fork_exec(cmd, *args, **options):
        return start(_without_current_folder(cmd), *args, **options)

    safe_fork_exec.rewrites = True
    multiprocessing.util.spawnv_passfds = spawnv_passfds
    fork_exec.fork_exec = safe_fork_exec
