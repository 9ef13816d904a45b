"""Sentences to be read aloud in front of a camera: from a file in any language, or one of the lists that ship."""

from pathlib import Path
from typing import NamedTuple

from tfav.errors import DataError, UsageError
from tfav.io.text_files import read_lines
from tfav.speech.text_normalization import normalize_text

# `everyday`: 50 sentences of daily life; `grid`: 50 of GRID's form, in which each of its words stands equally often.
SHIPPED = {name: Path(__file__).with_name(f"{name}.prompts.txt") for name in ("everyday", "grid")}


class Prompts(NamedTuple):
    """A list of prompts.

    Attributes:
        texts: As the file spells them, to be shown.
        refused: Lines that cannot be read aloud, each with the reason.
    """

    texts: tuple[str, ...]
    refused: tuple[str, ...]


def read_prompts(source: Path | str) -> Prompts:
    """Reads prompts, a line each.

    Args:
        source: `everyday`, `grid`, or a text file in UTF-8. Lines with digits are refused, since nobody can tell how
            `10` is said; so are lines without a letter.

    Raises:
        UsageError: Neither a name of a list nor a file.
        DataError: No line of it can be read aloud.

    Example:
        >>> read_prompts("everyday").texts[0]
        'Good morning, how are you today?'
    """
    path = SHIPPED.get(str(source), Path(source))
    if not path.exists():
        raise UsageError(
            f"prompts must be one of {', '.join(SHIPPED)}, or a file with a sentence a line. Received: {source}"
        )
    texts, refused = [], []
    for number, line in read_lines(path, "a list of prompts"):
        said = normalize_text(line).text
        if any(map(str.isnumeric, said)):
            refused.append(f"{path}, line {number}: {line[:60]!r} has digits. Spell them out as they are to be said.")
        elif not any(map(str.isalpha, said)):
            refused.append(f"{path}, line {number}: {line[:60]!r} has no letter that could be said. Write it in words.")
        else:
            texts.append(line)
    if not texts:
        raise DataError(f"{path}: no prompts in it. Write a sentence a line." + (f" {refused[0]}" if refused else ""))
    return Prompts(tuple(texts), tuple(refused))
