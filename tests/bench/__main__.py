"""`python -m tests.bench NAME [options]`, or `all`: what `make bench BENCH=NAME` runs.

`all` gives each benchmark a process of its own and writes `runs/bench/table.md` and `table.json` of all their rows.
"""

import importlib
import pkgutil
import subprocess
import sys

import tests.bench
from tests.bench.table import rows_of, write_table

NOT_BENCHES = (
    "__main__",
    "flops",
    "grid",
    "rounds",
    "table",
)
# Of some minutes to a quarter of an hour and more, run by their own names.
STUDIES = ("made_spanish", "transcript_kinds", "unseen_groups")


def names() -> list[str]:
    return sorted(
        module.name
        for module in pkgutil.iter_modules(tests.bench.__path__)
        if module.name not in (*NOT_BENCHES, *STUDIES)
    )


def run_all() -> int:
    """Runs every benchmark and writes the table after each, so that one that fails costs its own rows only."""
    rows, failed = [], []
    for name in names():
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.bench", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            output = []
            for line in process.stdout:
                print(line, end="", flush=True)
                output.append(line)
        if process.returncode:
            failed.append(name)
        rows += [{"bench": name, **row} for row in rows_of("".join(output))]
        table = write_table(rows)
    print(f"{len(rows)} rows: {table}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def main() -> None:
    name, *rest = sys.argv[1:] or ["all"]
    if name != "all" and name not in (*names(), *STUDIES):
        sys.exit(f"error: unknown benchmark {name!r}. Valid: all, {', '.join([*names(), *STUDIES])}.")
    if name == "all":
        sys.exit(run_all())
    print(f"== {name}", flush=True)
    sys.argv = [f"tests.bench.{name}", *rest]
    importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main()
