"""What goes wrong with files of weights, as one line that names the file and the remedy."""

from tfav.errors import TfavError


class WeightsError(TfavError):
    """A file of weights that cannot be read, is not safe to read, or does not fit the model.

    Args:
        path: The file, folder or address, shown in full; None where the fault is not in one file.
        reason: What is wrong with it, without a full stop.
        remedy: What to do about it; leave empty where nothing general can be said.
    """

    def __init__(self, path, reason: str, remedy: str = ""):
        super().__init__(path, reason, remedy)  # all three, so that the error survives pickling
        self.path = None if path is None else str(path)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        where = "" if self.path is None else f"{self.path}: "
        return f"{where}{self.reason}." + (f" {self.remedy}" if self.remedy else "")


class DamagedError(WeightsError):
    """A file that the library for its format could not read."""


def first_line(error: Exception) -> str:
    """What an error of a library says, in a line of at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def few(items, most: int = 6) -> str:
    """The first of some items, and how many more there are."""
    items = [str(item) for item in items]
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def check_built(model, path) -> None:
    """Refuses a model that has no weights yet.

    Raises:
        WeightsError: It was never called.
    """
    if not model.built:
        reason = f"model {model.name!r} is not built yet, so it has no weights to fill"
        raise WeightsError(path, reason, "Call it once.")
