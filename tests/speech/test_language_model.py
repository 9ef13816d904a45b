"""N-gram models against their definition, and files of other tools."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from tfav.errors import DataError, UsageError
from tfav.speech.language_model import END, START, UNKNOWN, characters, estimate, read_arpa

TEXT = [
    "lay green at a now",
    "lay blue at b",
    "set green by b now",
    "lay green by a",
    "",
    "bin blue at a soon",
    "a a a",
]


@pytest.fixture(scope="module")
def model():
    return estimate(TEXT, order=3)


def by_definition(text, order):
    """A function of `(token, context)` by the book's recursion, with the discounts of a half that a small text gets."""
    sentences = [[START, *line.split(), END] for line in text if line]
    grams = [
        Counter(tuple(s[i : i + n]) for s in sentences for i in range(len(s) - n + 1)) for n in range(1, order + 1)
    ]
    vocabulary = {token for sentence in sentences for token in sentence} - {START} | {UNKNOWN}

    def count(gram):
        if len(gram) == order or gram[0] == START:
            return grams[len(gram) - 1][gram]
        return sum(longer[1:] == gram for longer in grams[len(gram)])

    def probability(token, context):
        if len(context) == order - 1:
            counts = {one: grams[order - 1][(*context, one)] for one in vocabulary}
        else:
            counts = {one: count((*context, one)) for one in vocabulary}
        total = sum(counts.values())
        lower = probability(token, context[1:]) if context else 1 / len(vocabulary)
        if not total:
            return lower
        discount = sum(0.5 for number in counts.values() if number)
        return max(counts[token] - 0.5, 0) / total + discount / total * lower

    return vocabulary, probability


def test_probabilities_are_those_of_the_definition():
    text = ["a b", "a c", "b a"]  # too small to estimate discounts: a half each
    model = estimate(text, order=3)
    vocabulary, probability = by_definition(text, 3)
    contexts = [(START,), (START, "a"), ("a",), ("a", "b"), ("b", "a"), (START, "b"), ()]
    for context, token in itertools.product(contexts, vocabulary):
        assert model.log_prob(token, context) == pytest.approx(math.log(probability(token, context)), abs=1e-9)


def test_probabilities_add_up_to_one(model):
    tokens = [*model.vocabulary, END, UNKNOWN]
    for context in [(START,), ("lay", "green"), ("at",), ("a", "a"), ("never", "said"), (START, "lay")]:
        assert sum(math.exp(model.log_prob(token, context)) for token in tokens) == pytest.approx(1)


def test_what_was_said_is_likelier_and_unknown_words_are_not_impossible(model):
    assert model.score(["lay", "green", "at", "b"]) > model.score(["green", "lay", "b", "at"])
    assert -20 < model.log_prob("elephant", [START]) == model.log_prob("giraffe", [START])
    assert model.perplexity([line.split() for line in TEXT]) < model.perplexity([["now", "soon", "set"]])
    assert model.order == 3 and "now" in model.vocabulary and START not in model.vocabulary


def test_a_file_gives_the_model_back(model, tmp_path):
    model.write_arpa(tmp_path / "x.arpa")
    again = read_arpa(tmp_path / "x.arpa")
    rng = np.random.default_rng(0)
    words = [*sorted(model.vocabulary), "elephant"]
    for _ in range(50):
        sentence = list(rng.choice(words, rng.integers(1, 6)))
        assert again.score(sentence) == pytest.approx(model.score(sentence), abs=1e-5)


def test_a_file_of_another_tool(tmp_path):
    """Tabs or spaces, a comment before, back-off weights left out, an unknown word without <unk>."""
    lines = (
        "made by hand\n\n\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-99 <s> -0.3\n-0.5\t</s>\n-0.4 a -0.2\n-0.7\tb\n"
    )
    (tmp_path / "x.arpa").write_text(lines + "\n\\2-grams:\n-0.1 <s> a\n-0.6\ta b\n\n\\end\\\n")
    model = read_arpa(tmp_path / "x.arpa")
    ln10 = math.log(10)
    assert model.log_prob("a", [START]) == pytest.approx(-0.1 * ln10)
    assert model.log_prob("b", [START]) == pytest.approx((-0.3 - 0.7) * ln10)
    assert model.log_prob(END, ["a"]) == pytest.approx((-0.2 - 0.5) * ln10)
    assert model.log_prob(END, ["b"]) == pytest.approx(-0.5 * ln10)
    assert model.score(["a", "b"]) == pytest.approx((-0.1 - 0.6 - 0.5) * ln10)
    assert model.log_prob("c", ["a"]) < -200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hello", "x.arpa: not an ARPA file"),
        (
            "\\data\\\nngram 1=2\n\\1-grams:\n-1 a\n\\end\\\n",
            "cut short or spoilt: it says 2 n-grams of order 1 and has 1",
        ),
        ("\\data\\\nngram 1=1\n\\1-grams:\nsoon a\n\\end\\\n", "x.arpa, line 4: not an n-gram of order 1: 'soon a'"),
    ],
)
def test_spoilt_files_are_refused_in_a_line(tmp_path, content, message):
    (tmp_path / "x.arpa").write_text(content)
    with pytest.raises(DataError, match=message):
        read_arpa(tmp_path / "x.arpa")


def test_nothing_to_learn_from_and_orders_out_of_range():
    with pytest.raises(DataError, match="no word"):
        estimate(["", "  "])
    with pytest.raises(UsageError, match="order must be 1 to 8"):
        estimate(["a"], order=0)


def test_a_model_of_characters():
    model = estimate([characters(line) for line in TEXT], order=5)
    assert model.score(characters("lay blue")) > model.score(characters("yal eulb"))
