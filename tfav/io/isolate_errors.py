"""One bad file never stops the others: whatever it raises becomes an error of that file alone, in a line."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tfav.errors import MediaError, TfavError
from tfav.io.atomic_write import DiskFullError, is_disk_full

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


def answers_of(items: list, answer: Callable[[list], Iterable], path_of: Callable = Path) -> Iterator[tuple]:
    """Ask about many items at once, and go on past those that fail.

    Where items share a batch, an error does not tell whose it is: then the first one without an answer is asked about
    alone, and the others together again.

    Args:
        items: What is asked about.
        answer: From some of the items to an iterable of their answers, in order.
        path_of: From an item to its file.

    Yields:
        `(item, answer)` in order; in place of the answer of an item that failed, its `TfavError`.
    """
    alone = False
    while items:
        asked, count = items[:1] if alone else items, 0
        try:
            for found in answer(asked):
                yield asked[count], found
                count += 1
            alone = False
        except Exception as error:
            if alone:
                yield asked[0], failure_of(path_of(asked[0]), error)
                count = 1
            alone = not alone
        items = items[count:]


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
