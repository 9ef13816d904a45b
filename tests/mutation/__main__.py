"""Plants bugs one at a time and counts those that a test notices.

python -m tests.mutation --record                   # once, and again for tests that are new: what runs what
python -m tests.mutation --sample 200 --seed 0      # plants; the same command goes on after an interruption
python -m tests.mutation --again                    # plants again what was not noticed, where it is still there
"""

import argparse
import fnmatch
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.mutation import mutants, recording, server

PROJECT = Path(__file__).resolve().parents[2]
# What computes; the rest is flags, texts, pages.
CORE = [
    "tfav/io/*.py",
    "tfav/data/*.py",
    "tfav/layers/*.py",
    "tfav/metrics/*.py",
    "tfav/weights/*.py",
    "tfav/training/*.py",
    "tfav/speech/*.py",
    "tfav/systems/*/*.py",
]
NOT_CORE = ["*/__init__.py", "tfav/systems/*/config.py", "*/demo.py", "*/clip_page.py"]
TESTS = ["io", "data", "layers", "metrics", "weights", "training", "speech", "systems", "export", "report"]
# Of the processor, for the tests of one mutant; the quickest come first, and those beyond it are not run.
SECONDS_PER_MUTANT = 60.0
_NOTICED = {"failed", "timeout"}  # one that never ends is noticed by whoever waits for it


def main() -> None:
    """Reads the command line and does what it says."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--record", nargs="*", metavar="TEST", help="record which tests run what (all tests of the core)"
    )
    parser.add_argument("--sample", type=int, default=0, help="how many places to change")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--files", nargs="*", default=CORE, help="patterns of the files to change")
    parser.add_argument("--out", type=Path, default=PROJECT / "runs" / "mutation", help="folder of map, results, logs")
    parser.add_argument(
        "--again",
        action="store_true",
        help="plant again what was not noticed; without --sample all that is in the results, whatever a draw gives now",
    )
    parser.add_argument("--seconds", type=float, default=SECONDS_PER_MUTANT, help="of tests for each place, at most")
    parser.add_argument("--core", type=int, help="number of the processor core to stay on")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        if arguments.record is not None:
            tests = arguments.record or [f"tests/{name}" for name in TESTS]
            recording.record(tree, _matching(tree, CORE), tests, arguments.out / "map.jsonl")
        if arguments.sample or arguments.again:
            sources = {file: (tree / file).read_text(encoding="utf-8") for file in _matching(tree, arguments.files)}
            if arguments.sample:
                drawn = mutants.draw(sources, arguments.sample, arguments.seed)
            else:
                drawn = unnoticed(sources, recording.read(arguments.out / "results.jsonl"))
            plant(tree, drawn, arguments.out, arguments.seconds, again=arguments.again)


def copy_tree(tree: Path) -> None:
    """Copies what git knows, as it lies in the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (PROJECT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, tree / name)


def unnoticed(sources: dict[str, str], rows: list[dict]) -> list[tuple[str, mutants.Mutant]]:
    """What no test has noticed by the last of the rows, where the code still has it."""
    last = {row["mutant"]: row["outcome"] for row in rows}
    wanted = [key for key, outcome in last.items() if outcome not in _NOTICED]
    files = {key.partition("::")[0] for key in wanted} & set(sources)
    there = {mutant.key(file): (file, mutant) for file in files for mutant in mutants.find(sources[file])}
    return [there[key] for key in wanted if key in there]


def plant(tree: Path, drawn: list[tuple[str, mutants.Mutant]], out: Path, seconds: float, *, again: bool) -> None:
    """Plants each mutant in turn, runs its tests, and keeps a line of what came of it."""
    (out / "logs").mkdir(parents=True, exist_ok=True)
    results = out / "results.jsonl"
    known = {row["mutant"]: row for row in recording.read(results)}
    tests = recording.read(out / "map.jsonl")
    if not tests:
        sys.exit("there is no map of tests yet; make it with --record.")
    server.warm_up()
    keys = []
    for number, (file, mutant) in enumerate(drawn, 1):
        keys.append(key := mutant.key(file))
        if key in known and not (again and known[key]["outcome"] not in _NOTICED):
            continue
        log = out / "logs" / f"{number:04d}.txt"
        run, chosen, left_out = _look(tree, file, mutant, tests, seconds, log)
        row = {"mutant": key, "line": mutant.line, "outcome": run.outcome, "seconds": round(run.seconds, 1)}
        row |= {"by": run.failed} if run.failed else {}
        known[key] = row | {"tests": len(chosen), "left_out": left_out, "log": log.name}
        with results.open("a") as lines:
            lines.write(json.dumps(known[key]) + "\n")
        print(f"{number:4d} {run.outcome:8s} {run.seconds:6.1f} s  {key}", flush=True)
    report([known[key] for key in keys])


def _look(tree, file, mutant, tests, seconds, log) -> tuple[server.Run, list[dict], int]:
    """Plants one mutant; a test that fails without it, too, is no witness, and is taken out of `tests`."""
    source = (tree / file).read_text(encoding="utf-8")
    while True:
        chosen, left_out = choose(tests, file, mutant, seconds)
        if not chosen:
            return server.Run("no test", 0.0), [], 0
        limit = 120 + 6 * sum(row["seconds"] for row in chosen)
        try:
            (tree / file).write_text(mutants.apply(source, mutant), encoding="utf-8")
            run = server.run_tests(tree, batches([row["test"] for row in chosen]), limit, log)
        finally:
            (tree / file).write_text(source, encoding="utf-8")
        witness = next((row for row in tests if row["test"] == run.failed), None)
        if witness is None or witness.get("sound"):
            return run, chosen, left_out
        if server.run_tests(tree, [[run.failed]], limit, log.with_suffix(".without.txt")).outcome == "passed":
            witness["sound"] = True
            return run, chosen, left_out
        tests.remove(witness)


def batches(tests: list[str]) -> list[list[str]]:
    """Tests in order: those of the first file, of the second, then folder by folder, which share what they prepare."""
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    groups: dict[str, list[str]] = {}
    for test in tests:
        file = test.split("::")[0]
        groups.setdefault(file if file in files[:2] else file.rpartition("/")[0], []).append(test)
    return list(groups.values())


def choose(
    tests: list[dict], file: str, mutant: mutants.Mutant, limit: float = SECONDS_PER_MUTANT
) -> tuple[list[dict], int]:
    """The tests that run the part a mutant stands in, else its function, its file, or for a table of sizes its folder.

    And how many more there are.

    Quick ones come first, those of one file together, since they share what the file prepares.
    """
    whole, own = f"{file}::", f"{file}::{mutant.function}#"
    found = []
    for prefix in (f"{own}{mutant.block}\n", own, whole, f"{Path(file).parent.as_posix()}/"):
        found = [row for row in tests if any(f"{part}\n".startswith(prefix) for part in row["parts"])]
        if found:
            break
    found.sort(key=lambda row: row["seconds"])
    chosen, seconds = [], 0.0
    for row in found:
        seconds += row["seconds"]
        if chosen and seconds > limit:
            break
        chosen.append(row)
    cost = Counter()
    for row in chosen:
        cost[row["test"].split("::")[0]] += row["seconds"]
    chosen_sorted = sorted(chosen, key=lambda row: (cost[row["test"].split("::")[0]], row["test"].split("::")[0]))
    return chosen_sorted, len(found) - len(chosen)


def report(rows: list[dict]) -> None:
    """Prints the share that was noticed and what was not."""
    counts = Counter(row["outcome"] for row in rows)
    noticed = sum(counts[outcome] for outcome in _NOTICED)
    print(f"\n{noticed} of {len(rows)} noticed ({noticed / max(1, len(rows)):.1%}); {dict(counts)}")
    for row in rows:
        if row["outcome"] not in _NOTICED:
            print(f"  {row['outcome']:8s} line {row['line']:4d}  {row['mutant']}")


def _matching(tree: Path, patterns: list[str]) -> list[str]:
    files = sorted(str(path.relative_to(tree)) for path in (tree / "tfav").rglob("*.py"))
    chosen = [file for file in files if any(fnmatch.fnmatch(file, pattern) for pattern in patterns)]
    return [file for file in chosen if not any(fnmatch.fnmatch(file, pattern) for pattern in NOT_CORE)]


if __name__ == "__main__":
    main()
