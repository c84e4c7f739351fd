"""Results group by group, each beside the gap to all other patients."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpmed.core.manifest import Manifest
from dpmed.evaluate.classification import hits
from dpmed.evaluate.details import Group, GroupMeasure, Subgroups
from dpmed.evaluate.groups import columns_of, shown_groups
from dpmed.evaluate.intervals import (
    auroc,
    auroc_interval,
    bootstrap,
    difference_of_shares_interval,
    mean_interval,
    share_interval,
)
from dpmed.evaluate.results import ClassifiedPatient, SegmentedPatient
from dpmed.evaluate.segmentation import dice_means
from dpmed.evaluate.thresholds import Labels, Probabilities, arrays

Judged = ClassifiedPatient | SegmentedPatient


def subgroups(patients: Sequence[Judged], manifest: Manifest, *, smallest: int) -> Subgroups:
    """The groups that may be told, with their numbers. What is told of the others is that there are some."""
    columns = columns_of(manifest, [patient.patient for patient in patients])
    shown = shown_groups(columns, smallest)
    return Subgroups(
        smallest=smallest,
        columns=tuple(columns),
        groups=tuple(_group(key, members, patients, smallest) for key, members in shown.items()),
        some_are_too_small=len(shown) < sum(len(groups) for groups in columns.values()),
    )


def _group(key: tuple[str, str], members: frozenset[str], patients: Sequence[Judged], smallest: int) -> Group:
    inside = [patient for patient in patients if patient.patient in members]
    rest = [patient for patient in patients if patient.patient not in members]
    column, value = key
    return Group(column=column, value=value, patients=len(inside), measures=_measures(inside, rest, smallest))


def _measures(inside: Sequence[Any], rest: Sequence[Any], smallest: int) -> tuple[GroupMeasure, ...]:
    if isinstance(inside[0], SegmentedPatient):
        return (_mean("dice_mean", dice_means(inside), dice_means(rest)),)
    here, there = arrays(inside), arrays(rest)
    return _auroc(here, there, smallest), _share("accuracy", hits(*here), hits(*there))


def _auroc(here: tuple[Labels, Probabilities], there: tuple[Labels, Probabilities], smallest: int) -> GroupMeasure:
    """AUROC, where either class has enough patients for a group of its own: of few, it tells whom the model missed."""
    own, others = _by_class(*here), _by_class(*there)
    if min(map(len, own)) < smallest:
        return GroupMeasure(measure="auroc", value=None, value_ci=None, gap=None, gap_ci=None)
    value = float(auroc(*own))
    has_gap = min(map(len, others)) >= smallest
    return GroupMeasure(
        measure="auroc",
        value=value,
        value_ci=auroc_interval(*own),
        gap=value - float(auroc(*others)) if has_gap else None,
        gap_ci=bootstrap((*own, *others), _auroc_difference) if has_gap else None,
    )


def _share(measure: str, right: np.ndarray, others: np.ndarray) -> GroupMeasure:
    has_gap = len(others) > 0
    return GroupMeasure(
        measure=measure,
        value=float(right.mean()),
        value_ci=share_interval(right),
        gap=float(right.mean() - others.mean()) if has_gap else None,
        gap_ci=difference_of_shares_interval(right, others) if has_gap else None,
    )


def _mean(measure: str, values: np.ndarray, others: np.ndarray) -> GroupMeasure:
    has_gap = len(others) > 0
    return GroupMeasure(
        measure=measure,
        value=float(values.mean()),
        value_ci=mean_interval(values),
        gap=float(values.mean() - others.mean()) if has_gap else None,
        gap_ci=bootstrap((values, others), _mean_difference) if has_gap else None,
    )


def _by_class(labels: Labels, probabilities: Probabilities) -> tuple[np.ndarray, np.ndarray]:
    return probabilities[labels == 1], probabilities[labels == 0]


def _auroc_difference(*classes: np.ndarray, axis: int = -1) -> Any:
    own_positives, own_negatives, positives, negatives = classes
    return auroc(own_positives, own_negatives, axis) - auroc(positives, negatives, axis)


def _mean_difference(values: np.ndarray, others: np.ndarray, axis: int = -1) -> Any:
    return values.mean(axis=axis) - others.mean(axis=axis)
