"""What every benchmark shares: sides timed in alternating rounds of one process, medians, one JSON row."""

import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def measure(
    what: str,
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 5,
    warm_up: int = 1,
    prepare: Callable[[], object] | None = None,
    target: float | None = None,
    packages: tuple[str, ...] = (),
    **facts,
) -> dict:
    """Time two sides in turn, so that both meet the same state of the machine, and make a row of it.

    Args:
        what: What is compared, in words.
        sides: From name to a function that does the whole work once; the baseline first, ours second.
        rounds: Timed rounds of each side, after
        warm_up: rounds that are dropped.
        prepare: Called untimed before every single run, e.g. to empty an output folder.
        target: The ratio aimed at.
        packages: Whose versions matter.
        **facts: Further entries of the row, e.g. the number of clips.

    Returns:
        The row: medians in seconds, all rounds, the ratio baseline / ours, its range over the rounds, machine and
        versions.
    """
    seconds = {name: [] for name in sides}
    for number in range(warm_up + rounds):
        for name, run in sides.items():
            if prepare is not None:
                prepare()
            started = time.perf_counter()
            run()
            elapsed = time.perf_counter() - started
            if number >= warm_up:
                seconds[name].append(elapsed)
    baseline, ours = sides
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = [slow / fast for slow, fast in zip(seconds[baseline], seconds[ours], strict=True)]
    return {
        "what": what,
        "baseline": {"name": baseline, "seconds": round(medians[baseline], 4)},
        "ours": {"name": ours, "seconds": round(medians[ours], 4)},
        "ratio": round(medians[baseline] / medians[ours], 2),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
        "target": target,
        "rounds": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
        **facts,
        "machine": describe_machine(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def describe_machine() -> dict:
    """Return processor, usable cores, memory, load over the last minute, system and Python version."""
    model = platform.processor()
    memory_gb = None
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        memory_gb = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (OSError, ValueError):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": model,
        "cores": cores,
        "memory_gb": memory_gb,
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def print_row(row: Mapping) -> None:
    """Print a row as one line of JSON, the last line of a benchmark's output."""
    print(json.dumps(row), flush=True)
