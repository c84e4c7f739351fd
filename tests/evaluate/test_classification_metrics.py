"""Classification results against hand computation and independent formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from dpmed.evaluate.classification import classification_scores, curves, of_patient
from dpmed.evaluate.intervals import auroc, average_precision
from dpmed.evaluate.results import ClassifiedCase, ClassifiedPatient

DRAWN = {"brier_ci", "auroc_ci", "average_precision_ci", "ece_ci"}
RATED = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda n: n / 20)), min_size=1, max_size=20)


def case(number: int, label: int, probability: float) -> ClassifiedCase:
    return ClassifiedCase(case=f"c-{number:012x}", label=label, probability=probability, slice=0)


def cohort(rated: list[tuple[int, float]]) -> list[ClassifiedPatient]:
    return [of_patient(f"p-{number:012x}", [case(number, *one)]) for number, one in enumerate(rated)]


def pairs_won(rated: list[tuple[int, float]]) -> float:
    """AUROC by its meaning: the share of sick-healthy pairs in the right order, a tie being half."""
    sick, healthy = ([p for label, p in rated if label == wanted] for wanted in (1, 0))
    won = [1.0 if high > low else 0.5 if high == low else 0.0 for high, low in itertools.product(sick, healthy)]
    return sum(won) / len(won)


@given(RATED)
def test_auroc_is_the_share_of_pairs_in_the_right_order(rated: list[tuple[int, float]]) -> None:
    scores = classification_scores(cohort(rated))
    if {label for label, _ in rated} == {0, 1}:
        assert scores.auroc == pytest.approx(pairs_won(rated))
    else:
        assert scores.auroc is None


def test_auroc_of_resamples_equals_sklearn_on_each() -> None:
    rng = np.random.default_rng(0)
    sick, healthy = rng.integers(0, 8, (50, 7)) / 8, rng.integers(0, 8, (50, 11)) / 8
    labels = np.repeat([1, 0], [7, 11])
    expected = [roc_auc_score(labels, np.concatenate(both)) for both in zip(sick, healthy, strict=True)]
    assert auroc(sick, healthy, axis=-1) == pytest.approx(expected)


def test_average_precision_of_resamples_equals_sklearn_on_each() -> None:
    rng = np.random.default_rng(0)
    sick, healthy = rng.integers(0, 8, (50, 7)) / 8, rng.integers(0, 8, (50, 11)) / 8
    labels = np.repeat([1, 0], [7, 11])
    pairs = zip(sick, healthy, strict=True)
    expected = [average_precision_score(labels, np.concatenate(both)) for both in pairs]
    assert average_precision(sick, healthy, axis=-1) == pytest.approx(expected, abs=1e-6)


def test_average_precision_worked_by_hand() -> None:
    # Down the ranking: sick (1 of 1), healthy, sick (2 of 3): the mean precision at the sick ones.
    scores = classification_scores(cohort([(1, 0.9), (0, 0.8), (1, 0.7), (0, 0.1)]))
    assert scores.average_precision == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("seed", range(4))
def test_every_number_is_that_of_sklearn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 2, 48)])
    said = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(2)
    scores, called = classification_scores(cohort(list(zip(labels.tolist(), said.tolist(), strict=True)))), said >= 0.5
    expected = {
        "auroc": roc_auc_score(labels, said),
        "average_precision": average_precision_score(labels, said),
        "accuracy": accuracy_score(labels, called),
        "sensitivity": recall_score(labels, called),
        "specificity": recall_score(labels, called, pos_label=0),
        "brier": brier_score_loss(labels, said),
    }
    assert {name: getattr(scores, name) for name in expected} == pytest.approx(expected, abs=1e-6)


def test_curves_are_those_of_sklearn_and_hold_what_they_enclose() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 2, 40), rng.random(40).round(1)
    patients = cohort(list(zip(labels.tolist(), said.tolist(), strict=True)))
    found, scores = curves(patients), classification_scores(patients)
    false_alarms, sensitivity, _ = roc_curve(labels, said)
    precision, recall, _ = precision_recall_curve(labels, said)
    assert found.roc == tuple(zip(false_alarms, sensitivity, strict=True))
    assert found.precision_recall == tuple(zip(recall, precision, strict=True))
    assert np.trapezoid(sensitivity, false_alarms) == pytest.approx(scores.auroc, abs=1e-6)
    assert sum(one.patients for one in found.reliability) == 40


def test_one_class_has_a_reliability_curve_and_no_other() -> None:
    found = curves(cohort([(1, 0.2), (1, 0.9)]))
    assert (found.roc, found.precision_recall) == ((), ())
    assert [one.positive_share for one in found.reliability] == [1, 1]


def test_numbers_worked_by_hand() -> None:
    # Called positive from 0.5 on: right, wrong (0.4), right (0.5 counts as positive) | wrong (0.6), right.
    scores = classification_scores(cohort([(1, 0.9), (1, 0.4), (1, 0.5), (0, 0.6), (0, 0.1)]))
    assert (scores.positives, scores.negatives) == (3, 2)
    assert scores.accuracy == pytest.approx(3 / 5)
    assert scores.sensitivity == pytest.approx(2 / 3)
    assert scores.specificity == pytest.approx(1 / 2)
    assert scores.brier == pytest.approx((0.01 + 0.36 + 0.25 + 0.36 + 0.01) / 5)
    assert scores.auroc == pytest.approx(4 / 6)  # of six pairs, 0.6 beats 0.4 and 0.5
    assert scores.baseline_accuracy == pytest.approx(3 / 5)


def test_there_are_as_many_patients_in_the_confusion_matrix_as_there_are() -> None:
    scores = classification_scores(cohort([(1, 0.9), (1, 0.4), (1, 0.5), (0, 0.6), (0, 0.1)]))
    assert scores.confusion.model_dump() == {
        "true_positives": 2,
        "false_negatives": 1,
        "false_positives": 1,
        "true_negatives": 1,
    }
    assert scores.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


@given(RATED, st.randoms())
def test_the_order_of_patients_changes_nothing_but_rounding(rated: list[tuple[int, float]], random) -> None:
    shuffled = list(rated)
    random.shuffle(shuffled)
    before, after = (classification_scores(cohort(one)).model_dump(exclude=DRAWN) for one in (rated, shuffled))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == (pytest.approx(value) if isinstance(value, float) else value), name


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_gives_no_auroc_and_no_crash(label: int) -> None:
    scores = classification_scores(cohort([(label, 0.2), (label, 0.7), (label, 0.9)]))
    assert scores.auroc is None
    assert scores.auroc_ci is None
    assert (scores.sensitivity is None) == (label == 0)
    assert (scores.specificity is None) == (label == 1)
    assert scores.accuracy == pytest.approx(2 / 3 if label else 1 / 3)


def test_a_single_patient_has_no_interval_that_needs_spread() -> None:
    scores = classification_scores(cohort([(1, 0.7)]))
    assert scores.brier_ci is None
    assert scores.accuracy_ci[0] < 0.5


def test_a_patient_is_the_mean_of_their_cases_and_positive_if_any_is() -> None:
    patient = of_patient("p-000000000000", [case(0, 0, 0.2), case(1, 1, 0.6)])
    assert patient.probability == pytest.approx(0.4)
    assert patient.label == 1


def test_a_patient_with_many_cases_counts_once() -> None:
    many = of_patient("p-00000000000a", [case(number, 1, 0.9) for number in range(9)])
    few = cohort([(0, 0.8), (1, 0.7)])
    assert classification_scores([many, *few]).accuracy == pytest.approx(2 / 3)
