"""How sure a result is: 95 % intervals over patients, never over slices or voxels (promise 1)."""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from dpmed.evaluate.details import Interval

LEVEL = 0.95
RESAMPLES = 2000
BATCH = 200
SEED = 0


def auroc(
    positives: Float[np.ndarray, "*many positive"], negatives: Float[np.ndarray, "*many negative"], axis: int = -1
) -> Any:
    """Share of pairs in which the positive patient has the higher score, ties half (Mann and Whitney 1947).

    By ranks, for many resamples at once; for one sample it equals `sklearn.metrics.roc_auc_score`.
    """
    count, others = positives.shape[axis], negatives.shape[axis]
    ranks = stats.rankdata(np.concatenate([positives, negatives], axis=axis), axis=axis)
    ranks_of_positives = np.take(ranks, np.arange(count), axis=axis).sum(axis=axis)
    return (ranks_of_positives - count * (count + 1) / 2) / (count * others)


def average_precision(
    positives: Float[np.ndarray, "*many positive"], negatives: Float[np.ndarray, "*many negative"], axis: int = -1
) -> Any:
    """Mean over positive patients of the precision where they are just called positive: the step-wise area under PR.

    By ranks, for many resamples at once; for one sample it equals `sklearn.metrics.average_precision_score`.
    """
    count, others = positives.shape[axis], negatives.shape[axis]
    everyone = np.concatenate([positives, negatives], axis=axis)
    among_all = np.take(stats.rankdata(everyone, "min", axis=axis), np.arange(count), axis=axis)
    rated_as_high = count + others + 1 - among_all
    positives_as_high = count + 1 - stats.rankdata(positives, "min", axis=axis)
    return (positives_as_high / rated_as_high).mean(axis=axis)


def auroc_interval(
    positives: Float[np.ndarray, "positive"], negatives: Float[np.ndarray, "negative"]
) -> Interval | None:
    """The interval of `auroc`, from resampling positive and negative patients apart, so that it is always defined."""
    return bootstrap((positives, negatives), auroc)


def mean_interval(values: Float[np.ndarray, "patient"]) -> Interval | None:
    """The interval of a mean over patients, all of them drawn together: how many are positive is chance, too."""
    return bootstrap((values,), np.mean)


def share_interval(hits: Bool[np.ndarray, "patient"]) -> Interval:
    """Wilson's interval of a share of patients: unlike the bootstrap it has a width where all of a few agree."""
    wilson = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="wilson")
    return float(wilson.low), float(wilson.high)


def mean_of_shares_interval(hits: Bool[np.ndarray, "patient"], others: Bool[np.ndarray, "patient"]) -> Interval:
    """The interval of the mean of two shares: Wilson's of each, squared and added (Newcombe 1998, method 10)."""
    (share, low, high), (other, other_low, other_high) = _wilson(hits), _wilson(others)
    middle = (share + other) / 2
    below = math.hypot(share - low, other - other_low) / 2
    return middle - below, middle + math.hypot(high - share, other_high - other) / 2


def difference_of_shares_interval(hits: Bool[np.ndarray, "patient"], others: Bool[np.ndarray, "patient"]) -> Interval:
    """The interval of one share less another, of other patients (Newcombe 1998, method 10)."""
    (share, low, high), (other, other_low, other_high) = _wilson(hits), _wilson(others)
    gap = share - other
    return gap - math.hypot(share - low, other_high - other), gap + math.hypot(high - share, other - other_low)


def _wilson(hits: Bool[np.ndarray, "patient"]) -> tuple[float, float, float]:
    return float(hits.mean()), *share_interval(hits)


def bootstrap(
    groups: tuple[np.ndarray, ...],
    statistic: Callable[..., Any],
    *,
    paired: bool = False,
    method: Literal["percentile", "basic"] = "percentile",
) -> Interval | None:
    """Bootstrap of `statistic` over the patients of each group, or with `paired` over patients whom all groups share.

    A fixed seed. None with fewer than two patients in a group: they show no spread.
    """
    if not groups or any(len(group) < 2 for group in groups):
        return None
    found = stats.bootstrap(
        groups,
        statistic,
        n_resamples=RESAMPLES,
        batch=BATCH,
        vectorized=True,
        paired=paired,
        confidence_level=LEVEL,
        method=method,
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
