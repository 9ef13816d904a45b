"""Packages that stand still, on libraries that do not: imgaug, scikit-video on NumPy 2; TF-Hub without setuptools.

imgaug 0.4.0 looks up `np.sctypes` while it is imported; scikit-video 1.1.11 uses `np.float`, `np.int` and `np.product`
when it is called. Each gets the names it misses in a stand-in for NumPy of its own; the real module is never changed
for anybody else. tensorflow-hub 0.16.1 takes one function of `pkg_resources`, which setuptools 82 has dropped and new
environments of Python 3.12 and later lack altogether.
"""

import contextlib
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator

import numpy as np
import packaging.version

from tfav.errors import TfavError

_SCTYPES = {
    "int": [np.int8, np.int16, np.int32, np.int64],
    "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
    "float": [np.float16, np.float32, np.float64],
    "complex": [np.complex64, np.complex128],
    "others": [bool, object, bytes, str, np.void],
}
_MISSING = {
    "sctypes": _SCTYPES,
    "float": float,
    "int": int,
    "bool": bool,
    "object": object,
    "complex": complex,
    "product": np.prod,
}


def import_imgaug() -> types.ModuleType:
    """Imports imgaug; afterwards `import imgaug` works anywhere in the process.

    Raises:
        TfavError: It is not installed, or broken.
    """
    return _import("imgaug")


def import_skvideo(submodule: str = "") -> types.ModuleType:
    """Imports scikit-video, or one of its modules such as `"measure"` or `"io"`.

    Raises:
        TfavError: It is not installed, or broken.
    """
    return _import(f"skvideo.{submodule}" if submodule else "skvideo")


def import_tensorflow_hub() -> types.ModuleType:
    """Imports tensorflow-hub, with or without setuptools.

    Raises:
        TfavError: It is not installed, or broken.
    """
    if importlib.util.find_spec("pkg_resources") is not None:
        return _import("tensorflow_hub")
    stand_in = types.ModuleType("pkg_resources")
    stand_in.parse_version = packaging.version.parse
    sys.modules["pkg_resources"] = stand_in
    try:
        return _import("tensorflow_hub")
    finally:
        del sys.modules["pkg_resources"]


def _import(name: str) -> types.ModuleType:
    try:
        with _names_of_old_packages(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and the like, in code that no one will mend any more
            module = importlib.import_module(name)
    except Exception as error:  # whatever goes wrong in there, the remedy is the same
        raise TfavError(f"{name} cannot be imported ({error}). Run tfav doctor for the remedy.") from error
    _give_stand_in(name.split(".")[0])
    return module


@contextlib.contextmanager
def _names_of_old_packages() -> Iterator[None]:
    added = [name for name in _MISSING if name not in vars(np)]
    for name in added:
        setattr(np, name, _MISSING[name])
    try:
        yield
    finally:
        for name in added:
            delattr(np, name)


def _give_stand_in(package: str) -> None:
    """Lets the package's modules see the names for good, and nobody else."""
    stand_in = types.ModuleType("numpy")
    stand_in.__getattr__ = lambda name: getattr(np, name)
    for name, value in _MISSING.items():
        if name not in vars(np):
            setattr(stand_in, name, value)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == package and getattr(module, "np", None) is np:
            module.np = stand_in
