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
