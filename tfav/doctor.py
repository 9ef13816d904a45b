"""What this machine has, what is missing, and the exact command that mends it."""

import ctypes.util
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from rich.console import Console
from rich.table import Table

from tfav import keras_settings
from tfav._version import __version__
from tfav.errors import UsageError
from tfav.io import subprocesses

OK, MISSING, OPTIONAL, ASIDE = "ok", "missing", "not there (optional)", "set aside"

# What the full OpenCV wheels link and slim containers lack; the headless wheel of the same version needs neither.
_DISPLAY_LIBRARIES = ("GL", "gthread-2.0")


class Finding(NamedTuple):
    """One row of the table; `remedy` is a command, empty where there is nothing to mend."""

    what: str
    state: str
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Looks at everything, each thing in a process of its own, since a broken library may take its process down."""
    findings = [_python(), *map(_package, _IMPORTS), _opencv()]
    findings += [_import_check(name, code, remedy) for name, code, remedy in _CHECKS]
    findings += [_keras_settings(), _gpu(), *map(_extra, ("torch", "gradio", "xarray", "zarr"))]
    return findings


def main(*, mend: bool = False, data_dir: Path | None = None) -> int:
    """Prints the table; with `mend` runs the remedies and looks again. Returns 1 where something needed is missing.

    With `data_dir` it looks at that data set of classes instead: how many examples each has, and what is odd.
    """
    if data_dir is not None:
        from tfav.data.label_tables import describe_data  # here: a machine that lacks packages is looked at as well

        print("\n  ".join(describe_data(data_dir)))
        return 0
    findings = examine()
    if mend:
        remedies = list(
            dict.fromkeys(finding.remedy for finding in findings if finding.state == MISSING and finding.remedy)
        )
        for remedy in remedies:
            print(f"+ {remedy}", flush=True)
            # One of our own lines above, never a user's.
            subprocess.run(remedy, shell=True, check=False, env=os.environ | subprocesses.ENVIRONMENT)
        findings = examine() if remedies else findings
    _print(findings)
    missing = [finding for finding in findings if finding.state == MISSING]
    if missing and not mend:
        print("To run these commands: tfav doctor --mend")
    return 1 if missing else 0


def opencv_remedy() -> str:
    """The command that lays the right OpenCV wheel down last."""
    headless = not all(ctypes.util.find_library(name) for name in _DISPLAY_LIBRARIES)
    package = "opencv-contrib-python-headless" if headless else "opencv-contrib-python"
    version = _version("opencv-contrib-python") or _version("opencv-python")
    # --no-deps: nothing else is to move. --force-reinstall: pip thinks it is there, but another wheel lies over it.
    pinned = f"{package}=={version}" if version else package
    return f"{_pip()} install --force-reinstall --no-deps {pinned}"


def _print(findings: list[Finding]) -> None:
    table = Table(title=f"tfav {__version__} on {platform.platform()}, {os.cpu_count()} cores")
    for column in ("what", "state", "detail"):
        table.add_column(column, overflow="fold")
    colors = {OK: "green", MISSING: "bold red", OPTIONAL: "yellow", ASIDE: "yellow"}
    for finding in findings:
        table.add_row(finding.what, f"[{colors[finding.state]}]{finding.state}[/]", finding.detail)
    Console(width=min(120, shutil.get_terminal_size().columns)).print(table)
    # Below the table and in one piece, so that they can be copied.
    for finding in findings:
        if finding.remedy and finding.state != OK:
            print(f"{finding.what}: {finding.remedy}")


def _pip() -> str:
    return f"{shlex.quote(sys.executable)} -m pip"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python() -> Finding:
    fits = (3, 10) <= sys.version_info[:2] < (3, 14)
    remedy = "" if fits else "python3.11 -m venv .venv"
    return Finding("Python", OK if fits else MISSING, platform.python_version(), remedy)


def _package(name: str) -> Finding:
    version, wanted = _version(name), Requirement(_requirement(name))
    remedy = f"{_pip()} install {shlex.quote(str(wanted))}"
    if version is None:
        return Finding(name, MISSING, "not installed", remedy)
    if not wanted.specifier.contains(version, prereleases=True):
        return Finding(name, MISSING, f"{version}, needed is {wanted.specifier}", remedy)
    return Finding(name, OK, version)


def _requirement(name: str) -> str:
    """The bounds setup.cfg gives a package, so that a remedy does not bring in a version that does not fit."""
    try:
        requirements = importlib.metadata.requires("tfav") or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    needed = (line for line in requirements if "extra ==" not in line)
    return next((line for line in needed if Requirement(line).name == name), name)


def _opencv() -> Finding:
    code = "import cv2; cv2.optflow.DualTVL1OpticalFlow_create; print(cv2.__version__)"
    works, said = _run(code)
    if works:
        return Finding("OpenCV with optflow", OK, said)
    if "libGL" in said or "libgthread" in said:
        said = "the wheel needs libGL and libgthread, which this system lacks; the headless one does not"
    elif "optflow" in said:
        said = "opencv-python lies over opencv-contrib-python, which alone has optflow"
    return Finding("OpenCV with optflow", MISSING, said, opencv_remedy())


def _import_check(name: str, code: str, remedy: Callable[[], str]) -> Finding:
    works, said = _run(code)
    return Finding(name, OK, said) if works else Finding(name, MISSING, said, remedy())


def _keras_settings() -> Finding:
    others = keras_settings.set_aside()
    if not others:
        return Finding("settings of Keras", OK, f"{keras_settings.BACKEND}, channels last")
    said = "; ".join(f"{other.what} ({other.where})" for other in others)
    remedy = " ".join(dict.fromkeys(other.remedy for other in others))
    try:
        keras_settings.check_file()
    except UsageError as error:
        return Finding("settings of Keras", MISSING, str(error), remedy)
    return Finding("settings of Keras", ASIDE, f"{said}: tfav does not follow, and runs on TensorFlow", remedy)


def _gpu() -> Finding:
    works, said = _run("import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))")
    if works and said.isdecimal() and int(said) > 0:
        return Finding("GPU", OK, f"{said} visible to TensorFlow")
    return Finding("GPU", OPTIONAL, "none; training runs on the CPU", f"{_pip()} install 'tfav[gpu]'")


def _extra(name: str) -> Finding:
    version = _version(name)
    extra = {"torch": "torch", "gradio": "app", "xarray": "arrays", "zarr": "arrays"}[name]
    if version:
        return Finding(name, OK, version)
    return Finding(name, OPTIONAL, f"extra {extra}", f"{_pip()} install 'tfav[{extra}]'")


def _run(code: str) -> tuple[bool, str]:
    """Runs a line of Python; gives whether it worked and the last line it said."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = subprocesses.code_command(code)
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", env=environment)
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, said[-1] if said else f"ended with code {done.returncode}"


_IMPORTS = ("tensorflow", "keras", "tensorflow-hub", "numpy", "gdown", "scikit-learn", "joblib", "tyro", "tensorboard")

_CHECKS: list[tuple[str, str, Callable[[], str]]] = [
    (
        "imgaug",
        "from tfav.old_packages import import_imgaug as i; print(i().__version__)",
        lambda: f"{_pip()} install {shlex.quote(_requirement('imgaug'))} && {opencv_remedy()}",
    ),
    (
        "scikit-video",
        "from tfav.old_packages import import_skvideo as i; print(i('measure') and i().__version__)",
        lambda: f"{_pip()} install {shlex.quote(_requirement('scikit-video'))}",
    ),
    (
        "imageio with PyAV",
        "import av, imageio; print(f'{imageio.__version__}, av {av.__version__}')",
        lambda: f"{_pip()} install 'imageio[pyav]'",
    ),
    (
        "ffmpeg program",
        "import imageio_ffmpeg as i; print(i.get_ffmpeg_version())",
        lambda: f"{_pip()} install imageio-ffmpeg",
    ),
]
