"""What stands once probabilities become a yes or a no, and which threshold validation patients would choose."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score, roc_curve

from dpmed.evaluate.details import Interval
from dpmed.evaluate.intervals import mean_of_shares_interval, share_interval
from dpmed.evaluate.results import ChosenThreshold, ClassifiedPatient, Confusion

Labels = Int[np.ndarray, "patient"]
Probabilities = Float[np.ndarray, "patient"]
Hits = Bool[np.ndarray, "patient"]


def arrays(patients: Sequence[ClassifiedPatient]) -> tuple[Labels, Probabilities]:
    """Labels and probabilities, patient by patient."""
    return np.array([one.label for one in patients]), np.array([one.probability for one in patients])


def has_both(labels: Labels) -> bool:
    """Whether there are positive and negative patients."""
    return bool((labels == 1).any() and (labels == 0).any())


def at_threshold(labels: Labels, probabilities: Probabilities, threshold: float) -> dict[str, Any]:
    """The fields that `ClassificationScores` and `ChosenThreshold` share; positive from the threshold on."""
    called = (probabilities >= threshold).astype(int)
    hits, is_positive = called == labels, labels == 1
    both = has_both(labels)
    return {
        "threshold": threshold,
        "accuracy": float(accuracy_score(labels, called)),
        "accuracy_ci": share_interval(hits),
        "balanced_accuracy": float(balanced_accuracy_score(labels, called)) if both else None,
        "balanced_accuracy_ci": mean_of_shares_interval(hits[is_positive], hits[~is_positive]) if both else None,
        "sensitivity": _recall(labels, called, of=1),
        "sensitivity_ci": _share(hits[is_positive]),
        "specificity": _recall(labels, called, of=0),
        "specificity_ci": _share(hits[~is_positive]),
        "confusion": _confusion(labels, called),
    }


def youden_threshold(labels: Labels, probabilities: Probabilities) -> float:
    """Where sensitivity + specificity - 1 is largest (Youden 1950); of several such places the highest.

    Half-way down to the next lower probability, so that it is no patient's own. Needs both classes.
    """
    false_alarms, sensitivity, thresholds = roc_curve(labels, probabilities, drop_intermediate=False)
    best = float(thresholds[1:][np.argmax((sensitivity - false_alarms)[1:])])  # the first one calls nobody positive
    lower = probabilities[probabilities < best]
    return (best + (float(lower.max()) if len(lower) else 0.0)) / 2


def at_chosen(patients: Sequence[ClassifiedPatient], validation: Sequence[ClassifiedPatient]) -> ChosenThreshold | None:
    """Judge patients at the threshold that others chose; None where these are not of both classes."""
    labels, probabilities = arrays(validation)
    if not has_both(labels):
        return None
    standing = at_threshold(*arrays(patients), youden_threshold(labels, probabilities))
    return ChosenThreshold(chosen_on=len(validation), chosen_on_positives=int(labels.sum()), **standing)


def _confusion(labels: Labels, called: Labels) -> Confusion:
    (right_no, false_yes), (false_no, right_yes) = confusion_matrix(labels, called, labels=[0, 1]).tolist()
    return Confusion(
        true_positives=right_yes, false_negatives=false_no, false_positives=false_yes, true_negatives=right_no
    )


def _recall(labels: Labels, called: Labels, *, of: int) -> float | None:
    return float(recall_score(labels, called, pos_label=of)) if (labels == of).any() else None


def _share(hits: Hits) -> Interval | None:
    return share_interval(hits) if len(hits) else None
