"""Text on consoles of any encoding: what one cannot show is replaced, and never ends the work it tells of.

Windows' cp1252, de_DE.ISO-8859-1, LANG=C, a log file: a class called 日本語 or a progress bar would raise
`UnicodeEncodeError` there, after the epoch it tells of.
"""

import codecs
import sys

HANDLER = "tfav.replace"
# Of bars and tables; everything else is spelt as in a Python string.
_PLAIN = str.maketrans(dict.fromkeys("─━═╌╍┄┅┈┉", "-") | dict.fromkeys("│┃║╎╏", "|") | {"•": "*", "…": "..."})


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell, error.object[error.start : error.end])), error.end


def _spell(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    if "─" <= char <= "╿":  # box drawing: what is no line is a corner
        return plain if (plain := char.translate(_PLAIN)) != char else "+"
    plain = char.translate(_PLAIN)
    return plain if plain != char else char.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(HANDLER, _replace)


def never_fail() -> None:
    """Lets all that this process prints replace what its streams cannot show; for commands, not for libraries."""
    for stream in (sys.stdout, sys.stderr):
        # A notebook's streams take everything; other handlers than these two were somebody's choice.
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors=HANDLER)


def can_show(text: str) -> bool:
    """Whether stdout has all the characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def say(text: object) -> None:
    """Prints a line to stdout, whatever its encoding."""
    try:
        print(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        print(str(text).encode(encoding, HANDLER).decode(encoding))
