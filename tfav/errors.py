"""Errors a person can act on: one line that names the file and the remedy.

The command line prints the message alone and leaves with `exit_code`: 2 for a wrong call (bad flag, unknown preset, a
path that is not there), 1 for a failure on the way (a corrupt video, a full disk). All of them are `ValueError`s, so
scripts that catch what Keras raises for bad input catch these as well.
"""


class TfavError(ValueError):
    """Base of every error tfav raises for a cause outside its own code."""

    exit_code = 1


class UsageError(TfavError):
    """The call itself is wrong: an unknown preset, field or system, a missing or unsuitable path."""

    exit_code = 2


class DataError(TfavError):
    """A data set that cannot be used as it stands: an empty folder, a class without videos, a leaking split."""


class MediaError(TfavError):
    """A media file that cannot be read or written.

    Args:
        path: The file, shown in full.
        reason: What is wrong with it, without a full stop.
        remedy: What to do about it; leave empty where nothing general can be said.
    """

    def __init__(self, path, reason: str, remedy: str = ""):
        super().__init__(path, reason, remedy)  # all three, so that the error survives pickling between processes
        self.path = str(path)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}." + (f" {self.remedy}" if self.remedy else "")
