"""Pythons of this machine, and an environment of each with the newest or the oldest packages that setup.cfg allows."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MINORS = range(10, 14)  # of Python 3, as `python_requires` says
SETS = ("newest", "oldest")


def find_pythons() -> dict[str, Path]:
    """Minor version, such as "3.12", to an interpreter: from `PATH`, from pyenv, and the one that runs this."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = {}
    for minor in (f"3.{number}" for number in MINORS):
        candidates = [shutil.which(f"python{minor}"), *sorted(pyenv.glob(f"{minor}.*/bin/python"), reverse=True)]
        if sys.version_info[:2] == tuple(map(int, minor.split("."))):
            candidates.append(sys.executable)
        for candidate in filter(None, candidates):
            # A name on PATH may be a shim of pyenv's that does not run.
            said = subprocess.run([candidate, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
                                  capture_output=True, text=True, check=False)  # fmt: skip
            if said.returncode == 0 and said.stdout.strip() == minor:
                found[minor] = Path(candidate)
                break
    return found


def requirements() -> list[str]:
    """What `pip install .[dev]` asks for."""
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    lines = setup["options"]["install_requires"] + setup["options.extras_require"]["dev"]
    return [line for line in lines.splitlines() if line and not line.startswith("#")]


def resolve(python: Path, which: str) -> str:
    """`name==version` lines of everything that is installed: the newest that fit together, or the oldest allowed."""
    resolution = {"newest": "highest", "oldest": "lowest-direct"}[which]
    command = ["pip", "compile", "-", "--quiet", "--no-build", "--no-annotate", "--no-header", "--python", str(python)]
    return _uv(*command, "--resolution", resolution, input="\n".join(requirements()))


def make_environment(python: Path, minor: str, which: str, pins: str) -> Path:
    """Makes `.venvs/3.12-oldest`, or takes it as it is where it holds these versions already. Returns its folder."""
    folder = PROJECT / ".venvs" / f"{minor}-{which}"
    made_of = folder / "pins.txt"
    if made_of.is_file() and made_of.read_text() == pins:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    _uv("venv", "--quiet", "--seed", "--python", str(python), str(folder))
    install = ["pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
    _uv(*install, "--requirement", "-", input=pins)
    _uv(*install, "--no-deps", "--editable", str(PROJECT))
    # The OpenCV that has optflow is laid down last, by the package's own command.
    subprocess.run([folder / "bin" / "tfav", "doctor", "--mend"], check=True, capture_output=True)
    made_of.write_text(pins)
    return folder


def _uv(*arguments: str, input: str | None = None) -> str:
    command = [sys.executable, "-m", "uv", *arguments]
    done = subprocess.run(command, input=input, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")
    return done.stdout
