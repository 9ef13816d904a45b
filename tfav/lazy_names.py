"""Public names of a package, loaded when they are first used; a function wins over the file of its own name."""

import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import lazy_loader


class _Package(ModuleType):
    """A package in which `train`, say, stays the function after `train.py` was imported.

    Python binds each imported file to its package under the file's name, so what a name means would hang on who
    imported what before.
    """

    def __setattr__(self, name: str, value) -> None:
        if isinstance(value, ModuleType) and name in vars(self).get("_functions", ()):
            value = vars(value)[name]
        super().__setattr__(name, value)


def attach(package: str, submodules: Sequence[str] = (), submod_attrs: Mapping[str, Sequence[str]] | None = None):
    """As `lazy_loader.attach`; to be assigned to `__getattr__, __dir__, __all__` of the package.

    Args:
        package: Its `__name__`.
        submodules: Files that are public as such.
        submod_attrs: Name of a file to its public names.
    """
    submod_attrs = dict(submod_attrs or {})
    functions = {name for names in submod_attrs.values() for name in names}
    vars(sys.modules[package])["_functions"] = frozenset(functions & set(submod_attrs))
    sys.modules[package].__class__ = _Package
    return lazy_loader.attach(package, submodules=set(submodules) - functions, submod_attrs=submod_attrs)
