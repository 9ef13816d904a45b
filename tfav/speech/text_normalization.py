"""Transcripts as people write them, in the one form that tokenizers, models and scores share."""

import operator
import unicodedata
from collections import Counter
from typing import Literal, NamedTuple, get_args

from tfav.errors import DataError, UsageError

Digits = Literal["keep", "refuse"]

# Typed for an apostrophe, a hyphen or the point of Catalan's l·l, which are kept inside words.
_SAME = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\uff07": "'", "\u2010": "-", "\u2011": "-", "\u2027": "\u00b7"}
)
_INSIDE_WORDS = "'-\u00b7"
_JOINERS = "\u200c\u200d"  # Persian and the scripts of India spell with them


class NormalizedText(NamedTuple):
    """A text in its common form.

    Attributes:
        text: Words with one space between them; "" where nothing can be spoken.
        changes: What was changed, kind to the number of characters.
    """

    text: str
    changes: Counter


def normalize_text(text: str, digits: Digits = "keep") -> NormalizedText:
    r"""Brings a text into the form that models are trained on and scored by.

    Unicode NFC; lower case as `str.casefold` has it, but with ß; no punctuation and no symbols, by Unicode category;
    apostrophes, hyphens and the Catalan middle dot only inside words; one space between words.

    Args:
        text: In any language and script.
        digits: `keep`, or `refuse` what has any: `10` is said as a word that nobody can tell.

    Raises:
        DataError: It has digits, which are refused.
        UsageError: Another value of `digits`.

    Example:
        >>> normalize_text("¡Señor O\u2019Neill, por favor!").text
        "señor o'neill por favor"
    """
    if digits not in get_args(Digits):
        raise UsageError(f"digits must be one of {', '.join(get_args(Digits))}. Received: digits={digits!r}")
    changes: Counter = Counter()
    composed = unicodedata.normalize("NFC", text)
    changes["accents composed"] = len(text) - len(composed)
    letters = list(map(_fold, composed))
    changes["letters made lower case"] = sum(map(operator.ne, letters, composed))
    folded = unicodedata.normalize("NFC", "".join(letters)).translate(_SAME)
    kept = []
    for place, character in enumerate(folded):
        kind = unicodedata.category(character)
        if kind[0] == "N":
            if digits == "refuse":
                raise DataError(f"{character!r} is a digit: {text.strip()[:60]!r}. Spell it out, or take digits=keep.")
            kept.append(character)
        elif kind[0] in "LM" or (character in _INSIDE_WORDS + _JOINERS and _is_inside(folded, place)):
            kept.append(character)
        elif kind == "Cf":
            changes["invisible characters dropped"] += 1
        else:
            if not character.isspace():
                changes["punctuation and symbols dropped"] += 1
            kept.append(" ")
    return NormalizedText(" ".join("".join(kept).split()), +changes)


def _fold(character: str) -> str:
    return "ß" if character in "ßẞ" else character.casefold()


def _is_inside(text: str, place: int) -> bool:
    """Whether a letter, mark or digit stands on either side."""
    sides = text[place - 1 : place] + text[place + 1 : place + 2]
    return len(sides) == 2 and place > 0 and all(unicodedata.category(one)[0] in "LMN" for one in sides)
