"""Two runs on the same patients: whether what lies between them is more than chance.

Every patient is judged by both, so that easy and hard patients cancel: differences are of pairs, patients are drawn
with both of their results, and a test swaps the two results within a patient.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from dpmed.evaluate.classification import hits
from dpmed.evaluate.details import Difference, Interval
from dpmed.evaluate.intervals import SEED, auroc, average_precision, bootstrap, mean_interval
from dpmed.evaluate.results import ClassifiedPatient, SegmentedPatient
from dpmed.evaluate.segmentation import PER_REGION, dice_means
from dpmed.evaluate.thresholds import Labels, Probabilities, arrays, has_both

SWAPS = 9999
BATCH = 1000
ON_RANKS = "paired permutation of ranks"
ON_VALUES = "paired permutation"
SIGNED_RANK = "Wilcoxon signed-rank"
WITH_REGIONS = (*PER_REGION, "volume_error_abs_ml")
RANKED: dict[str, Callable[..., Any]] = {"auroc": auroc, "average_precision": average_precision}


def differences(this: Sequence[Any], other: Sequence[Any]) -> tuple[Difference, ...]:
    """Every measure of both, for the same patients in the same order."""
    assert [one.patient for one in this] == [one.patient for one in other]
    return _segmented(this, other) if isinstance(this[0], SegmentedPatient) else _classified(this, other)


def _classified(this: Sequence[ClassifiedPatient], other: Sequence[ClassifiedPatient]) -> tuple[Difference, ...]:
    (labels, ours), (_, theirs) = arrays(this), arrays(other)
    ranked = [_of_ranks(name, labels, ours, theirs) for name in RANKED] if has_both(labels) else []
    everybody, positive = np.full(len(labels), True), labels == 1
    right = (hits(labels, ours), hits(labels, theirs))
    squares = ((ours - labels) ** 2, (theirs - labels) ** 2)
    means: tuple[tuple[str, np.ndarray, tuple[np.ndarray, np.ndarray]], ...] = (
        ("accuracy", everybody, right),
        ("sensitivity", positive, right),
        ("specificity", ~positive, right),
        ("brier", everybody, squares),
    )
    return (*ranked, *(_of_means(name, *pair, who) for name, who, pair in means if who.any()))


def _segmented(this: Sequence[SegmentedPatient], other: Sequence[SegmentedPatient]) -> tuple[Difference, ...]:
    regions = tuple(this[0].dice)
    per_region = [
        _of_pairs(name, region, _values(this, name, region), _values(other, name, region))
        for name in WITH_REGIONS
        for region in regions
    ]
    mean = _of_pairs("dice_mean", None, dice_means(this), dice_means(other))
    return (mean, *per_region) if len(regions) > 1 else tuple(per_region)


def _values(patients: Sequence[SegmentedPatient], name: str, region: str) -> np.ndarray:
    return np.array([getattr(patient, name)[region] for patient in patients])


def _of_ranks(name: str, labels: Labels, ours: Probabilities, theirs: Probabilities) -> Difference:
    """A measure of order alone. Patients are drawn within their class; what is swapped are ranks, as scales may differ.

    The test is that of Bandos, Rockette and Gur (2005).
    """
    measure, positive = RANKED[name], labels == 1
    places = np.flatnonzero(positive), np.flatnonzero(~positive)

    def drawn(positives: np.ndarray, negatives: np.ndarray, axis: int = -1) -> Any:
        return measure(ours[positives], ours[negatives], axis) - measure(theirs[positives], theirs[negatives], axis)

    def swapped(one: np.ndarray, another: np.ndarray, axis: int = -1) -> Any:
        sides = [[np.take(side, some, axis=axis) for some in places] for side in (one, another)]
        return measure(*sides[0], axis) - measure(*sides[1], axis)

    values = [float(measure(*(side[some] for some in places))) for side in (ours, theirs)]
    p = _swap((stats.rankdata(ours), stats.rankdata(theirs)), swapped)
    return _difference(name, None, values, bootstrap(places, drawn), p, ON_RANKS)


def _of_means(name: str, ours: np.ndarray, theirs: np.ndarray, who: np.ndarray) -> Difference:
    """A mean over some patients."""
    pair = ours[who].astype(float), theirs[who].astype(float)
    values = [float(side.mean()) for side in pair]
    return _difference(name, None, values, mean_interval(pair[0] - pair[1]), _swap(pair, _mean_gap), ON_VALUES)


def _of_pairs(name: str, region: str | None, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """A mean over patients, tested by the ranks of their differences (Wilcoxon 1945), since a few may be far off."""
    values = [float(side.mean()) for side in (ours, theirs)]
    return _difference(name, region, values, mean_interval(ours - theirs), _signed_rank(ours - theirs), SIGNED_RANK)


def _difference(
    name: str, region: str | None, values: Sequence[float], interval: Interval | None, p: float | None, test: str
) -> Difference:
    this, other = values
    return Difference(
        measure=name,
        region=region,
        this=this,
        other=other,
        difference=this - other,
        difference_ci=interval,
        p=p,
        test=test,
    )


def _swap(pair: tuple[np.ndarray, np.ndarray], statistic: Callable[..., Any]) -> float | None:
    """How often swapping within patients gives a difference at least as large; every way of swapping, if few."""
    if len(pair[0]) < 2:
        return None
    found = stats.permutation_test(
        pair,
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=SWAPS,
        batch=BATCH,
        axis=-1,
        rng=np.random.default_rng(SEED),
    )
    return float(found.pvalue)


def _signed_rank(gaps: np.ndarray) -> float | None:
    """Wilcoxon's test by permutation, which ties and zeros do not trouble; `scipy.stats.wilcoxon` does it slowly."""
    if len(gaps) < 2:
        return None
    there = gaps[gaps != 0]
    ranks = np.sign(there) * stats.rankdata(np.abs(there))
    return _swap((ranks, -ranks), _mean_gap) if len(ranks) > 1 else 1.0


def _mean_gap(ours: np.ndarray, theirs: np.ndarray, axis: int = -1) -> Any:
    return (ours - theirs).mean(axis=axis)
