"""Text that people write: lists, alignments, grammars, class names; and names that stand in text files.

Editors and systems differ in what they make of the same text. Windows begins a file with a byte order mark, writes
UTF-16 and ends lines with two characters; macOS stores an accented letter of a file name in two parts. All text that
tfav reads goes through here and comes out in one form; text that it writes goes through here as well, since the names
of old archives hold bytes that are no UTF-8.
"""

import codecs
import os
import re
import unicodedata
from pathlib import Path

from tfav.errors import DataError, UsageError

# UTF-32's little-endian mark begins with UTF-16's, so it is asked for first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARK = "\ufeff"  # also found inside files that were joined


def same_form(text: str) -> str:
    """The text with every accented letter as one character (NFC), in which two spellings of one name are equal."""
    return unicodedata.normalize("NFC", text)


def read_text(path: Path | str, what: str = "a text file") -> str:
    """Reads a text file that a person may have written, with any program on any system.

    Args:
        path: UTF-8, with or without a byte order mark; or UTF-16 or UTF-32 with one.
        what: What the file is read as, for messages: `a split list`.

    Returns:
        The text without byte order marks; lines end in a line feed, letters are in `same_form`.

    Raises:
        UsageError: The file is not there or cannot be read.
        DataError: It is no text in one of these encodings.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise UsageError(f"{path}: a folder, and {what} is a file. Name the file.") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"{path}: cannot be read as {what} ({reason}). Check the spelling.") from error
    mark, encoding = next((known for known in _MARKS if content.startswith(known[0])), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a text file in UTF-8, so not {what}. Save it as UTF-8.") from error
    if "\0" in text:  # UTF-16 without its mark, or no text at all
        raise DataError(f"{path}: not a text file in UTF-8, so not {what}. Save it as UTF-8.")
    return same_form(text.replace(_MARK, "").replace("\r\n", "\n").replace("\r", "\n"))


def read_lines(path: Path | str, what: str = "a text file") -> list[tuple[int, str]]:
    """Reads the lines that are not blank, each with its number from 1 and without spaces around it.

    Raises:
        UsageError: As `read_text`.
        DataError: As `read_text`.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path, what).split("\n"), 1)]
    return [(number, line) for number, line in lines if line]


def shown(text) -> str:
    r"""Text that any file and any page can hold: bytes of a name that are no UTF-8 are spelt, as in `caf\xe9.mp4`."""
    spelt = re.sub("[\udc80-\udcff]", lambda lone: f"\\x{ord(lone[0]) - 0xDC00:02x}", str(text))
    return spelt.encode("utf-8", "backslashreplace").decode("utf-8")


def for_plots(text) -> str:
    """Text as `shown`, for Matplotlib, which would take what is between two dollar signs for a formula."""
    return shown(text).replace("$", r"\$")


def write_text(path: Path | str, text: str) -> None:
    """Writes text as UTF-8, as `shown` gives it."""
    Path(path).write_text(shown(text), encoding="utf-8", newline="\n")


def write_json_text(path: Path | str, text: str) -> None:
    """Writes JSON as UTF-8; a name's byte that is no UTF-8 becomes an escape of JSON's, and is read back as it was."""
    Path(path).write_bytes(text.encode("utf-8", "backslashreplace"))
