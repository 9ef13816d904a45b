"""What may be said: sentences of slots, or of a list of words. Read from a file.

    bin lay place set        a line is a slot, its words separated by spaces: a sentence has one word of each slot
    blue green red white
    # a comment

A file whose only line begins with `*` is a word list: `* yes no perhaps` allows any number of these words in any order.
"""

import dataclasses
from pathlib import Path

from tfav.errors import DataError
from tfav.io.text_files import read_lines
from tfav.speech.tokenizer import Tokenizer

GRID_GRAMMAR = Path(__file__).with_name("grid.grammar")


@dataclasses.dataclass(frozen=True)
class Grammar:
    """Sentences that may be said.

    Attributes:
        slots: The words of each slot. Of a word list: one slot.
        loop: Whether it is a word list.
        source: The file, for messages.
    """

    slots: tuple[tuple[str, ...], ...]
    loop: bool = False
    source: str = ""

    def __post_init__(self):
        """Refuses empty slots and a word that stands twice in one.

        Raises:
            DataError: Naming the slot.
        """
        if not self.slots:
            raise DataError(f"{self.source or 'the grammar'}: no words in it.")
        for number, slot in enumerate(self.slots, 1):
            twice = [word for word in dict.fromkeys(slot) if slot.count(word) > 1]
            if not slot or twice:
                what = f"holds {twice[0]!r} twice" if twice else "is empty"
                raise DataError(f"{self.source or 'the grammar'}: slot {number} {what}.")

    def check(self, symbols: Tokenizer) -> "Grammar":
        """The grammar itself, if the tokenizer can spell it.

        Raises:
            DataError: Naming the first word that it cannot.
        """
        for number, slot in enumerate(self.slots, 1):
            for word in slot:
                unknown = sorted(set(symbols.split(word)) - (set(symbols.symbols) - {" "}))
                if unknown:
                    raise DataError(
                        f"{self.source or 'the grammar'}, slot {number}: unknown word {word!r}; the tokenizer "
                        f"{symbols.name} has no {' '.join(map(repr, unknown))}."
                    )
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """All words, each once, in order."""
        return tuple(dict.fromkeys(word for slot in self.slots for word in slot))


def read_grammar(path: Path | str) -> Grammar:
    """Reads a grammar or word list.

    Raises:
        UsageError: There is no such file.
        DataError: It holds no words, or a word twice in a slot.
    """
    path = Path(path)
    lines = read_lines(path, "a grammar")
    rows = [words for _, line in lines if (words := tuple(line.split("#", 1)[0].lower().split()))]
    loops = [row for row in rows if row[0] == "*"]
    if loops and (len(rows) > 1 or len(loops[0]) < 2):
        raise DataError(f"{path}: a word list is one line, `* yes no perhaps`, and nothing else.")
    if loops:
        return Grammar((tuple(dict.fromkeys(loops[0][1:])),), loop=True, source=str(path))
    return Grammar(tuple(rows), source=str(path))


def grammar_of(name: str, symbols: Tokenizer) -> Grammar | None:
    """The grammar of a file, checked for a tokenizer; an empty name is GRID's own, `none` is none."""
    return None if name == "none" else read_grammar(name or GRID_GRAMMAR).check(symbols)
