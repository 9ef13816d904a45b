"""From text to the class numbers of CTC and back: symbols learnt from transcripts, read from a file, or fixed."""

import dataclasses
import functools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.errors import DataError, UsageError
from tfav.io.text_files import read_text, same_form
from tfav.speech import grid

SPACE_LINE = "<space>"  # how a file of symbols writes the space


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Symbols, and their class numbers.

    Attributes:
        name: For messages.
        symbols: Each one's class number is `first` plus its place here. Characters as a text, the space among them, or
            whole words as a tuple.
        first: Class number of the first symbol.
        blank: Class number of CTC's blank.
        num_classes: Width of the model's output, blank included.
        drops_unknown: What else a text holds is left out of it; otherwise it is an error.
    """

    name: str
    symbols: str | tuple[str, ...]
    first: int = 1
    blank: int = 0
    num_classes: int = 0
    drops_unknown: bool = False

    @property
    def is_words(self) -> bool:
        """Whether symbols are words."""
        return not isinstance(self.symbols, str)

    def split(self, text: str) -> list[str]:
        """The symbols of a text in their order, unknown ones included."""
        return text.split() if self.is_words else list(text)

    def encode(self, text: str) -> np.ndarray:
        """Class numbers of a text, `[L]` int32.

        Raises:
            DataError: It holds a symbol that the tokenizer does not have, and does not drop.
        """
        numbers = {symbol: self.first + place for place, symbol in enumerate(self.symbols)}
        parts = self.split(text)
        unknown = sorted(set(parts) - numbers.keys())
        if unknown and not self.drops_unknown:
            raise DataError(
                f"{text!r} holds {' '.join(map(repr, unknown))}, which the tokenizer {self.name} does not have. "
                f"It has {self.symbols!r}."
            )
        return np.array([numbers[part] for part in parts if part in numbers], np.int32)

    def decode(self, classes) -> str:
        """The text of class numbers; blanks, padding and numbers that stand for no symbol are left out.

        It does not collapse repeats, which is the decoder's work: a text may hold the same letter twice.
        """
        places = np.asarray(classes, np.int64).ravel() - self.first
        known = [self.symbols[place] for place in places if 0 <= place < len(self.symbols)]
        return (" " if self.is_words else "").join(known)


_LETTERS = "abcdefghijklmnopqrstuvwxyz"

TOKENIZERS = {
    # The notebook's 39 symbols behind number 0, which stood for anything unknown, and the blank last: 41 classes.
    "notebook": Tokenizer("notebook", _LETTERS + "'?!123456789 ", first=1, blank=40, num_classes=41),
    "compact": Tokenizer("compact", _LETTERS + " ", num_classes=28),
}
LEARNT = ("characters", "words")  # tokenizers whose symbols the training part has
LEARNT_WORDS = "learnt"  # as a list of words
WORD_LISTS = {"grid": grid.WORDS, "none": ()}


class Learnt(NamedTuple):
    """Symbols or words of some texts: `kept`, and how often each of the others is there."""

    kept: tuple[str, ...]
    rare: Counter


def learn(texts: Iterable[str], kind: str, min_count: int = 1) -> Learnt:
    """The symbols of texts in their normalised form.

    Args:
        texts: Of the training part alone.
        kind: `characters` or `words`.
        min_count: What is there less often is not kept.

    Returns:
        Sorted by Unicode; of characters the space, which is always kept, stands last.

    Example:
        >>> learn(["buenos días", "mañana"], "characters").kept
        ('a', 'b', 'd', 'e', 'm', 'n', 'o', 's', 'u', 'í', 'ñ', ' ')
    """
    counts: Counter = Counter()
    for text in texts:
        counts.update(text.split() if kind == "words" else text)
    space = counts.pop(" ", 0) if kind == "characters" else None
    kept = tuple(sorted(symbol for symbol, count in counts.items() if count >= min_count))
    rare = Counter({symbol: count for symbol, count in counts.items() if count < min_count})
    return Learnt(kept if space is None else (*kept, " "), rare)


def store(symbols: Sequence[str]) -> str:
    """Symbols or words as `tokenizer_of` and `words_of` take them in place of a name."""
    return json.dumps(symbols if isinstance(symbols, str) else list(symbols), ensure_ascii=False)


@functools.lru_cache(maxsize=32)
def tokenizer_of(name: str) -> Tokenizer:
    """A tokenizer by its name, its file, or what `store` gave.

    A file has a symbol a line, `<space>` for the space. Where one of them is longer than a character, they are words.

    Raises:
        UsageError: There is no such file; or it is learnt from data, which are not known here.
        DataError: The file holds no symbols, or one twice.
    """
    if name in TOKENIZERS:
        return TOKENIZERS[name]
    if name in LEARNT:
        raise UsageError(f"the tokenizer {name} is learnt from the data: take the configuration of open_data(config).")
    symbols = _stored_or_read(name, "tokenizer", (*LEARNT, *TOKENIZERS))
    if not isinstance(symbols, str) and all(len(symbol) == 1 for symbol in symbols):
        symbols = "".join(symbols)
    if isinstance(symbols, str):
        symbols += "" if " " in symbols else " "
    else:
        symbols = tuple(symbols)
    label = "of the training part" if _is_stored(name) else name
    return Tokenizer(label, symbols, num_classes=len(symbols) + 1, drops_unknown=True)


@functools.lru_cache(maxsize=32)
def words_of(name: str) -> tuple[str, ...]:
    """A list of words by its name (`grid`, `none`), its file of a word a line, or what `store` gave.

    Raises:
        UsageError: There is no such file; or it is learnt from data, which are not known here.
        DataError: The file holds no words, or one twice.
    """
    if name in WORD_LISTS:
        return WORD_LISTS[name]
    if name == LEARNT_WORDS:
        raise UsageError("the words are learnt from the data: take the configuration of open_data(config).")
    return tuple(_stored_or_read(name, "words", (LEARNT_WORDS, *WORD_LISTS)))


def _is_stored(name: str) -> bool:
    return name.startswith(('"', "["))


def _stored_or_read(name: str, field: str, named: Sequence[str]) -> Sequence[str]:
    if _is_stored(name):
        return json.loads(name)
    if not Path(name).exists():
        raise UsageError(f"{field} must be one of {', '.join(named)}, or a file with one a line. Received: {name}")
    return _read_symbols(Path(name))


def _read_symbols(path: Path) -> list[str]:
    lines = [same_form(line.strip()) for line in read_text(path, "a list of symbols").split("\n")]
    symbols = [" " if line == SPACE_LINE else line for line in lines if line]
    twice = [symbol for symbol, count in Counter(symbols).items() if count > 1]
    if not symbols or twice:
        raise DataError(f"{path}: {f'holds {twice[0]!r} twice' if twice else 'no symbols in it'}. Write one a line.")
    return symbols


def required_frames(classes) -> int:
    """How many frames CTC needs at least for these labels: one each, and a blank between equal neighbours.

    Reference:
        Graves et al., 2006, Connectionist Temporal Classification, section 3.
    """
    classes = np.asarray(classes)
    return len(classes) + int((classes[1:] == classes[:-1]).sum())
