"""Late fusion of two classifiers: the weighted mean of their calibrated probabilities, and how it is chosen.

What is chosen is never worse than the better classifier alone on the examples it was chosen on: each way to fuse is
judged on examples that it was not fitted to, and a mixture must be better than by chance.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfav.errors import UsageError
from tfav.ranges import check_number

FUSION_FILE = "fusion.json"  # in a run folder: what was chosen
_TINY = 1e-7
_TEMPERATURES = np.geomspace(0.2, 10, 60)
_WEIGHTS = np.linspace(0, 1, 21)
_SURE = 0.5  # standard errors; on made streams 1 kept too many alone that were better together
_FOLDS = 5
_ENOUGH = 10  # examples of each class, for weights of its own
# In nats, what is lost by leaving a temperature of 1, an equal weight, and the weight that all classes share: with few
# examples these hold, with many they are forgotten.
_TEMPERATURE_PRIOR, _WEIGHT_PRIOR, _CLASS_PRIOR = 1.0, 2.0, 20.0


@dataclasses.dataclass(frozen=True)
class Fusion:
    """How the probabilities of two classifiers become one.

    Attributes:
        temperatures: What the logits of each are divided by; 1 leaves them, more makes less sure.
        weights: Of the first classifier, 0-1, one for all classes or one for each; the second has the rest.
    """

    temperatures: tuple[float, float] = (1.0, 1.0)
    weights: tuple[float, ...] = (0.5,)


EQUAL = Fusion()


class Choice(NamedTuple):
    """What `choose_fusion` chose.

    Attributes:
        fusion: How to fuse.
        way: `first`, `second`, `shared` (one weight) or `per_class`; `equal` where there was too little to choose on.
        right: Of each way that was tried, how many examples it had right that it was not fitted to.
        count: Number of examples.
    """

    fusion: Fusion
    way: str
    right: dict[str, int]
    count: int


def fuse(first: np.ndarray, second: np.ndarray, fusion: Fusion = EQUAL) -> np.ndarray:
    """The weighted mean of two classifiers' calibrated probabilities.

    Args:
        first: `[..., K]` float, rows that sum to 1.
        second: Of the same shape.
        fusion: How; by default both count alike and are taken as they are.

    Returns:
        `[..., K]` float, rows that sum to 1.

    Raises:
        UsageError: Shapes that differ, or a weight outside 0-1.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        raise UsageError(f"both streams need the same shape. Received: {first.shape} and {second.shape}")
    for weight in fusion.weights:
        check_number("weight", weight, ge=0, le=1)
    first, second = (temper(p, t) for p, t in zip((first, second), fusion.temperatures, strict=True))
    weights = np.array(fusion.weights, first.dtype)
    mixed = weights * first + (1 - weights) * second
    return mixed if len(weights) == 1 else mixed / np.maximum(mixed.sum(axis=-1, keepdims=True), _TINY)


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities `[..., K]` whose logits are divided by a temperature."""
    if temperature == 1:
        return probabilities
    logits = np.log(probabilities + _TINY) / temperature
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(probabilities.dtype)


def choose_temperature(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The temperature at which a classifier is as sure as it is right.

    Args:
        truth: `[N]` int class numbers of examples it was not trained on.
        probabilities: `[N, K]`.

    Reference:
        C. Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    costs = [_losses(truth, temper(probabilities, t)).sum() for t in _TEMPERATURES]
    return float(_TEMPERATURES[np.argmin(costs + _TEMPERATURE_PRIOR * np.log(_TEMPERATURES) ** 2)])


def choose_fusion(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, groups: Sequence[str] | None = None
) -> Choice:
    """Chooses how to fuse two classifiers, on examples that neither was trained on.

    One classifier alone, one weight and, where each class has ten examples or more, a weight of each class are fitted
    to four fifths of the examples and scored on the fifth left out. The better one alone is kept unless a mixture has
    at least as many right and a loss that is lower by more than half the standard error of the difference.

    Args:
        truth: `[N]` int class numbers.
        first: `[N, K]` probabilities.
        second: Likewise.
        groups: The recording of each example, so that none is both fitted to and scored; None: each is its own.

    Example:
        >>> truth = np.arange(60) % 2
        >>> good, blind = np.eye(2)[truth] * 0.8 + 0.1, np.full((60, 2), 0.5)
        >>> choose_fusion(truth, good, blind).way
        'first'
    """
    truth, first, second = np.asarray(truth), np.asarray(first, np.float64), np.asarray(second, np.float64)
    folds = _folds(truth, groups)
    if len(np.unique(folds)) < 2:
        return Choice(EQUAL, "equal", {}, len(truth))
    ways = dict(_WAYS)
    if np.bincount(truth, minlength=first.shape[-1]).min() < _ENOUGH:
        del ways["per_class"]
    losses = {way: np.zeros(len(truth)) for way in ways}
    right = {way: 0 for way in ways}
    for fold in np.unique(folds):
        fitted, scored = folds != fold, folds == fold
        for way, fit in ways.items():
            fused = fuse(first[scored], second[scored], fit(truth[fitted], first[fitted], second[fitted]))
            losses[way][scored] = _losses(truth[scored], fused)
            right[way] += _right(truth[scored], fused)
    better = best = max(("first", "second"), key=lambda way: (right[way], -losses[way].sum()))
    for way in list(ways)[2:]:
        gain = losses[best] - losses[way]
        if right[way] >= right[best] and gain.mean() > _SURE * gain.std(ddof=1) / np.sqrt(len(gain)):
            best = way
    fusion, alone = (ways[way](truth, first, second) for way in (best, better))
    if _right(truth, fuse(first, second, fusion)) < _right(truth, fuse(first, second, alone)):
        best, fusion = better, alone
    return Choice(fusion, best, right, len(truth))


def _temperatures(truth, first, second) -> tuple[float, float]:
    return choose_temperature(truth, first), choose_temperature(truth, second)


def _fit_shared(truth, first, second) -> Fusion:
    temperatures = _temperatures(truth, first, second)

    def cost(weight: float) -> float:
        loss = _losses(truth, fuse(first, second, Fusion(temperatures, (weight,)))).sum()
        return loss + _WEIGHT_PRIOR * (weight - 0.5) ** 2

    return Fusion(temperatures, (float(min(_WEIGHTS, key=cost)),))


def _fit_per_class(truth, first, second) -> Fusion:
    """One class after the other, twice, since each weight changes what all others share."""
    shared = _fit_shared(truth, first, second)
    weights = np.repeat(shared.weights, first.shape[-1])

    def cost(label: int, weight: float) -> float:
        tried = weights.copy()
        tried[label] = weight
        loss = _losses(truth, fuse(first, second, Fusion(shared.temperatures, tuple(tried)))).sum()
        return loss + _CLASS_PRIOR * (weight - shared.weights[0]) ** 2

    for label in [*range(len(weights))] * 2:
        weights[label] = min(_WEIGHTS, key=lambda weight, label=label: cost(label, weight))
    return Fusion(shared.temperatures, tuple(weights.tolist()))


# In order of how much they fit.
_WAYS: dict[str, Callable[..., Fusion]] = {
    "first": lambda *given: Fusion(_temperatures(*given), (1.0,)),
    "second": lambda *given: Fusion(_temperatures(*given), (0.0,)),
    "shared": _fit_shared,
    "per_class": _fit_per_class,
}


def _folds(truth: np.ndarray, groups: Sequence[str] | None) -> np.ndarray:
    """The fold of each example: whole groups, or every fifth of the examples in order of class."""
    if groups is not None:
        number = {group: place for place, group in enumerate(sorted(set(groups)))}
        return np.array([number[group] % _FOLDS for group in groups], int)
    folds = np.zeros(len(truth), int)
    folds[np.argsort(truth, kind="stable")] = np.arange(len(truth)) % _FOLDS
    return folds


def _losses(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return -np.log(probabilities[np.arange(len(truth)), truth] + _TINY)


def _right(truth: np.ndarray, probabilities: np.ndarray) -> int:
    return int((probabilities.argmax(axis=-1) == truth).sum())


def describe_fusion(choice: Choice, names: tuple[str, str], labels: Sequence[str]) -> dict:
    """What `fusion.json` holds, JSON-ready: temperatures, the first classifier's weight, what they were chosen on."""
    weights = choice.fusion.weights
    named = dict(zip(("first", "second"), names, strict=True))
    return {
        "temperatures": dict(zip(names, choice.fusion.temperatures, strict=True)),
        f"{names[0]}_weight": weights[0] if len(weights) == 1 else dict(zip(labels, weights, strict=True)),
        "way": named.get(choice.way, choice.way),
        "chosen_on": choice.count,
        "right": {named.get(way, way): count for way, count in choice.right.items()},
    }


def read_fusion(run_dir: Path | str, names: tuple[str, str], labels: Sequence[str]) -> Fusion:
    """What a run chose, as `describe_fusion` wrote it."""
    return fusion_of(json.loads((Path(run_dir) / FUSION_FILE).read_bytes()), names, labels)


def fusion_of(stored: Mapping, names: tuple[str, str], labels: Sequence[str]) -> Fusion:
    """The fusion that `describe_fusion` described."""
    weights = stored[f"{names[0]}_weight"]
    weights = tuple(weights[label] for label in labels) if isinstance(weights, dict) else (weights,)
    return Fusion(tuple(stored["temperatures"][name] for name in names), weights)
