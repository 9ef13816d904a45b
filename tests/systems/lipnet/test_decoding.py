"""Decoders against enumeration, and against one another."""

import itertools

import numpy as np
import pytest

from tfav.errors import DataError, UsageError
from tfav.speech import grid
from tfav.speech.grammar import GRID_GRAMMAR, Grammar, read_grammar
from tfav.speech.tokenizer import TOKENIZERS
from tfav.systems.lipnet import decoding

COMPACT = TOKENIZERS["compact"]


def spell(text, symbols=COMPACT, repeats=2, sure=0.9):
    """Posteriors that spell a text, a blank after each letter."""
    rows = []
    for letter in text:
        for klass in [int(symbols.encode(letter)[0])] * repeats + [symbols.blank]:
            row = np.full(symbols.num_classes, (1 - sure) / (symbols.num_classes - 1))
            row[klass] = sure
            rows.append(row)
    return np.log(rows)


def noise(num_frames, seed, symbols=COMPACT, sharp=2.0):
    logits = np.random.default_rng(seed).normal(0, sharp, (num_frames, symbols.num_classes))
    return decoding.log_softmax(logits)


def text_log_prob(text, log_probs, symbols):
    """CTC's forward recursion, plainly."""
    states = [symbols.blank]
    for code in symbols.encode(text):
        states += [int(code), symbols.blank]
    alpha = np.full(len(states), -np.inf)
    alpha[:2] = log_probs[0, states[:2]]
    for row in log_probs[1:]:
        before = alpha.copy()
        for s in range(len(states)):
            terms = [before[s]]
            if s:
                terms.append(before[s - 1])
            if s > 1 and states[s] != symbols.blank and states[s] != states[s - 2]:
                terms.append(before[s - 2])
            alpha[s] = np.logaddexp.reduce(terms) + row[states[s]]
    return np.logaddexp(alpha[-1], alpha[-2])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_greedy_and_beam_read_what_is_spelt(name):
    symbols = TOKENIZERS[name]
    log_probs = spell("bin green", symbols)
    assert decoding.greedy(log_probs, symbols) == "bin green"
    assert decoding.beam(log_probs, symbols, 10) == "bin green"


def test_beam_adds_up_paths():
    # Two frames: blank is best in each (.4 .4), but "a" has three paths: a-, -a, aa.
    probs = np.full((2, COMPACT.num_classes), 1e-9)
    probs[:, 0], probs[:, 1] = 0.55, 0.45
    assert decoding.greedy(np.log(probs), COMPACT) == ""
    assert decoding.beam(np.log(probs), COMPACT, 5) == "a"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_grammar_decoder_finds_the_optimum(seed, name):
    symbols = TOKENIZERS[name]
    grammar = Grammar((("be", "bee", "at"), ("t", "tt", "a"), ("no", "on")))
    log_probs = noise(12 + seed, seed, symbols)
    sentences = [" ".join(words) for words in itertools.product(*grammar.slots)]
    values = np.array([text_log_prob(text, log_probs, symbols) for text in sentences])
    text, share = decoding.decode_grammar(log_probs, symbols, grammar)
    assert text == sentences[int(values.argmax())]
    assert share == pytest.approx(values.max() - np.logaddexp.reduce(values), abs=1e-6)


def heads_that_see(sentence, spans, num_frames, sure=0.9):
    """Log-probabilities of a word head that sees a sentence's words in these frames, and silence elsewhere."""
    rows = np.full((num_frames, 52), (1 - sure) / 51)
    said = np.full(num_frames, grid.SILENCE)
    for word, (start, end) in zip(sentence.split(), spans, strict=True):
        said[start:end] = 1 + grid.WORDS.index(word)
    rows[np.arange(num_frames), said] = sure
    return np.log(rows)


def spell_with_spans(sentence):
    """As `spell`, and the frames of each word."""
    ends = np.cumsum([3 * len(word) + 3 for word in sentence.split()])
    spans = [(end - 3 * len(word) - 3, end - 3) for word, end in zip(sentence.split(), ends, strict=True)]
    return spell(sentence), spans


def test_grid_in_full_and_what_the_word_head_adds():
    grammar = read_grammar(GRID_GRAMMAR)
    assert grammar.slots == tuple(tuple(slot.values()) for slot in grid.SLOTS)
    sentence = "bin blue at b two now"
    log_probs, spans = spell_with_spans(sentence)
    # CTC hears b a little more than p, the word head sees p.
    start, _ = spans[3]
    log_probs[start : start + 2, 2], log_probs[start : start + 2, 16] = np.log(0.5), np.log(0.4)
    heads = heads_that_see(sentence.replace(" b ", " p "), spans, len(log_probs))
    for share, said in ((0.0, "b"), (0.01, "b"), (1.0, "p")):
        text, _ = decoding.decode_grammar(log_probs, COMPACT, grammar, word_log_probs=heads, head_weight=share)
        assert text == sentence.replace(" b ", f" {said} ")


@pytest.mark.parametrize("seed", range(3))
def test_a_long_word_has_no_louder_vote(seed):
    """The head sees the words that CTC finds less probable; each wins where its vote makes up for just that."""
    slots, spans = (("at", "in"), ("seven", "three")), [(0, 2), (2, 20)]
    log_probs = noise(20, seed, sharp=0.1)
    values = [text_log_prob(" ".join(words), log_probs, COMPACT) for words in itertools.product(*slots)]
    by_slot = [np.logaddexp.reduce(np.reshape(values, (2, 2)), axis=1 - slot) for slot in (0, 1)]
    seen = [slot[int(worth.argmin())] for slot, worth in zip(slots, by_slot, strict=True)]
    heads = heads_that_see(" ".join(seen), spans, 20)
    sure = np.log(0.9) - np.log(0.1 / 51)  # in each frame, so in two as in eighteen
    for slot, worth in enumerate(by_slot):
        share = np.ptp(worth) / sure
        for factor, wins in ((0.99, False), (1.01, True)):
            options = {"word_log_probs": heads, "head_weight": factor * share}
            text, _ = decoding.decode_grammar(log_probs, COMPACT, Grammar(slots), **options)
            assert (text.split()[slot] == seen[slot]) is wins


@pytest.mark.parametrize("seed", range(3))
def test_what_is_outvoted_has_the_share_of_what_is_read(seed):
    grammar = Grammar((("at", "by", "in"), ("a", "b"), ("one", "two")))
    log_probs = noise(16, seed)
    sentences = [" ".join(words) for words in itertools.product(*grammar.slots)]
    values = np.array([text_log_prob(text, log_probs, COMPACT) for text in sentences])
    said = sentences[int(values.argmin())]
    heads = heads_that_see(said, [(1, 4), (5, 8), (9, 16)], 16, sure=1 - 1e-9)
    text, share = decoding.decode_grammar(log_probs, COMPACT, grammar, word_log_probs=heads, head_weight=1e3)
    assert text == said
    assert share == pytest.approx(values.min() - np.logaddexp.reduce(values), abs=1e-6)


def test_what_does_not_fit_gives_nothing():
    assert decoding.decode_grammar(noise(5, 0), COMPACT, read_grammar(GRID_GRAMMAR))[0] == ""


def test_word_list():
    grammar = Grammar((("yes", "no", "noon"),), loop=True)
    assert decoding.decode_grammar(spell("no yes noon"), COMPACT, grammar)[0] == "no yes noon"
    assert decoding.decode_grammar(spell("noo yez"), COMPACT, grammar)[0] in ("no yes", "noon yes")
    for seed in range(3):
        text, _ = decoding.decode_grammar(noise(15, seed), COMPACT, grammar)
        assert set(text.split()) <= {"yes", "no", "noon"}


def test_grammar_files(tmp_path):
    path = tmp_path / "own.grammar"
    path.write_text("# mine\nRed blue\n\none two # three\n")
    assert read_grammar(path).slots == (("red", "blue"), ("one", "two"))
    path.write_text("* yes no yes\n")
    assert read_grammar(path) == Grammar((("yes", "no"),), loop=True, source=str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("red grün\n", r"slot 1: unknown word 'grün'; the tokenizer compact has no 'ü'"),
        ("red\nred blue red\n", "slot 2 holds 'red' twice"),
        ("# nothing\n", "no words in it"),
        ("* a b\nc\n", "a word list is one line"),
    ],
)
def test_broken_grammars(tmp_path, content, message):
    path = tmp_path / "own.grammar"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_grammar(path).check(COMPACT)
    with pytest.raises(UsageError, match="cannot be read as a grammar"):
        read_grammar(tmp_path / "gone")


def test_word_share_needs_a_head_that_knows_the_words():
    with pytest.raises(UsageError, match="needs a model with a word head"):
        decoding.decode_grammar(noise(20, 0), COMPACT, Grammar((("red",),)), head_weight=1.0)
    with pytest.raises(UsageError, match="does not know 'hello'"):
        heads = np.zeros((20, 52))
        decoding.decode_grammar(noise(20, 0), COMPACT, Grammar((("hello",),)), word_log_probs=heads, head_weight=1.0)
