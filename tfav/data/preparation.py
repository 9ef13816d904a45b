"""`tfav prepare` for whole examples: made in parallel, each accounted for, then packed into shards.

An example is made in a process without TensorFlow and waits in a file of its own, so that a killed run loses one
example; shards are written at the end, and what lies in them already is not made again.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfav.data.records import STAGING_DIR, Record, load_staged, stage_record, staged_mark, staging_path
from tfav.data.shards import INDEX_NAME, Index, read_index, write_shards
from tfav.errors import DataError, TfavError
from tfav.io.executor import PrepareReport, Unit, run_units
from tfav.io.lock import locked_folder


def prepare_shards(
    make: Callable[..., tuple[Record, str]],
    jobs: Mapping[str, tuple[tuple, str]],
    out_dir: Path | str,
    *,
    failures: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    settings: Mapping | None = None,
    kind: str = "raw",
    workers: int | None = None,
    quiet: bool = False,
    label: str = "examples",
) -> tuple[PrepareReport, Index]:
    """Makes every example that is not there yet, and packs the new ones.

    Args:
        make: Maps arguments to a record and a warning ("" for none); at the top level of a module that does not load
            TensorFlow. Its exception is that example's failure and stops no other.
        jobs: From the example's name, which must be its record's `id`, to the arguments for `make`, which can be
            pickled, and the fingerprint (`records.fingerprint`) of what it is made from: another fingerprint means
            that it is made anew.
        out_dir: The shard folder. Examples in it that are no longer among `jobs` leave its index.
        failures: Examples known to fail before, name to reason.
        warnings: Known before.
        settings: For report and index.
        kind: As in `shards.write_shards`.
        workers: Processes; None is one per core, 0 none.
        quiet: No progress bar.
        label: What the bar is called.

    Returns:
        The report, and the index of what is there now.

    Raises:
        DataError: Nothing could be made at all.
        UsageError: `out_dir` cannot be used.
        DiskFullError: No space was left.
    """
    out_dir, settings = Path(out_dir), dict(settings or {})
    old = _readable_index(out_dir)
    packed = {entry.id: entry for entry in old.entries} if old and old.kind == kind else {}
    packed = {name: entry for name, entry in packed.items() if name in jobs and entry.mark == jobs[name][1]}

    def is_done(make, args, out_dir, name, mark):
        return name in packed or staged_mark(out_dir, name) == mark

    report = run_units(
        stage_record,
        [Unit(name, (make, args, str(out_dir), name, mark)) for name, (args, mark) in jobs.items()],
        out_dir,
        is_done=is_done,
        failures=failures,
        warnings=warnings,
        settings=settings,
        workers=workers,
        quiet=quiet,
        label=label,
    )
    with locked_folder(out_dir, ".pack.lock"):
        new = [name for name, (_, mark) in jobs.items() if name not in packed and staged_mark(out_dir, name) == mark]
        if not new and not packed:
            first = ": ".join(next(iter(report.failed.items()), ("there is", "nothing to make")))
            raise DataError(f"{out_dir}: none of the {len(report.failed)} examples could be made; {first}")
        index = old
        if new or len(packed) != len(old.entries) or old.settings != settings:
            index = write_shards(
                out_dir,
                new,
                lambda name: load_staged(out_dir, name),
                marks={name: jobs[name][1] for name in new},
                keep=list(packed.values()),
                settings=settings,
                kind=kind,
            )
        for name in new:
            staging_path(out_dir, name).unlink(missing_ok=True)
        shutil.rmtree(out_dir / STAGING_DIR, ignore_errors=True)
    return report, index


def _readable_index(out_dir: Path) -> Index | None:
    try:
        return read_index(out_dir) if (out_dir / INDEX_NAME).exists() else None
    except TfavError:
        return None  # damaged, or of another version: everything is made anew
