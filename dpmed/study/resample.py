"""How sure a result of a study is: over patients, and over trainings.

Patients are drawn anew within their fold and class, all trainings judging the same ones (bootstrap). What trainings of
one fold differ by is partly chance of patients, too, since each rates them a little differently; the rest is theirs,
and is added as a variance component (random effects, unbiased, not below 0), with Student's t for as many trainings
as there are. Trainings are independent: each has its own first weights, draws and noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from dpmed.evaluate.details import Interval
from dpmed.evaluate.intervals import LEVEL, RESAMPLES, SEED


@dataclass(frozen=True)
class FoldScores:
    """The held-out patients of a fold: positive ones, and negative ones where the metric is AUROC, else None."""

    positives: Float[np.ndarray, "seed positive"]
    negatives: Float[np.ndarray, "seed negative"] | None


@dataclass(frozen=True)
class Measured:
    """The metric of every training, and the same with patients drawn anew."""

    values: Float[np.ndarray, "fold seed"]
    drawn: Float[np.ndarray, "resample fold seed"]

    @property
    def value(self) -> float:
        """The mean over folds and seeds."""
        return float(self.values.mean())

    @property
    def of_trainings(self) -> tuple[float, int]:
        """The variance of `value` that is of trainings alone, and its degrees of freedom; 0 with one seed."""
        folds, seeds = self.values.shape
        freedom = folds * (seeds - 1)
        if not freedom:
            return 0.0, 0
        between = self.values.var(axis=1, ddof=1).sum()
        apart = self.drawn - self.drawn.mean(axis=2, keepdims=True)
        of_patients = apart.var(axis=0).mean(axis=1).sum() * seeds / (seeds - 1)
        return max(0.0, float(between - of_patients)) / folds**2 / seeds, freedom


def measured(folds: Sequence[FoldScores]) -> Measured:
    """The metric: AUROC, or the positive patients' mean score. Folds of the same patients are drawn alike."""
    sides = [[side for side in (fold.positives, fold.negatives) if side is not None] for fold in folds]
    weights = _weights(tuple(tuple(side.shape[1] for side in pair) for pair in sides))
    everything = np.stack([_metric(*both) for both in zip(sides, weights, strict=True)], axis=1)
    return Measured(everything[0], everything[1:])


def interval(result: Measured, less: Measured | None = None) -> Interval | None:
    """The 95 % interval of `value`; or of how much it is above another's, of the same patients. None without spread."""
    random = np.random.default_rng(SEED + 1)
    found = _spread(result, random)
    if less is not None:
        found = found - _spread(less, random)
    if not np.ptp(found):
        return None
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _spread(result: Measured, random: np.random.Generator) -> Float[np.ndarray, "resample"]:
    variance, freedom = result.of_trainings
    trainings = random.standard_t(freedom, RESAMPLES) * math.sqrt(variance) if freedom else 0.0
    return np.asarray(result.drawn.mean(axis=(1, 2)) + trainings)


def _metric(sides: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> Float[np.ndarray, "resample seed"]:
    """With weights of patients, "resample patient", that add up to 1."""
    if len(sides) == 1:
        return np.asarray(weights[0] @ sides[0].T)
    gaps = sides[0][:, :, None] - sides[1][:, None, :]
    wins = (gaps > 0) + 0.5 * (gaps == 0)  # AUROC is the share of pairs that are ranked rightly, ties half
    return np.stack([((weights[0] @ one) * weights[1]).sum(1) for one in wins], axis=1)


@lru_cache(maxsize=4)  # the same for every variant: so they are of the same patients
def _weights(patients: tuple[tuple[int, ...], ...]) -> list[list[Float[np.ndarray, "resample patient"]]]:
    """Of patients, by fold and side: first each once, then as often as they are drawn."""
    random = np.random.default_rng(SEED)
    return [[_as_they_are_and_drawn(count, random) for count in counts] for counts in patients]


def _as_they_are_and_drawn(patients: int, random: np.random.Generator) -> Float[np.ndarray, "resample patient"]:
    drawn = random.multinomial(patients, np.full(patients, 1 / patients), size=RESAMPLES)
    return np.concatenate([np.ones((1, patients)), drawn]) / patients
