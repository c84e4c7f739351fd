"""How sure a result is: 95 % intervals over patients, never over slices or voxels (promise 1)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from dpmed.evaluate.results import Interval

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


def pooled_mean(*groups: Float[np.ndarray, "*many patient"], axis: int = -1) -> Any:
    """The mean over the patients of all groups together."""
    return np.concatenate(groups, axis=axis).mean(axis=axis)


def auroc_interval(
    positives: Float[np.ndarray, "positive"], negatives: Float[np.ndarray, "negative"]
) -> Interval | None:
    """The interval of `auroc`, from resampling positive and negative patients apart, so that it is always defined."""
    return _bootstrap((positives, negatives), auroc)


def mean_interval(*groups: Float[np.ndarray, "patient"]) -> Interval | None:
    """The interval of a mean over patients, each group resampled on its own; groups without patients do not count."""
    return _bootstrap(tuple(group for group in groups if len(group)), pooled_mean)


def share_interval(hits: Bool[np.ndarray, "patient"]) -> Interval:
    """Wilson's interval of a share of patients: unlike the bootstrap it has a width where all of a few agree."""
    wilson = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(LEVEL, method="wilson")
    return float(wilson.low), float(wilson.high)


def _bootstrap(groups: tuple[np.ndarray, ...], statistic: Callable[..., Any]) -> Interval | None:
    """Percentile bootstrap with a fixed seed. None with fewer than two patients in a group: they show no spread."""
    if not groups or any(len(group) < 2 for group in groups):
        return None
    found = stats.bootstrap(
        groups,
        statistic,
        n_resamples=RESAMPLES,
        batch=BATCH,
        vectorized=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)
