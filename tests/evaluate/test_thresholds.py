"""Yes or no: what stands at a threshold against hand counts, and a threshold that others chose."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from dpmed.evaluate.classification import classification_scores, of_patient
from dpmed.evaluate.intervals import mean_of_shares_interval
from dpmed.evaluate.results import ClassifiedCase
from dpmed.evaluate.thresholds import at_threshold, has_both, youden_threshold

RATED = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda n: n / 20)), min_size=2, max_size=20)


def cohort(rated: list[tuple[int, float]]):
    cases = [
        ClassifiedCase(case=f"c-{n:012x}", label=label, probability=probability, slice=0)
        for n, (label, probability) in enumerate(rated)
    ]
    return [of_patient(f"p-{number:012x}", [case]) for number, case in enumerate(cases)]


def arrays(rated: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([label for label, _ in rated]), np.array([probability for _, probability in rated])


def youden(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> float:
    called = probabilities >= threshold
    return called[labels == 1].mean() + (~called)[labels == 0].mean() - 1


@given(RATED)
def test_no_threshold_has_a_larger_youden_index(rated: list[tuple[int, float]]) -> None:
    labels, probabilities = arrays(rated)
    assume(has_both(labels))
    chosen = youden_threshold(labels, probabilities)
    best = max(youden(labels, probabilities, one) for one in np.linspace(0, 1, 201))
    assert youden(labels, probabilities, chosen) >= best - 1e-9


@given(RATED)
def test_a_chosen_threshold_is_no_patients_probability(rated: list[tuple[int, float]]) -> None:
    labels, probabilities = arrays(rated)
    assume(has_both(labels))
    chosen = youden_threshold(labels, probabilities)
    assert chosen not in probabilities or chosen == 0


def test_a_threshold_worked_by_hand() -> None:
    # From 0.6 on both positives and one of three negatives are called: J = 1 + 2/3 - 1. From 0.7 on: 1/2 + 1 - 1.
    labels, probabilities = np.array([1, 1, 0, 0, 0]), np.array([0.6, 0.9, 0.65, 0.4, 0.1])
    assert youden_threshold(labels, probabilities) == pytest.approx(0.5)  # half-way from 0.6 down to 0.4


def test_confusion_and_balanced_accuracy_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 60), rng.random(60)
    for threshold in (0.2, 0.5, 0.9):
        got, called = at_threshold(labels, probabilities, threshold), probabilities >= threshold
        counts = got["confusion"]
        expected = confusion_matrix(labels, called).ravel().tolist()
        found = [counts.true_negatives, counts.false_positives, counts.false_negatives, counts.true_positives]
        assert found == expected
        assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, called), abs=1e-6)


def test_the_interval_of_a_balanced_accuracy_has_a_width_where_all_agree() -> None:
    low, high = mean_of_shares_interval(np.array([True] * 5), np.array([True] * 5))
    assert high == 1
    assert 0.6 < low < 0.9


def test_the_interval_of_a_mean_of_shares_covers_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = [
        low <= 0.75 <= high
        for low, high in (mean_of_shares_interval(rng.random(25) < 0.9, rng.random(40) < 0.6) for _ in range(400))
    ]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_patients_are_judged_at_the_threshold_that_others_chose() -> None:
    validation = cohort([(1, 0.3), (1, 0.4), (0, 0.1), (0, 0.2)])
    judged = cohort([(1, 0.35), (1, 0.2), (0, 0.3), (0, 0.1)])
    scores = classification_scores(judged, validation=validation)
    assert (scores.threshold, scores.sensitivity) == (0.5, 0.0)
    chosen = scores.at_chosen_threshold
    assert chosen.threshold == pytest.approx(0.25)
    assert (chosen.sensitivity, chosen.specificity) == (0.5, 0.5)
    assert (chosen.chosen_on, chosen.chosen_on_positives) == (4, 2)


@pytest.mark.parametrize("validation", [[], [(1, 0.4), (1, 0.7)]])
def test_patients_of_one_class_choose_nothing(validation: list[tuple[int, float]]) -> None:
    scores = classification_scores(cohort([(1, 0.6), (0, 0.3)]), validation=cohort(validation))
    assert scores.at_chosen_threshold is None
