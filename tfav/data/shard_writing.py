"""`tfav prepare` for whole examples: made in parallel, each accounted for, then packed into shards.

An example is made in a process without TensorFlow and waits in a file of its own, so that a killed run loses one
example; shards are written at the end, and what lies in them already is not made again.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfav.data.example_files import (
    STAGING_DIR,
    Record,
    is_staged,
    load_staged,
    stage_record,
    staged_fingerprint,
    staging_path,
)
from tfav.data.shards import INDEX_NAME, Index, decoder, in_stored_order, read_index, read_rows, write_shards
from tfav.errors import DataError, TfavError
from tfav.io.contact_sheet import write_contact_sheet
from tfav.io.lock import locked_folder
from tfav.io.parallel import PrepareReport, Unit, run_units

SHEET_NAME = "contact_sheet.png"
_SHEET_EXAMPLES = 120


def prepare_shards(
    make: Callable[..., tuple[Record, str]],
    jobs: Mapping[str, tuple[tuple, str]],
    out_dir: Path | str,
    *,
    failures: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    settings: Mapping | None = None,
    label: str = "examples",
    **workers,
) -> tuple[PrepareReport, Index]:
    """Makes every example that is not there yet, and packs the new ones.

    Args:
        make: Maps arguments to a record and a warning ("" for none); at the top level of a module that does not load
            TensorFlow. Its exception is that example's failure and stops no other.
        jobs: From the example's name, which must be its record's `id`, to the arguments for `make`, which can be
            pickled, and the fingerprint (`example_files.fingerprint`) of what it is made from: another fingerprint
            means that it is made anew.
        out_dir: The shard folder. Examples in it that are no longer among `jobs` leave its index.
        failures: Examples known to fail before, name to reason.
        warnings: Known before.
        settings: For report and index.
        label: What the bar is called.
        **workers: Fields of `tfav.io.workers.Workers`: who does the work.

    Returns:
        The report, and the index of what is there now.

    Raises:
        DataError: Nothing could be made at all.
        UsageError: `out_dir` cannot be used.
        DiskFullError: No space was left.
    """
    out_dir, settings = Path(out_dir).absolute(), dict(settings or {})
    old = _readable_index(out_dir)
    packed = {entry.id: entry for entry in old.entries} if old and old.kind == "raw" else {}
    packed = {name: entry for name, entry in packed.items() if name in jobs and entry.fingerprint == jobs[name][1]}
    report = run_units(
        stage_record,
        [
            Unit(name, (make, args, str(out_dir), name, fingerprint))
            for name, (args, fingerprint) in jobs.items()
            if name not in packed
        ],
        out_dir,
        is_done=is_staged,
        skipped=[name for name in jobs if name in packed],
        failures=failures,
        warnings=warnings,
        settings=settings,
        label=label,
        **workers,
    )
    with locked_folder(out_dir, ".pack.lock"):
        wanted = {name: fingerprint for name, (_, fingerprint) in jobs.items() if name not in packed}
        new = [name for name, fingerprint in wanted.items() if staged_fingerprint(out_dir, name) == fingerprint]
        if not new and not packed:
            first = ": ".join(next(iter(report.failed.items()), ("there is", "nothing to make")))
            raise DataError(f"{out_dir}: none of the {len(report.failed)} examples could be made; {first}")
        index = old
        if new or len(packed) != len(old.entries) or old.settings != settings:
            index = write_shards(
                out_dir,
                new,
                lambda name: load_staged(out_dir, name),
                fingerprints=wanted,
                keep=list(packed.values()),
                settings=settings,
            )
        for name in new:
            staging_path(out_dir, name).unlink(missing_ok=True)
        shutil.rmtree(out_dir / STAGING_DIR, ignore_errors=True)
    return report, index


def draw_contact_sheet(index: Index) -> Path:
    """Draws the middle frames of up to 120 examples with their names, so that a person sees whether they are right.

    Args:
        index: Of examples of one channel; the picture is written beside it.

    Returns:
        The picture's path.
    """
    chosen = np.unique(np.linspace(0, len(index.entries) - 1, _SHEET_EXAMPLES).round().astype(int))
    entries = in_stored_order(index, [index.entries[i].id for i in chosen])
    decode = decoder(index)
    middles = read_rows(index, entries).map(lambda row: decode(row)["frames"])
    pictures = [frames[len(frames) // 2, ..., 0] for frames in middles.as_numpy_iterator()]
    return write_contact_sheet(index.folder / SHEET_NAME, pictures, [entry.id for entry in entries])


def _readable_index(out_dir: Path) -> Index | None:
    try:
        return read_index(out_dir) if (out_dir / INDEX_NAME).exists() else None
    except TfavError:
        return None  # damaged, or of another version: everything is made anew
