"""Runs the quick tests on each Python of this machine, with the newest and the oldest versions allowed.

python -m tests.versions                          # all of them: `make test-matrix`
python -m tests.versions --sets newest --write    # and keep the versions that passed: `make constraints`
python -m tests.versions --pythons latest --sets tested
"""

import argparse
import datetime
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.versions import environments
from tests.versions.environments import PROJECT, SETS

# Everything that touches a library's own interface, and one training of each kind; the full suite is `make test`.
QUICK = ("tests/io", "tests/data", "tests/layers", "tests/metrics", "tests/weights", "tests/speech")
QUICK += ("tests/training/test_muon.py", "tests/test_keras_private.py")
SHOWN = ("tensorflow", "keras", "numpy", "av", "opencv-contrib-python")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.versions", description=__doc__.splitlines()[0])
    parser.add_argument("--pythons", nargs="+", default=["all"], help="such as 3.12, or all, or latest")
    parser.add_argument(
        "--sets", nargs="+", default=SETS, choices=(*SETS, "tested"), help="tested: what `make setup` takes"
    )
    parser.add_argument("--write", action="store_true", help="write the newest versions that passed to tests/versions/")
    parser.add_argument("--workers", default="2", help="processes that run the tests")
    parser.add_argument("tests", nargs="*", default=QUICK, help="files or folders of tests")
    options = parser.parse_args()
    pythons = _chosen(environments.find_pythons(), options.pythons)
    rows = [_run(minor, python, which, options) for minor, python in pythons.items() for which in options.sets]
    missing = [f"3.{number}" for number in environments.MINORS if f"3.{number}" not in environments.find_pythons()]
    if missing:
        print(f"not on this machine, so not tested: Python {', '.join(missing)}")
    return 0 if rows and all(" passed" in row and "FAILED" not in row for row in rows) else 1


def _chosen(found: dict[str, Path], wanted: list[str]) -> dict[str, Path]:
    if wanted == ["all"]:
        return found
    if wanted == ["latest"]:
        return dict(list(found.items())[-1:])
    if unknown := set(wanted) - set(found):
        raise SystemExit(f"Python {', '.join(sorted(unknown))} is not on this machine. Found: {', '.join(found)}.")
    return {minor: found[minor] for minor in wanted}


def _run(minor: str, python: Path, which: str, options) -> str:
    started = time.monotonic()
    tested = constraints(minor)
    if which == "tested":
        pins = "".join(line for line in tested.read_text().splitlines(keepends=True) if not line.startswith("#"))
    else:
        pins = environments.resolve(python, which)
    folder = environments.make_environment(python, minor, which, pins)
    command = [folder / "bin" / "python", "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-n", options.workers]
    log = folder / "tests.log"
    with log.open("w") as file:
        code = subprocess.run([*command, "--dist", "loadfile", *options.tests], cwd=PROJECT, stdout=file,
                              stderr=subprocess.STDOUT, check=False).returncode  # fmt: skip
    lines = log.read_text().strip().splitlines()
    versions = dict(line.split("==") for line in pins.split() if "==" in line)
    shown = " ".join(f"{name} {versions.get(name, '?')}" for name in SHOWN)
    if code:
        print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR"))))
    elif options.write and which == "newest":
        tested.write_text(_header(minor) + pins)
    verdict = "FAILED, " if code else ""
    # TensorFlow may say something after pytest's last line.
    told = next((line for line in reversed(lines) if re.search(r"\d+ (passed|failed|error)", line)), lines[-1])
    seconds = time.monotonic() - started
    row = f"Python {minor} {which:6} {verdict}{told.strip('= ')}; {seconds:.0f} s with set-up ({shown})"
    print(row, flush=True)
    return row


def constraints(minor: str) -> Path:
    """The versions that `make setup` installs with this Python."""
    return Path(__file__).parent / f"python-{minor}.txt"


def _header(minor: str) -> str:
    today = datetime.date.today().isoformat()
    return (
        f"# The versions that the quick tests passed on with Python {minor}, {today}; written by `make constraints`.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
