"""Where is kept what takes time to make or to fetch."""

import os
from pathlib import Path


def cache_folder(folder: Path | str = "") -> Path:
    """The given folder; else `$TFAV_CACHE`, else `~/.cache/tfav`."""
    return Path(folder or os.environ.get("TFAV_CACHE") or "~/.cache/tfav").expanduser()
