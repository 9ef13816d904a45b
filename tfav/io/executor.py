"""The one executor of every `tfav prepare`: many small units of work over processes, and an account of each.

A unit is idempotent and writes its result beside and renames it in (`partial`), so a run may be killed at any moment
and the same command goes on from there. A unit that fails, or whose process dies, never stops the others.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import joblib
from joblib.externals import loky
from tqdm import tqdm

from tfav.errors import TfavError, UsageError
from tfav.io.lock import locked_folder
from tfav.io.partial import DiskFullError, is_disk_full, remove_partials, write_json

REPORT_NAME = "prepare_report.json"
_LOCK_NAME = ".prepare.lock"
_SHOW_BAR_AFTER_SEC = 2
# One process per core leaves no core for further threads: each library would otherwise start one per core in each.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "TFAV_DECODE_THREADS": "1",
}
_IDLE_SEC = 30  # processes stay for the next call in the same session, then leave


@dataclasses.dataclass(frozen=True)
class Unit:
    """One piece of work: `name` stands in the report, `args`, which must be picklable, go to the work function."""

    name: str
    args: tuple = ()


@dataclasses.dataclass
class PrepareReport:
    """What became of every unit of a run.

    Attributes:
        done: Names of the units done in this run.
        skipped: Names of those that were complete before.
        failed: From name to reason.
        warnings: One line each.
        seconds: Wall clock.
        settings: What the run was asked for.
    """

    done: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    settings: dict = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def summary(self, max_lines: int = 20) -> str:
        """Return the counts in one line, and under it each failure and warning, at most `max_lines` of each."""
        head = f"{len(self.done)} done, {len(self.skipped)} skipped, {len(self.failed)} failed in {self.seconds:.1f} s"
        lines = [head]
        for title, entries in (
            ("failed", [f"{name}: {reason}" for name, reason in self.failed.items()]),
            ("warning", self.warnings),
        ):
            lines += [f"  {title}: {entry}" for entry in entries[:max_lines]]
            if len(entries) > max_lines:
                lines.append(f"  ... and {len(entries) - max_lines} more, see {REPORT_NAME}")
        return "\n".join(lines)

    def as_dict(self) -> dict:
        """Return the form that is written: counts, and each failure with its reason."""
        return {
            "done": len(self.done),
            "skipped": len(self.skipped),
            "failed": len(self.failed),
            "failures": [{"name": name, "reason": reason} for name, reason in self.failed.items()],
            "warnings": self.warnings,
            "seconds": round(self.seconds, 3),
            "settings": self.settings,
        }


def run_units(
    work: Callable[..., str | None],
    units: Iterable[Unit],
    out_dir,
    *,
    is_done: Callable[..., bool] | None = None,
    failures: Mapping[str, str] | None = None,
    warnings: Iterable[str] = (),
    settings: Mapping | None = None,
    workers: int | None = None,
    backend: str = "loky",
    quiet: bool = False,
    label: str = "prepare",
) -> PrepareReport:
    """Do all units that are not done yet, over processes, and account for each.

    Args:
        work: Does one unit, `work(*unit.args)`, and returns None or a warning. An exception is that unit's failure. A
            function at the top level of a module.
        units: The units, with distinct names.
        out_dir: Where results go. Leftovers of killed runs in it are removed first, `prepare_report.json` is written
            at the end, and a second run on it at the same time is refused.
        is_done: Tells, from a unit's args, whether its result is there already.
        failures: Units known to fail before any work, name to reason.
        warnings: Warnings known before any work.
        settings: For the report.
        workers: Processes; None is one per core, 0 does everything in this process, for debugging.
        backend: What runs the processes; see `BACKENDS`.
        quiet: No progress bar. Otherwise there is one, on standard error, once a run takes over two seconds.
        label: What the bar is called.

    Returns:
        A `PrepareReport`, also written to `out_dir`.

    Raises:
        UsageError: An unknown backend, a negative number of workers, an `out_dir` that cannot be made or is in use.
        DiskFullError: No space is left; the run has stopped, what was half-written is removed.
    """
    if backend not in BACKENDS:
        raise UsageError(f"There is no such backend; choose one of {', '.join(BACKENDS)}. Received: backend={backend}")
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be 0 or more. Received: workers={workers}")
    workers = joblib.cpu_count() if workers is None else workers
    out_dir = Path(out_dir)
    started = time.monotonic()
    report = PrepareReport(failed=dict(failures or {}), warnings=list(warnings), settings=dict(settings or {}))
    with locked_folder(out_dir, _LOCK_NAME):
        remove_partials(out_dir)
        todo, order = collections.deque(), {}
        for unit in units:
            order[unit.name] = len(order)
            if is_done is not None and is_done(*unit.args):
                report.skipped.append(unit.name)
            else:
                todo.append(unit)
        pool = (_SerialPool if workers == 0 else BACKENDS[backend])(min(max(1, workers), max(1, len(todo))))
        try:
            _work_off(pool, work, todo, report, quiet, label)
        except BaseException as error:
            pool.kill()
            remove_partials(out_dir)
            if is_disk_full(error):
                raise DiskFullError(getattr(error, "path", out_dir)) from error
            report.warnings.append(f"stopped early ({type(error).__name__}); run the same again to go on")
            with contextlib.suppress(OSError, TfavError):
                _finish(report, order, started, out_dir)
            raise
        _finish(report, order, started, out_dir)
    return report


def _finish(report: PrepareReport, order: dict[str, int], started: float, out_dir: Path) -> None:
    # Units end in any order; two runs over the same input should read the same.
    report.done.sort(key=order.get)
    report.failed = dict(sorted(report.failed.items(), key=lambda item: order.get(item[0], -1)))
    report.warnings.sort(key=lambda line: order.get(line.split(": ", 1)[0], -1))
    report.seconds = time.monotonic() - started
    write_json(out_dir / REPORT_NAME, report.as_dict())


def _work_off(pool, work, todo: collections.deque, report: PrepareReport, quiet: bool, label: str) -> None:
    in_flight, suspects = {}, collections.deque()
    interactive = sys.stderr.isatty()
    with tqdm(
        total=len(todo),
        desc=label,
        disable=quiet or not todo,
        delay=_SHOW_BAR_AFTER_SEC,
        mininterval=0.2 if interactive else 2,  # a log file is not filled with bars
        dynamic_ncols=interactive,
    ) as bar:
        while todo or in_flight or suspects:
            # After a process has died, those that were in the pool are run again one at a time: only then is it
            # certain which of them it is that kills its process.
            alone = bool(suspects)
            if alone:
                unit = suspects.popleft()
                in_flight[pool.submit(_attempt, work, unit.args)] = unit
            while not alone and todo and len(in_flight) < 2 * pool.workers:
                unit = todo.popleft()
                in_flight[pool.submit(_attempt, work, unit.args)] = unit
            finished, _ = concurrent.futures.wait(in_flight, return_when=concurrent.futures.FIRST_COMPLETED)
            if any(isinstance(future.exception(), concurrent.futures.BrokenExecutor) for future in finished):
                finished, _ = concurrent.futures.wait(in_flight)  # all of them come back broken, or done just before
                pool.restart()
            for future in finished:
                unit = in_flight.pop(future)
                error = future.exception()
                if not isinstance(error, concurrent.futures.BrokenExecutor):
                    _record(report, unit, *(future.result() if error is None else ("failed", _one_line(error))))
                elif alone:
                    report.failed[unit.name] = "its process was killed twice, likely for want of memory"
                else:
                    suspects.append(unit)
                    continue
                bar.update()


def _attempt(work: Callable, args: tuple) -> tuple[str, str | None]:
    """Do one unit in a worker process; what comes back is plain text, which always survives the way back."""
    try:
        return "done", work(*args)
    except Exception as error:
        if is_disk_full(error):
            return "full", str(getattr(error, "path", None) or getattr(error, "filename", None) or "")
        return "failed", _one_line(error)


def _record(report: PrepareReport, unit: Unit, outcome: str, text: str | None) -> None:
    if outcome == "full":
        raise DiskFullError(text or unit.name)
    if outcome == "failed":
        report.failed[unit.name] = text
        return
    report.done.append(unit.name)
    if text:
        report.warnings.append(f"{unit.name}: {text}")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, TfavError) else f"{type(error).__name__}: {text}"


def _stay_with_parent() -> None:
    """Let a worker process leave Ctrl-C to its parent, and go within a second when its parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _LokyPool:
    """Processes on this machine. Any pool has these four: `workers`, `submit`, `restart` and `kill`."""

    def __init__(self, workers: int):
        self.workers = workers
        self._executor = None

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        if self._executor is None:
            self._executor = loky.get_reusable_executor(
                self.workers, timeout=_IDLE_SEC, env=_ONE_THREAD, initializer=_stay_with_parent
            )
        try:
            return self._executor.submit(function, *args)
        except concurrent.futures.BrokenExecutor as error:  # it broke between two submissions
            future = concurrent.futures.Future()
            future.set_exception(error)
            return future

    def restart(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)
            self._executor = None


class _SerialPool:
    """This process, one unit after the other."""

    def __init__(self, workers: int):
        self.workers = 1

    def submit(self, function: Callable, *args) -> concurrent.futures.Future:
        future = concurrent.futures.Future()
        with _environment(_ONE_THREAD):
            future.set_result(function(*args))
        return future

    def restart(self) -> None:
        pass

    def kill(self) -> None:
        pass


@contextlib.contextmanager
def _environment(values: Mapping[str, str]):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


BACKENDS = {"loky": _LokyPool}
