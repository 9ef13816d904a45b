"""Where is kept what takes time to make or to fetch."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfav.io.env_vars import variable


def cache_folder(folder: Path | str = "") -> Path:
    """The given folder; else `$TFAV_CACHE`, else `~/.cache/tfav`."""
    return Path(folder or variable("TFAV_CACHE") or "~/.cache/tfav").expanduser()


def keyed_path(folder: Path, name: str, *parts, weights: Iterable[np.ndarray] = ()) -> Path:
    """A path in a cache that nothing else has than what was made of the same parts.

    Args:
        folder: The cache.
        name: What the path's name begins with.
        *parts: All that decides the content: paths, which count as absolute ones, and what `repr` tells apart.
        weights: Arrays that decide it as well, such as those of a network.

    Returns:
        `folder / "name-0123456789ab"`.

    Example:
        >>> keyed_path(Path("cache"), "frames", 10, (64, 64)).name
        'frames-dc1e7fb9161d'
    """
    stated = [os.fspath(part.resolve()) if isinstance(part, Path) else part for part in parts]
    digest = hashlib.sha256(repr(stated).encode())
    for array in weights:
        digest.update(np.ascontiguousarray(array).tobytes())
    return folder / f"{name}-{digest.hexdigest()[:12]}"
