"""How well probabilities tell sick from healthy patients, and whether they mean what they say."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from dpmed.evaluate.calibration import (
    ECE_BINS,
    ece_if_calibrated,
    ece_interval,
    expected_calibration_error,
    reliability,
)
from dpmed.evaluate.details import Curves
from dpmed.evaluate.intervals import auroc_interval, average_precision, bootstrap, mean_interval
from dpmed.evaluate.results import ClassificationScores, ClassifiedCase, ClassifiedPatient
from dpmed.evaluate.thresholds import Hits, Labels, Probabilities, arrays, at_chosen, at_threshold, has_both

THRESHOLD = 0.5
"""A patient is called positive at this probability or above. Fixed beforehand, not chosen on any patients."""


def of_patient(patient: str, cases: Sequence[ClassifiedCase]) -> ClassifiedPatient:
    """Cases to patient: the mean probability; positive if any case is."""
    return ClassifiedPatient(
        patient=patient,
        label=max((case.label for case in cases), default=0),
        probability=float(np.mean([case.probability for case in cases])),
        cases=tuple(cases),
    )


def hits(labels: Labels, probabilities: Probabilities) -> Hits:
    """Who is called what they are."""
    right: Hits = (probabilities >= THRESHOLD) == (labels == 1)
    return right


def classification_scores(
    patients: Sequence[ClassifiedPatient], *, validation: Sequence[ClassifiedPatient] = ()
) -> ClassificationScores:
    """The numbers of a cohort, which needs a patient. What needs both classes is None where one is missing."""
    labels, probabilities = arrays(patients)
    is_positive, both = labels == 1, has_both(labels)
    positives, negatives = probabilities[is_positive], probabilities[~is_positive]
    return ClassificationScores(
        positives=len(positives),
        negatives=len(negatives),
        auroc=float(roc_auc_score(labels, probabilities)) if both else None,
        auroc_ci=auroc_interval(positives, negatives) if both else None,
        average_precision=float(average_precision_score(labels, probabilities)) if both else None,
        average_precision_ci=bootstrap((positives, negatives), average_precision) if both else None,
        **at_threshold(labels, probabilities, THRESHOLD),
        brier=float(brier_score_loss(labels, probabilities, pos_label=1)),
        brier_ci=mean_interval((probabilities - labels) ** 2),
        ece=float(expected_calibration_error(labels, probabilities)),
        ece_ci=ece_interval(labels, probabilities),
        ece_if_calibrated=ece_if_calibrated(probabilities),
        ece_bins=ECE_BINS,
        baseline_accuracy=float(max(is_positive.mean(), 1 - is_positive.mean())),
        at_chosen_threshold=at_chosen(patients, validation),
    )


def curves(patients: Sequence[ClassifiedPatient]) -> Curves:
    """ROC, precision against recall, reliability."""
    labels, probabilities = arrays(patients)
    roc: list[tuple[float, float]] = []
    precision_recall: list[tuple[float, float]] = []
    if has_both(labels):
        false_alarms, sensitivity, _ = roc_curve(labels, probabilities)
        precision, recall, _ = precision_recall_curve(labels, probabilities)
        roc = list(zip(false_alarms.tolist(), sensitivity.tolist(), strict=True))
        precision_recall = list(zip(recall.tolist(), precision.tolist(), strict=True))
    return Curves(
        roc=tuple(roc), precision_recall=tuple(precision_recall), reliability=reliability(labels, probabilities)
    )
