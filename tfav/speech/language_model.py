"""N-gram language models of words or characters: estimated from a text, read from and written to ARPA files."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfav.errors import DataError, UsageError
from tfav.io.atomic_write import partial_file
from tfav.io.text_files import read_text

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
_LN10 = math.log(10)
_NEVER = -99.0  # what ARPA files write for the logarithm of 0
MAX_ORDER = 8


class LanguageModel:
    """Probabilities of the next token by the tokens before it, with back-off.

    Attributes:
        order: Longest n-gram; `order - 1` tokens of context count.
        vocabulary: Known tokens, without `<s>`, `</s>` and `<unk>`.
    """

    def __init__(self, ngrams: dict[tuple[str, ...], tuple[float, float]]):
        """Takes n-grams to `(log10 of the probability, log10 of the back-off weight)`."""
        self._ngrams = ngrams
        self.order = max(map(len, ngrams))
        self.vocabulary = frozenset(ngram[0] for ngram in ngrams if len(ngram) == 1) - {START, END, UNKNOWN}

    @property
    def is_of_characters(self) -> bool:
        """Whether its tokens are characters, and not words."""
        return all(len(token) == 1 for token in self.vocabulary)

    def log_prob(self, token: str, context: Sequence[str] = ()) -> float:
        """Natural logarithm of the probability of a token after a context that begins, if at all, with `<s>`.

        Example:
            >>> model = estimate(["lay green at a", "lay blue at b"], order=2)
            >>> model.log_prob("lay", ["<s>"]) > model.log_prob("blue", ["<s>"])
            True
        """
        known = self._ngrams
        if (token,) not in known:
            token = UNKNOWN
        context = tuple(one if (one,) in known else UNKNOWN for one in self.context(context))
        total = 0.0
        while True:
            found = known.get((*context, token))
            if found is not None:
                return (total + found[0]) * _LN10
            if not context:
                return _NEVER * _LN10  # a file without <unk>
            total += known.get(context, (0.0, 0.0))[1]
            context = context[1:]

    def context(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """The last tokens that the model takes into account."""
        return tuple(tokens[max(0, len(tokens) - self.order + 1) :])

    def score(self, tokens: Sequence[str]) -> float:
        """Natural logarithm of the probability of a whole sentence, its end included."""
        sentence = [START, *tokens, END]
        return sum(self.log_prob(token, sentence[:place]) for place, token in enumerate(sentence) if place)

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """The exponential of the mean of minus `log_prob` over all tokens and ends of sentences."""
        sentences = [list(sentence) for sentence in sentences]
        count = sum(len(sentence) + 1 for sentence in sentences)
        return math.exp(-sum(map(self.score, sentences)) / count)

    def write_arpa(self, path: Path | str) -> None:
        """Writes the model as an ARPA file, which other tools read too."""
        by_order = [sorted(ngram for ngram in self._ngrams if len(ngram) == n) for n in range(1, self.order + 1)]
        with partial_file(Path(path)) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write("\\data\\\n" + "".join(f"ngram {n}={len(found)}\n" for n, found in enumerate(by_order, 1)))
            for n, found in enumerate(by_order, 1):
                file.write(f"\n\\{n}-grams:\n")
                for ngram in found:
                    probability, backoff = self._ngrams[ngram]
                    end = f"\t{backoff:.7f}" if n < self.order and backoff else ""
                    file.write(f"{probability:.7f}\t{' '.join(ngram)}{end}\n")
            file.write("\n\\end\\\n")


def estimate(sentences: Iterable[str | Sequence[str]], order: int = 3) -> LanguageModel:
    """Estimates a model by interpolated modified Kneser-Ney smoothing.

    Chen and Goodman, An empirical study of smoothing techniques for language modeling, 1999, section 3; the lowest
    order is interpolated with equal probabilities of all tokens, which leaves a share for unknown ones.

    Args:
        sentences: Texts, whose words are the tokens, or sequences of tokens.
        order: 1 to 8.

    Raises:
        UsageError: Another order.
        DataError: There is no token.

    Example:
        >>> estimate(["lay green at a", "lay blue at b"], order=2).order
        2
    """
    if not 1 <= order <= MAX_ORDER:
        raise UsageError(f"order must be 1 to {MAX_ORDER}. Received: order={order}")
    counts = [Counter() for _ in range(order)]
    for sentence in sentences:
        tokens = [START, *(sentence.split() if isinstance(sentence, str) else sentence), END]
        if len(tokens) == 2:
            continue
        for n in range(1, order + 1):
            counts[n - 1].update(tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1))
    if not counts[0]:
        raise DataError("There is no word to estimate a language model from.")
    for lower, higher in itertools.pairwise(counts):  # how many tokens stand before, not how often
        before = Counter(ngram[1:] for ngram in higher)
        lower.update({ngram: before[ngram] - lower[ngram] for ngram in lower if ngram[0] != START})
    del counts[0][(START,)]
    counts[0][(UNKNOWN,)] = 0
    return LanguageModel(_interpolate(counts))


def _interpolate(counts: list[Counter]) -> dict[tuple[str, ...], tuple[float, float]]:
    """Probabilities and back-off weights of all n-grams; the weight of a context stands at its own n-gram."""
    probabilities: dict[tuple[str, ...], float] = {(): 1 / len(counts[0])}
    backoffs: dict[tuple[str, ...], float] = {}
    for level in counts:
        discounts = _discounts(level)
        totals, kinds = Counter(), Counter()
        for ngram, count in level.items():
            totals[ngram[:-1]] += count
            kinds[ngram[:-1], min(count, 3)] += 1
        for context, total in totals.items():
            backoffs[context] = sum(discounts[count] * kinds[context, count] for count in (1, 2, 3)) / total
        probabilities |= {
            ngram: (count - discounts[min(count, 3)]) / totals[ngram[:-1]]
            + backoffs[ngram[:-1]] * probabilities[ngram[1:]]
            for ngram, count in level.items()
        }
    del probabilities[()]
    probabilities[(START,)] = 0.0
    return {ngram: (_log10(share), _log10(backoffs.get(ngram, 1.0))) for ngram, share in probabilities.items()}


def _discounts(level: Counter) -> tuple[float, float, float, float]:
    """What is taken off counts of 0, 1, 2, and 3 or more; a half each where the text is too small to tell."""
    having = Counter(level.values())
    one, two, three, four = (having[count] for count in (1, 2, 3, 4))
    if not all((one, two, three, four)):
        return 0.0, 0.5, 0.5, 0.5
    share = one / (one + 2 * two)
    found = (1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three)
    return (0.0, *(min(max(discount, 0.05), count - 0.05) for count, discount in enumerate(found, 1)))


def _log10(share: float) -> float:
    return math.log10(share) if share > 0 else _NEVER


def read_arpa(path: Path | str) -> LanguageModel:
    """Reads an ARPA file of any tool.

    Raises:
        DataError: It is none, or is cut short; the line names what is wrong and where.
        UsageError: The file is not there.
    """
    lines = read_text(path, "a language model in ARPA format").split("\n")
    declared = {int(match[1]): int(match[2]) for line in lines[:50] if (match := _COUNT.fullmatch(line.strip()))}
    if not declared:
        raise DataError(f"{path}: not an ARPA file, which begins with \\data\\ and lines such as `ngram 1=1000`.")
    ngrams: dict[tuple[str, ...], tuple[float, float]] = {}
    found, order = Counter(), 0
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if match := _SECTION.fullmatch(line):
            order = int(match[1])
        elif line == "\\end\\":
            break
        elif line and order:
            columns = line.split()
            try:
                backoff = float(columns[order + 1]) if len(columns) > order + 1 else 0.0
                ngrams[tuple(columns[1 : order + 1])] = (float(columns[0]), backoff)
            except (IndexError, ValueError) as error:
                raise DataError(f"{path}, line {number}: not an n-gram of order {order}: {line[:80]!r}") from error
            found[order] += 1
    short = [n for n, count in declared.items() if found[n] != count]
    if short:
        told = f"it says {declared[short[0]]} n-grams of order {short[0]} and has {found[short[0]]}"
        raise DataError(f"{path}: cut short or spoilt: {told}. Copy it again.")
    return LanguageModel(ngrams)


_COUNT, _SECTION = re.compile(r"ngram\s+(\d+)\s*=\s*(\d+)"), re.compile(r"\\(\d+)-grams:")


def characters(text: str) -> list[str]:
    """The tokens of a model of characters; a space is `_`, since ARPA files have spaces between tokens."""
    return list(text.replace(" ", "_"))
