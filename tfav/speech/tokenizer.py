"""From text to the class numbers of CTC and back. Two tokenizers: the course notebook's and a compact one."""

import dataclasses

import numpy as np

from tfav.errors import DataError


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """Letters as symbols, and their class numbers.

    Attributes:
        name: In `TOKENIZERS`.
        symbols: Each one's class number is `first` plus its place here.
        first: Class number of the first symbol.
        blank: Class number of CTC's blank.
        num_classes: Width of the model's output, blank included.
    """

    name: str
    symbols: str
    first: int
    blank: int
    num_classes: int

    def encode(self, text: str) -> np.ndarray:
        """Class numbers of a text, `[len(text)]` int32.

        Raises:
            DataError: It holds a symbol that the tokenizer does not have.
        """
        unknown = sorted(set(text) - set(self.symbols))
        if unknown:
            raise DataError(
                f"{text!r} holds {' '.join(map(repr, unknown))}, which the tokenizer {self.name} does not have. "
                f"It has {self.symbols!r}."
            )
        return np.array([self.first + self.symbols.index(symbol) for symbol in text], np.int32)

    def decode(self, classes) -> str:
        """The text of class numbers; blanks, padding and numbers that stand for no symbol are left out.

        It does not collapse repeats, which is the decoder's work: a text may hold the same letter twice.
        """
        places = np.asarray(classes, np.int64).ravel() - self.first
        return "".join(self.symbols[place] for place in places if 0 <= place < len(self.symbols))


_LETTERS = "abcdefghijklmnopqrstuvwxyz"

TOKENIZERS = {
    # The notebook's 39 symbols behind number 0, which stood for anything unknown, and the blank last: 41 classes.
    "notebook": Tokenizer("notebook", _LETTERS + "'?!123456789 ", first=1, blank=40, num_classes=41),
    "compact": Tokenizer("compact", _LETTERS + " ", first=1, blank=0, num_classes=28),
}


def required_frames(classes) -> int:
    """How many frames CTC needs at least for these labels: one each, and a blank between equal neighbours.

    Reference:
        Graves et al., 2006, Connectionist Temporal Classification, section 3.
    """
    classes = np.asarray(classes)
    return len(classes) + int((classes[1:] == classes[:-1]).sum())
