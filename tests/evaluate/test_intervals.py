"""Intervals over patients: they hold the estimate, shrink with patients, and cover the truth as often as they say."""

import numpy as np
import pytest

from dpmed.evaluate.intervals import auroc, auroc_interval, mean_interval, share_interval


def scores(patients: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(1, 1, patients), rng.normal(0, 1, patients)


@pytest.mark.parametrize("patients", [5, 40])
def test_the_interval_holds_the_estimate(patients: int) -> None:
    sick, healthy = scores(patients)
    low, high = auroc_interval(sick, healthy)
    assert low <= auroc(sick, healthy) <= high
    low, high = mean_interval(sick)
    assert low <= sick.mean() <= high


def test_the_interval_shrinks_with_patients() -> None:
    def typical_width(patients: int) -> float:
        intervals = [auroc_interval(*scores(patients, seed=seed)) for seed in range(8)]
        return float(np.mean([high - low for low, high in intervals]))

    widths = [typical_width(patients) for patients in (10, 40, 160)]
    # Sixteen times the patients, a quarter of the width, as a standard error has it.
    assert widths[0] > widths[1] > widths[2]
    assert widths[2] == pytest.approx(widths[0] / 4, rel=0.25)


def test_the_interval_of_a_mean_is_that_of_the_central_limit() -> None:
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = mean_interval(values)
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth = 0.7602  # of two unit normals one apart: the normal distribution function at 1 / sqrt(2)
    covered = [low <= truth <= high for low, high in (auroc_interval(*scores(30, seed=seed)) for seed in range(100))]
    assert 0.87 <= np.mean(covered) <= 1.0


def test_the_same_patients_give_the_same_interval() -> None:
    assert auroc_interval(*scores(20)) == auroc_interval(*scores(20))


def test_each_class_is_resampled_on_its_own() -> None:
    # With all patients in one pot some resamples would lack the rare class, and AUROC would be undefined.
    sick, healthy = np.array([0.5, 0.7]), np.linspace(0, 1, 200)
    low, high = auroc_interval(sick, healthy)
    assert 0.4 < low < high < 0.8


@pytest.mark.parametrize("alone", [0, 1])
def test_a_single_patient_in_a_class_has_no_interval(alone: int) -> None:
    groups = [np.array([0.1, 0.2, 0.3])] * 2
    groups[alone] = np.array([0.5])
    assert auroc_interval(*groups) is None


def test_nobody_has_no_interval() -> None:
    assert mean_interval(np.array([])) is None


def test_how_many_are_positive_is_part_of_the_chance() -> None:
    # A model that always says 0.9 has a Brier score of 0.01 with a positive and 0.81 with a negative patient. Drawn
    # class by class, as many of each every time, its mean could not move at all.
    low, high = mean_interval(np.repeat([0.01, 0.81], 20))
    assert high - low > 0.2


def test_a_share_of_few_patients_is_not_certain_where_all_agree() -> None:
    low, high = share_interval(np.array([True] * 5))
    # Wilson with z = 1.96 and five of five: n / (n + z^2) to 1.
    assert low == pytest.approx(5 / (5 + 1.95996**2), abs=1e-4)
    assert high == 1
