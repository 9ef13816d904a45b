"""Late fusion of made probabilities: one stream useless, both as good, one too sure, few videos, uneven classes."""

import json

import numpy as np
import pytest

from tfav.errors import UsageError
from tfav.metrics.late_fusion import (
    EQUAL,
    Choice,
    Fusion,
    choose_fusion,
    choose_temperature,
    describe_fusion,
    fuse,
    fusion_of,
    temper,
)

CLASSES = 4


def made(truth, strength, seed, sure=1.0):
    """Probabilities of a calibrated classifier (the more `strength`, the better), its logits times `sure`."""
    logits = np.random.default_rng(seed).normal(0, np.sqrt(strength), (len(truth), CLASSES))
    logits[np.arange(len(truth)), truth] += strength
    return temper(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), 1 / sure)


def truth_of(count):
    return np.arange(count) % CLASSES


def share_right(truth, probabilities):
    return (probabilities.argmax(-1) == truth).mean()


def test_fusing():
    spatial, motion = np.array([[0.8, 0.2]]), np.array([[0.1, 0.9]])
    np.testing.assert_allclose(fuse(spatial, motion), [[0.45, 0.55]])
    np.testing.assert_allclose(fuse(spatial, motion, Fusion(weights=(1.0,))), spatial)
    np.testing.assert_allclose(fuse(spatial, motion, Fusion(weights=(0.75,))), [[0.625, 0.375]])
    np.testing.assert_allclose(fuse(spatial, motion, Fusion(weights=(1.0, 0.0))), [[0.8 / 1.7, 0.9 / 1.7]])
    np.testing.assert_allclose(fuse(spatial, motion, Fusion((0.5, 1.0), (1.0,))), [[0.64 / 0.68, 0.04 / 0.68]], 1e-5)
    with pytest.raises(UsageError, match="same shape"):
        fuse(spatial, motion[:, :1])
    with pytest.raises(UsageError, match="0 to 1"):
        fuse(spatial, motion, Fusion(weights=(1.5,)))


def test_temperature_undoes_what_makes_too_sure():
    truth = truth_of(400)
    for sure in (1.0, 4.0):
        assert choose_temperature(truth, made(truth, 1.5, 0, sure)) == pytest.approx(sure, rel=0.25)
    assert 0.6 < choose_temperature(truth[:3], made(truth[:3], 9.0, 0)) <= 1  # three say little


@pytest.mark.parametrize("count", [12, 48, 240])
@pytest.mark.parametrize("sure", [1.0, 6.0])
def test_a_useless_stream_costs_nothing_however_sure_it_is(count, sure):
    truth, later = truth_of(count), truth_of(2000)
    useless = np.random.default_rng(5).integers(0, CLASSES, count), np.random.default_rng(6).integers(0, CLASSES, 2000)
    for flipped in (False, True):
        pairs = [
            (made(t, 3.0, seed), made(u, 3.0, seed + 9, sure))
            for t, u, seed in zip((truth, later), useless, (1, 2), strict=True)
        ]
        pairs = [pair[::-1] if flipped else pair for pair in pairs]
        choice = choose_fusion(truth, *pairs[0])
        good = pairs[1][1 if flipped else 0]
        assert share_right(truth, fuse(*pairs[0], choice.fusion)) >= share_right(truth, pairs[0][1 if flipped else 0])
        assert share_right(later, fuse(*pairs[1], choice.fusion)) >= share_right(later, good) - 0.01
        assert share_right(later, fuse(*pairs[1])) < share_right(later, good) - 0.05  # what equal weights cost


def test_two_streams_as_good_are_better_together():
    truth, later = truth_of(200), truth_of(2000)
    choice = choose_fusion(truth, made(truth, 1.5, 1), made(truth, 1.5, 2))
    assert choice.way in ("shared", "per_class") and choice.count == 200
    assert all(0.25 <= weight <= 0.75 for weight in choice.fusion.weights)
    both = made(later, 1.5, 3), made(later, 1.5, 4)
    assert share_right(later, fuse(*both, choice.fusion)) > max(share_right(later, p) for p in both) + 0.05
    same = made(truth, 1.5, 1)
    alone = choose_fusion(truth, same, same)
    assert share_right(truth, fuse(same, same, alone.fusion)) == share_right(truth, same)


def test_one_that_is_too_sure_does_not_carry_the_other():
    truth, later = truth_of(200), truth_of(2000)
    pairs = [(made(t, 1.0, seed, sure=8.0), made(t, 2.0, seed + 9)) for t, seed in ((truth, 1), (later, 2))]
    choice = choose_fusion(truth, *pairs[0])
    assert (
        choice.way in ("shared", "per_class") and choice.fusion.temperatures[0] > 4 > 2 > choice.fusion.temperatures[1]
    )
    scores = [share_right(later, p) for p in (fuse(*pairs[1], choice.fusion), fuse(*pairs[1]), pairs[1][1])]
    assert scores[0] > scores[2] > scores[1]


def test_weights_of_classes_come_with_enough_examples_and_are_held_together_without():
    def streams(count, seed):
        """The first knows classes 0 and 1 alone, the second 2 and 3."""
        truth = truth_of(count)
        know = [made(truth, 4.0, seed), made(truth, 4.0, seed + 1)]
        blind = [made(np.random.default_rng(seed).permutation(truth), 1.0, seed + 2 + n) for n in range(2)]
        return truth, *(np.where((truth < 2)[:, None] == (n == 0), know[n], blind[n]) for n in range(2))

    truth, first, second = streams(240, 0)
    choice = choose_fusion(truth, first, second)
    assert (
        "per_class" in choice.right
        and "per_class" not in choose_fusion(*(a[:36] for a in (truth, first, second))).right
    )
    weights = choice.fusion.weights
    assert choice.way == "per_class" and min(weights[:2]) > 0.5 > max(weights[2:])
    assert choice.right[choice.way] >= max(choice.right["first"], choice.right["second"])


def test_groups_are_never_both_fitted_to_and_scored_and_one_alone_is_no_choice():
    truth = truth_of(40)
    first, second = made(truth, 1.5, 1), made(truth, 1.5, 2)
    assert choose_fusion(truth, first, second, ["g1"] * 40) == Choice(EQUAL, "equal", {}, 40)
    assert choose_fusion(truth[:1], first[:1], second[:1]).fusion == EQUAL
    # Each group's second stream is right by a mark of its own, which other groups do not share.
    choice = choose_fusion(truth, first, second, [f"g{n // 8}" for n in range(40)])
    assert choice.count == 40 and set(choice.right) == {"first", "second", "shared", "per_class"}


def test_what_is_stored_comes_back():
    names, labels = ("spatial", "motion"), ["a", "b"]
    for weights in ((0.25,), (0.25, 0.75)):
        choice = Choice(Fusion((1.5, 0.5), weights), "second", {"first": 3, "second": 4}, 9)
        stored = json.loads(json.dumps(describe_fusion(choice, names, labels)))
        assert (stored["way"], stored["right"], stored["chosen_on"]) == ("motion", {"spatial": 3, "motion": 4}, 9)
        assert fusion_of(stored, names, labels) == choice.fusion
