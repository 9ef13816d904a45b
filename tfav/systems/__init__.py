"""Floor 4: the systems. Each hands out a `Config`, plain Keras models and plain `tf.data` data sets.

A folder in here whose package has a `SYSTEM` is a system; systems never import each other.
"""

import importlib
import pkgutil

from tfav.errors import UsageError
from tfav.training.system import System

SYSTEMS: dict[str, System] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").SYSTEM
    for module in pkgutil.iter_modules(__path__)
    if module.ispkg
}


def load(name: str) -> System:
    """Finds a system by name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in SYSTEMS:
        raise UsageError(f"unknown system {name!r}. Valid systems: {', '.join(SYSTEMS)}.")
    return SYSTEMS[name]
