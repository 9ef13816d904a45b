"""One bad file never stops the others: whatever it raises becomes an error of that file alone, in a line."""

from collections.abc import Callable
from pathlib import Path

from tfav.errors import MediaError, TfavError
from tfav.io.partial import DiskFullError, is_disk_full

_MAX_CHARACTERS = 300


def row_of(path: Path | str, predict: Callable[..., dict], **options) -> dict:
    """Call a predictor for one file among others.

    Args:
        path: The file.
        predict: Gives the file's row.
        **options: Of `predict`.

    Returns:
        What it gives, or `path` and `error`. Ctrl-C and the like go through.
    """
    try:
        return predict(path, **options)
    except Exception as error:
        return {"path": str(path), "error": str(failure_of(path, error))}


def failure_of(path: Path | str, error: Exception) -> TfavError:
    """What an error says of the file that was worked on: itself if it is a `TfavError`, else a line that names it."""
    if isinstance(error, TfavError):
        return error
    if is_disk_full(error):
        return DiskFullError(getattr(error, "filename", None) or path)
    reason = "not enough memory for it" if isinstance(error, MemoryError) else f"not expected: {describe(error)}"
    return MediaError(path, reason, "Leave it out, or convert it with ffmpeg; the other files are not affected.")


def describe(error: BaseException) -> str:
    """The type and text of an error in one line, without a full stop."""
    text = " ".join(str(error).split()).rstrip(".")[:_MAX_CHARACTERS]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
