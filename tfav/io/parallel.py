"""The one executor of every `tfav prepare`: many small units of work over processes, and an account of each.

A unit is idempotent and writes its result beside and renames it in (`atomic_write`), so a run may be killed at any
moment and the same command goes on from there. A unit that fails, or whose process dies, never stops the others. What
runs the units, processes here or a cluster, is in `executors`.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tqdm import tqdm

from tfav.errors import TfavError
from tfav.io.atomic_write import DiskFullError, is_disk_full, remove_partials, write_json
from tfav.io.executors import open_pool
from tfav.io.isolate_errors import describe
from tfav.io.lock import locked_folder
from tfav.io.workers import Workers

REPORT_NAME = "prepare_report.json"
_LOCK_NAME = ".prepare.lock"
_SHOW_BAR_AFTER_SEC = 2


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
        notes: What there is now, one line each.
        seconds: Wall clock.
        settings: What the run was asked for.
        classes: How many examples each class has, where there are classes.
    """

    done: list[str] = dataclasses.field(default_factory=list)
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    settings: dict = dataclasses.field(default_factory=dict)
    classes: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    def summary(self, max_lines: int = 20) -> str:
        """Return the counts in one line, and under it each failure and warning, at most `max_lines` of each."""
        head = f"{len(self.done)} done, {len(self.skipped)} skipped, {len(self.failed)} failed in {self.seconds:.1f} s"
        lines = [head, *(f"  {note}" for note in self.notes)]
        if self.classes:
            lines.append("  classes: " + ", ".join(f"{label} {count}" for label, count in self.classes.items()))
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
            "notes": self.notes,
            "seconds": round(self.seconds, 3),
            "settings": self.settings,
        } | ({"classes": self.classes} if self.classes else {})

    def write(self, out_dir: Path | str) -> None:
        """Writes it as `prepare_report.json`; again where something is known only after the work."""
        write_json(Path(out_dir) / REPORT_NAME, self.as_dict())


def run_units(
    work: Callable[..., str | None],
    units: Iterable[Unit],
    out_dir,
    *,
    is_done: Callable[..., bool] | None = None,
    skipped: Iterable[str] = (),
    failures: Mapping[str, str] | None = None,
    warnings: Iterable[str] = (),
    settings: Mapping | None = None,
    label: str = "prepare",
    **workers,
) -> PrepareReport:
    """Do all units that are not done yet, over processes, and account for each.

    Args:
        work: Does one unit, `work(*unit.args)`, and returns None or a warning. An exception is that unit's failure. A
            function at the top level of a module.
        units: The units, with distinct names.
        out_dir: Where results go. Leftovers of killed runs in it are removed first, `prepare_report.json` is written
            at the end, and a second run on it at the same time is refused.
        is_done: Tells, from a unit's args, whether its result is there already; at the top level of a module. Asked
            before the run, and once more where the unit is done: what a process finished before it died is not done
            twice.
        skipped: Names of further work that is known to be done.
        failures: Units known to fail before any work, name to reason.
        warnings: Warnings known before any work.
        settings: For the report.
        label: What the progress bar is called, which stands on standard error once a run takes over two seconds.
        **workers: Fields of `Workers`: who does the work. A cluster's machines must see the same files under the same
            absolute paths.

    Returns:
        A `PrepareReport`, also written to `out_dir`.

    Raises:
        UsageError: An unknown backend, a negative number of workers, a cluster that cannot be used, an `out_dir` that
            cannot be made or is in use.
        DiskFullError: No space is left; the run has stopped, what was half-written is removed.
    """
    workers = Workers(**workers)
    workers.check()
    out_dir = Path(out_dir).absolute()  # another machine has another current folder
    started = time.monotonic()
    report = PrepareReport([], list(skipped), dict(failures or {}), list(warnings), settings=dict(settings or {}))
    with locked_folder(out_dir, _LOCK_NAME):
        remove_partials(out_dir)
        todo, order = collections.deque(), {}
        for unit in units:
            order[unit.name] = len(order)
            if _is_done(is_done, unit.args):
                report.skipped.append(unit.name)
            else:
                todo.append(unit)
        # No cluster is asked for nothing.
        pool = open_pool(workers if todo else Workers(workers=0), shared_file=out_dir / _LOCK_NAME, most=len(todo))
        try:
            has_deaths = _work_off(pool, functools.partial(_attempt, work, is_done), todo, report, workers.quiet, label)
        except BaseException as error:
            pool.kill()
            remove_partials(out_dir)
            if is_disk_full(error):
                raise DiskFullError(getattr(error, "path", out_dir)) from error
            report.warnings.append(f"stopped early ({type(error).__name__}); run the same again to go on")
            with contextlib.suppress(OSError, TfavError):
                _finish(report, order, started, out_dir)
            raise
        pool.close()
        if has_deaths or workers.backend != "loky":  # a cluster may have mended a death by itself, in silence
            remove_partials(out_dir)
        _finish(report, order, started, out_dir)
    return report


def _finish(report: PrepareReport, order: dict[str, int], started: float, out_dir: Path) -> None:
    # Units end in any order; two runs over the same input should read the same.
    report.done.sort(key=order.get)
    report.failed = dict(sorted(report.failed.items(), key=lambda item: order.get(item[0], -1)))
    report.warnings.sort(key=lambda line: order.get(line.split(": ", 1)[0], -1))
    report.seconds = time.monotonic() - started
    report.write(out_dir)


def _work_off(pool, attempt, todo: collections.deque, report: PrepareReport, quiet: bool, label: str) -> bool:
    in_flight, suspects, deaths = {}, collections.deque(), collections.Counter()
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
            # Where a dying process takes all others along, those that were in the pool are run again one at a time:
            # only then is it certain which of them it is that kills its process.
            limit = 1 if suspects and pool.deaths_spread else 2 * pool.workers
            while (suspects or todo) and len(in_flight) < limit:
                unit = (suspects or todo).popleft()
                in_flight[pool.submit(attempt, unit.args)] = unit
            finished, _ = concurrent.futures.wait(in_flight, return_when=concurrent.futures.FIRST_COMPLETED)
            if any(pool.is_death(_error_of(future)) for future in finished):
                if pool.deaths_spread:
                    finished, _ = concurrent.futures.wait(in_flight)  # all come back broken, or done just before
                pool.restart()
            for future in finished:
                unit, error = in_flight.pop(future), _error_of(future)
                if not pool.is_death(error):
                    _record(report, unit, *(future.result() if error is None else ("failed", _one_line(error))))
                elif deaths[unit.name]:
                    report.failed[unit.name] = "its process was killed twice, likely for want of memory"
                else:
                    deaths[unit.name] += 1
                    suspects.append(unit)
                    continue
                bar.update()
    return bool(deaths)


def _error_of(future: concurrent.futures.Future) -> BaseException | None:
    if future.cancelled():
        raise TfavError("the cluster has gone away. Start it again and run the same command, which goes on from here.")
    return future.exception()


def _attempt(work: Callable, is_done: Callable | None, args: tuple) -> tuple[str, str | None]:
    """Do one unit in a worker process; what comes back is plain text, which always survives the way back."""
    try:
        if _is_done(is_done, args):
            return "done", None
        return "done", work(*args)
    except Exception as error:
        if is_disk_full(error):
            return "full", str(getattr(error, "path", None) or getattr(error, "filename", None) or "")
        return "failed", _one_line(error)


def _is_done(is_done: Callable | None, args: tuple) -> bool:
    try:
        return is_done is not None and bool(is_done(*args))
    except Exception:  # a result that cannot even be looked at is made anew
        return False


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
    return " ".join(str(error).split()) if isinstance(error, TfavError) else describe(error)
