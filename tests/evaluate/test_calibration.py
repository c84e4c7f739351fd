"""Probabilities against what is so: the error, what chance alone makes of it, its interval, the reliability curve."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from dpmed.evaluate.calibration import ece_if_calibrated, ece_interval, expected_calibration_error, reliability


def cohort(patients: int, *, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from the truth, and probabilities that are too sure of it by a factor in their log odds."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.2, patients)
    labels = (rng.random(patients) < 1 / (1 + np.exp(-odds))).astype(int)
    return labels, 1 / (1 + np.exp(-sharpness * odds))


def test_calibration_error_worked_by_hand() -> None:
    # Bin [0.2, 0.3): mean probability 0.25, none positive: 0.25 x 2 patients. Bin [0.9, 1]: mean 0.95, one of two
    # positive: 0.45 x 2. Bin [0.6, 0.7): 0.6, positive: 0.4 x 1. Sum 1.8, over 5 patients 0.36.
    probabilities = np.array([0.22, 0.28, 0.9, 1.0, 0.6])
    assert expected_calibration_error(np.array([0, 0, 1, 0, 1]), probabilities) == pytest.approx(0.36)


def test_certain_and_right_is_calibrated() -> None:
    assert expected_calibration_error(np.array([0, 1, 1]), np.array([0.0, 1.0, 1.0])) == 0


def test_the_error_of_resamples_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 2, (20, 15)), rng.random((20, 15))
    expected = [expected_calibration_error(*one) for one in zip(labels, said, strict=True)]
    assert expected_calibration_error(labels, said) == pytest.approx(expected)


def test_the_reliability_curve_is_that_of_sklearn() -> None:
    labels, said = cohort(300, seed=0)
    share, mean = calibration_curve(labels, said, n_bins=10)
    found = reliability(labels, said)
    assert [one.positive_share for one in found] == pytest.approx(share.tolist(), abs=1e-6)
    assert [one.mean_probability for one in found] == pytest.approx(mean.tolist(), abs=1e-6)
    assert sum(one.patients for one in found) == 300
    weights = np.array([one.patients for one in found]) / 300
    gaps = [abs(one.positive_share - one.mean_probability) for one in found]
    assert np.dot(weights, gaps) == pytest.approx(expected_calibration_error(labels, said))


def test_the_error_by_chance_is_worked_out_by_hand_for_one_patient() -> None:
    # 0.5 is off by 0.5 whatever happens; 0.8 by 0.2 four times in five and by 0.8 once: 0.32.
    assert ece_if_calibrated(np.array([0.5])) == pytest.approx(0.5)
    assert ece_if_calibrated(np.array([0.8])) == pytest.approx(0.32, abs=0.02)


def test_the_error_of_a_calibrated_model_is_what_chance_makes_of_it() -> None:
    errors = [expected_calibration_error(*cohort(40, seed=seed)) for seed in range(200)]
    assert np.mean(errors) == pytest.approx(ece_if_calibrated(cohort(40, seed=0)[1]), rel=0.15)


def test_the_interval_covers_the_error_of_a_model_that_is_too_sure() -> None:
    truth = expected_calibration_error(*cohort(200_000, seed=0, sharpness=3))
    intervals = [ece_interval(*cohort(100, seed=seed, sharpness=3)) for seed in range(1, 101)]
    assert np.mean([low <= truth <= high for low, high in intervals]) > 0.84


def test_the_interval_of_a_model_that_always_says_the_same_is_that_of_the_share_of_positives() -> None:
    labels, said = np.repeat([1, 0], [30, 20]), np.full(50, 0.9)
    low, high = ece_interval(labels, said)
    assert (low, high) == pytest.approx((0.9 - 0.6 - 0.136, 0.9 - 0.6 + 0.136), abs=0.03)
