"""How well probabilities tell sick from healthy patients, and whether they mean what they say."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import accuracy_score, brier_score_loss, recall_score, roc_auc_score

from dpmed.evaluate.intervals import auroc_interval, mean_interval, share_interval
from dpmed.evaluate.results import ClassificationScores, ClassifiedCase, ClassifiedPatient, Interval

THRESHOLD = 0.5
"""A patient is called positive at this probability or above. Fixed beforehand, not chosen on any patients."""

ECE_BINS = 10


def of_patient(patient: str, cases: Sequence[ClassifiedCase]) -> ClassifiedPatient:
    """Cases to patient: the mean probability; positive if any case is."""
    return ClassifiedPatient(
        patient=patient,
        label=max((case.label for case in cases), default=0),
        probability=float(np.mean([case.probability for case in cases])),
        cases=tuple(cases),
    )


def expected_calibration_error(
    labels: Int[np.ndarray, "patient"], probabilities: Float[np.ndarray, "patient"]
) -> float:
    """Mean over patients of |share of positives - mean probability| in each of ten bins of equal width.

    Bins of the probability of the positive class (Naeini et al. 2015, binary form); 1.0 falls in the last one.
    """
    bins = np.minimum((probabilities * ECE_BINS).astype(int), ECE_BINS - 1)
    surplus = np.bincount(bins, weights=labels - probabilities, minlength=ECE_BINS)
    return float(np.abs(surplus).sum() / len(labels))


def classification_scores(patients: Sequence[ClassifiedPatient]) -> ClassificationScores:
    """The numbers of a cohort, which needs a patient. What needs both classes is None where one is missing."""
    labels = np.array([patient.label for patient in patients])
    probabilities = np.array([patient.probability for patient in patients])
    called = (probabilities >= THRESHOLD).astype(int)
    is_positive, hits = labels == 1, called == labels
    positives, negatives = probabilities[is_positive], probabilities[~is_positive]
    has_both = bool(len(positives) and len(negatives))
    return ClassificationScores(
        positives=len(positives),
        negatives=len(negatives),
        auroc=float(roc_auc_score(labels, probabilities)) if has_both else None,
        auroc_ci=auroc_interval(positives, negatives) if has_both else None,
        accuracy=float(accuracy_score(labels, called)),
        accuracy_ci=share_interval(hits),
        sensitivity=_recall(labels, called, of=1),
        sensitivity_ci=_share(hits[is_positive]),
        specificity=_recall(labels, called, of=0),
        specificity_ci=_share(hits[~is_positive]),
        brier=float(brier_score_loss(labels, probabilities, pos_label=1)),
        brier_ci=mean_interval((1 - positives) ** 2, negatives**2),
        ece=expected_calibration_error(labels, probabilities),
        threshold=THRESHOLD,
        ece_bins=ECE_BINS,
        baseline_accuracy=float(max(is_positive.mean(), 1 - is_positive.mean())),
    )


def _recall(labels: np.ndarray, called: np.ndarray, *, of: int) -> float | None:
    return float(recall_score(labels, called, pos_label=of)) if (labels == of).any() else None


def _share(hits: np.ndarray) -> Interval | None:
    return share_interval(hits) if len(hits) else None
