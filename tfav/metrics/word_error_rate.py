"""Word and character error rates of recognised sentences, counted by jiwer.

Conventions: one string for each clip, words separated by spaces. Rates are those of the whole corpus: all errors over
all reference words (or characters), not the mean of the sentences' rates; they may exceed 1. 95 % intervals come from
resampling whole clips (bootstrap, percentiles), since words of one clip stand or fall together.
"""

from collections.abc import Sequence

import jiwer
import numpy as np

from tfav.errors import UsageError

_RESAMPLES = 2000


def validate(references: Sequence[str], predictions: Sequence[str]) -> None:
    """Refuses lists that do not fit one another.

    Raises:
        UsageError: Saying which, and guessing the mistake where it is a common one.
    """
    for name, texts in (("references", references), ("predictions", predictions)):
        if isinstance(texts, str) or any(not isinstance(text, str) for text in texts):
            raise UsageError(f"{name} must be a list of strings, one for each clip. Are these class numbers?")
    if len(references) != len(predictions):
        raise UsageError(f"need one prediction for each reference. Received: {len(predictions)} and {len(references)}")
    if not len(references):
        raise UsageError("there is nothing to score.")
    empty = [index for index, text in enumerate(references) if not text.strip()]
    if empty:
        raise UsageError(f"reference {empty[0]} is empty; an error rate needs words. Are the lists swapped?")


def evaluate(references: Sequence[str], predictions: Sequence[str], *, seed: int = 0) -> dict:
    """All scores at once, JSON-ready.

    Args:
        references: What was said.
        predictions: What was recognised; may be empty strings.
        seed: Of the resampling.

    Returns:
        `clips`; `wer` and `cer` with `wer_interval` and `cer_interval` (95 %); `words`: `count` of the reference,
            `substitutions`, `deletions` and `insertions`; `sentences_right`: share of clips without an error.

    Raises:
        UsageError: See `validate`.

    Reference:
        Bisani and Ney, 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".
    """
    validate(references, predictions)
    references = [" ".join(text.split()) for text in references]
    predictions = [" ".join(text.split()) for text in predictions]
    words, characters = (
        _count(process, references, predictions) for process in (jiwer.process_words, jiwer.process_characters)
    )
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(references), (_RESAMPLES, len(references)))
    result = {"clips": len(references)}
    for name, counts in (("wer", words), ("cer", characters)):
        errors, totals = counts[:, :3].sum(1), counts[:, 3]
        rates = errors[chosen].sum(1) / totals[chosen].sum(1)
        result[name] = float(errors.sum() / totals.sum())
        result[f"{name}_interval"] = [float(value) for value in np.percentile(rates, (2.5, 97.5))]
    names = ("substitutions", "deletions", "insertions", "count")
    result["words"] = {name: int(total) for name, total in zip(names, words.sum(0), strict=True)}
    right = [reference == prediction for reference, prediction in zip(references, predictions, strict=True)]
    result["sentences_right"] = float(np.mean(right))
    return result


def word_errors(references: Sequence[str], predictions: Sequence[str]) -> list[int]:
    """Substitutions, deletions and insertions of words in each clip together.

    Raises:
        UsageError: See `validate`.
    """
    validate(references, predictions)
    return _count(jiwer.process_words, references, predictions)[:, :3].sum(1).tolist()


def _count(process, references: Sequence[str], predictions: Sequence[str]) -> np.ndarray:
    """Substitutions, deletions, insertions and reference length of each clip, `[N, 4]` int64."""
    rows = []
    for reference, prediction in zip(references, predictions, strict=True):
        found = process(reference, prediction)
        rows.append(
            (found.substitutions, found.deletions, found.insertions, found.hits + found.substitutions + found.deletions)
        )
    return np.array(rows, np.int64)
