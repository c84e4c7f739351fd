"""How sure a result of a study is: patients drawn anew within their fold and class, and seeds drawn anew too.

Patients are judged by every seed and seeds judge every patient, so both are drawn, independently (the pigeonhole
bootstrap, Owen 2007). With few seeds S the bootstrap understates what they differ by; their weights are therefore
stretched by sqrt(S / (S - 1)) (Rao and Wu 1988), which is exact for the variance. One seed shows no such spread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dpmed.evaluate.details import Interval
from dpmed.evaluate.intervals import LEVEL, RESAMPLES, SEED

Draws = Float[np.ndarray, "resample seed"]


@dataclass(frozen=True)
class FoldScores:
    """The held-out patients of a fold: positive ones, and negative ones where the metric is AUROC, else None."""

    positives: Float[np.ndarray, "seed positive"]
    negatives: Float[np.ndarray, "seed negative"] | None


def values(folds: Sequence[FoldScores]) -> Float[np.ndarray, "seed"]:
    """The metric of each seed: the mean over folds of AUROC, or of the positive patients' mean score."""
    ones = [(_ones(fold.positives), None if fold.negatives is None else _ones(fold.negatives)) for fold in folds]
    return np.asarray(np.mean([_metric(*pair) for pair in zip(folds, ones, strict=True)], axis=0)[0])


def drawn(folds: Sequence[FoldScores]) -> Draws:
    """The same with patients drawn anew. Folds of the same patients are drawn alike, so that differences are paired."""
    random = np.random.default_rng(SEED)
    found = []
    for fold in folds:
        of_positives = _weights(fold.positives, random)
        found.append(
            _metric(fold, (of_positives, None if fold.negatives is None else _weights(fold.negatives, random)))
        )
    return np.asarray(np.mean(found, axis=0))


def interval(patients: Draws, less: Draws | None = None) -> Interval | None:
    """The 95 % interval of the mean over seeds; or of how much it is above another's, whose seeds are other ones."""
    random = np.random.default_rng(SEED + 1)
    found = (patients * _seed_weights(patients.shape[1], random)).sum(1)
    if less is not None:
        found = found - (less * _seed_weights(less.shape[1], random)).sum(1)
    if not np.ptp(found):
        return None  # too few patients to show a spread
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _metric(fold: FoldScores, weights: tuple[np.ndarray, np.ndarray | None]) -> Draws:
    """With weights of patients, "resample patient"."""
    of_positives = weights[0] / weights[0].sum(1, keepdims=True)
    if fold.negatives is None or weights[1] is None:
        return np.asarray(of_positives @ fold.positives.T)
    of_negatives = weights[1] / weights[1].sum(1, keepdims=True)
    gaps = fold.positives[:, :, None] - fold.negatives[:, None, :]
    wins = (gaps > 0) + 0.5 * (gaps == 0)  # AUROC is the share of pairs that are ranked rightly, ties half
    return np.stack([((of_positives @ one) * of_negatives).sum(1) for one in wins], axis=1)


def _weights(scores: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How often each patient is drawn."""
    count = scores.shape[1]
    return random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


def _seed_weights(seeds: int, random: np.random.Generator) -> Draws:
    if seeds == 1:
        return np.ones((RESAMPLES, 1))
    shares = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
    return np.asarray(1 / seeds + math.sqrt(seeds / (seeds - 1)) * (shares - 1 / seeds))


def _ones(scores: np.ndarray) -> np.ndarray:
    return np.ones((1, scores.shape[1]))
