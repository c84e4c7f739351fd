"""Classification results against hand computation and independent formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dpmed.evaluate.classification import classification_scores, expected_calibration_error, of_patient
from dpmed.evaluate.intervals import auroc
from dpmed.evaluate.results import ClassifiedCase, ClassifiedPatient

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


def test_calibration_error_worked_by_hand() -> None:
    # Bin [0.2, 0.3): mean probability 0.25, none positive: 0.25 x 2 patients. Bin [0.9, 1]: mean 0.95, one of two
    # positive: 0.45 x 2. Bin [0.6, 0.7): 0.6, positive: 0.4 x 1. Sum 1.8, over 5 patients 0.36.
    probabilities = np.array([0.22, 0.28, 0.9, 1.0, 0.6])
    assert expected_calibration_error(np.array([0, 0, 1, 0, 1]), probabilities) == pytest.approx(0.36)


def test_certain_and_right_is_calibrated() -> None:
    assert expected_calibration_error(np.array([0, 1, 1]), np.array([0.0, 1.0, 1.0])) == 0


@given(RATED, st.randoms())
def test_the_order_of_patients_changes_nothing_but_rounding(rated: list[tuple[int, float]], random) -> None:
    shuffled = list(rated)
    random.shuffle(shuffled)
    before, after = (
        classification_scores(cohort(one)).model_dump(exclude={"brier_ci", "auroc_ci"}) for one in (rated, shuffled)
    )
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
