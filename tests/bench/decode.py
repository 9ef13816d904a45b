"""What a language model mends in made posteriors of 200 free sentences over 1,000 words, and how long it takes.

Words follow one another by a random chain, eight likely successors each. A model of 3-grams is estimated from 20,000
other sentences. Of each letter the posteriors are right more often than not, like those of a lip reader whose letters
look alike. `make bench BENCH=decode`.
"""

import argparse
import time

import numpy as np

from tests.bench.rounds import describe_machine, print_row
from tfav.metrics.word_error_rate import evaluate
from tfav.speech.language_model import estimate
from tfav.speech.tokenizer import Tokenizer
from tfav.systems.lipnet import decoding

LETTERS = "abcdefghijklmnopqrstuvwxyz "
SYMBOLS = Tokenizer("made", LETTERS, num_classes=28, drops_unknown=True)


def make_words(rng: np.random.Generator, count: int = 1000) -> list[str]:
    """Made words of two to four syllables, each once."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = (rng.choice(list("bcdfghklmnprstv")) + rng.choice(list("aeiou")) for _ in range(rng.integers(2, 5)))
        words["".join(syllables)] = None
    return list(words)


def make_sentences(words: list[str], successors: np.ndarray, rng: np.random.Generator, count: int) -> list[str]:
    """Sentences of three to six words along the chain; one step in ten goes anywhere."""
    sentences = []
    for _ in range(count):
        place, said = int(rng.integers(len(words))), []
        for _ in range(rng.integers(3, 7)):
            said.append(words[place])
            place = int(rng.integers(len(words)) if rng.random() < 0.1 else rng.choice(successors[place]))
        sentences.append(" ".join(said))
    return sentences


def make_posteriors(text: str, rng: np.random.Generator, right: float = 0.7) -> np.ndarray:
    """Log-probabilities `[T, 28]`: three frames a letter, one of them a blank; three in ten look like others."""
    rows = []
    for letter, number in zip(text, SYMBOLS.encode(text), strict=True):
        row = rng.uniform(0, 0.02, 28)
        other = int(rng.integers(1, 27))
        lead = rng.uniform(0.4, 0.8)
        is_right = letter == " " or rng.random() < right
        row[number] += lead if is_right else 0.35
        row[other] += 0.25 if is_right else lead
        blank = np.full(28, 0.002)
        blank[0] = 1.0
        rows += [row / row.sum(), row / row.sum(), blank / blank.sum()]
    return np.log(np.array(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=200)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    words = make_words(rng)
    successors = rng.integers(len(words), size=(len(words), 8))
    model = estimate(make_sentences(words, successors, rng, 20_000), 3)
    kept, scored = (make_sentences(words, successors, rng, count) for count in (50, arguments.sentences))
    clips = [(text, make_posteriors(text, rng)) for text in kept]
    settings, _ = decoding.tune(clips, SYMBOLS, decoding.LanguageSettings(model))
    posteriors = [make_posteriors(text, rng) for text in scored]
    scorer = decoding.scorer_of(settings, SYMBOLS)
    ways = {
        "greedy": lambda rows: decoding.greedy(rows, SYMBOLS),
        "beam of 50": lambda rows: decoding.decode_beam(rows, SYMBOLS, None),
        "beam of 50, 3-gram": lambda rows: decoding.decode_beam(rows, SYMBOLS, scorer),
    }
    for name, decode in ways.items():
        started = time.process_time()
        read = [decode(rows) for rows in posteriors]
        seconds = time.process_time() - started
        scores = evaluate(scored, read)
        frames = sum(map(len, posteriors))
        print_row(
            {
                "what": f"made sentences over 1,000 words, {name}",
                "wer": round(scores["wer"], 4),
                "interval": scores["wer_interval"],
                "weight": settings.weight if "gram" in name else 0,
                "bonus": settings.bonus if "gram" in name else 0,
                "closed": settings.closed if "gram" in name else False,
                "ms_for_75_frames": round(1000 * seconds / frames * 75, 1),
                "machine": describe_machine(),
            }
        )


if __name__ == "__main__":
    main()
