"""`python -m tests.fuzz NAME --seconds 600`: one parser under atheris, which follows the code that inputs reach.

`all` takes every parser in turn, a process each. Prints a JSON row per parser: inputs tried, findings. A finding is
kept in `runs/fuzz/NAME/` and repeated with `python -m tests.fuzz NAME --input FILE`. Needs `pip install atheris`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Runs one parser, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--input", type=Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options.name, options.seconds)
        return
    from tests.fuzz.targets import TARGETS, feed

    if options.input:
        with tempfile.TemporaryDirectory() as folder:
            print(feed(TARGETS[options.name], options.input.read_bytes(), Path(folder)))
        return
    if options.name != "all" and options.name not in TARGETS:
        sys.exit(f"error: unknown parser {options.name!r}. Valid: all, {', '.join(TARGETS)}.")
    for name in TARGETS if options.name == "all" else [options.name]:
        print(json.dumps(watch(name, options.seconds)), flush=True)


def watch(name: str, seconds: int) -> dict:
    """Runs a parser's process and reads what libFuzzer says of it."""
    kept = Path("runs", "fuzz", name)
    kept.mkdir(parents=True, exist_ok=True)
    before = set(kept.iterdir())
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz", name, "--inside", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    tried = [
        int(number)
        for number in re.findall(r"^#(\d+)|stat::number_of_executed_units:\s*(\d+)", done.stderr, re.M)
        for number in number
        if number
    ]
    (kept / "log.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
    return {
        "parser": name,
        "seconds": round(time.monotonic() - started, 1),
        "inputs": max(tried, default=0),
        "exit_code": done.returncode,
        "findings": sorted(path.name for path in set(kept.iterdir()) - before if path.name != "log.txt"),
    }


def fuzz(name: str, seconds: int) -> None:
    """Fuzzes until the time is over or a finding ends the process."""
    import atheris

    with atheris.instrument_imports(include=["tfav"], enable_loader_override=False):
        from tests.fuzz.targets import MAX_BYTES, TARGETS, feed
    target = TARGETS[name]
    # In memory where there is such a folder: some ten thousand files are written.
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, seed in enumerate(target.seeds):
            (corpus / f"seed{number}").write_bytes(seed)
        kept = Path("runs", "fuzz", name).absolute()
        arguments = [
            sys.argv[0],
            str(corpus),
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            f"-artifact_prefix={kept}/",
        ]
        atheris.Setup(arguments, lambda data: feed(target, data, Path(folder)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
