"""Where is kept what takes time to make or to fetch."""

from pathlib import Path

from tfav.io.env_vars import variable


def cache_folder(folder: Path | str = "") -> Path:
    """The given folder; else `$TFAV_CACHE`, else `~/.cache/tfav`."""
    return Path(folder or variable("TFAV_CACHE") or "~/.cache/tfav").expanduser()
