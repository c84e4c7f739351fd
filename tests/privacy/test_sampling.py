"""Poisson sampling: each patient alone, with the stated rate, also none and also all."""

import pytest

from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.sampling import poisson_sample

PATIENTS = tuple(f"p-{number:012x}" for number in range(2000))


def test_each_patient_is_drawn_with_the_sample_rate():
    sizes = [len(poisson_sample(PATIENTS, 0.1, SecureSource.system())) for _ in range(50)]
    # 100,000 coins: mean 10,000, standard deviation 95
    assert abs(sum(sizes) - 10_000) < 6 * 95
    assert len(set(sizes)) > 5  # the size varies: it is not a fixed-size batch


def test_a_rate_of_one_draws_everybody_in_order():
    assert poisson_sample(PATIENTS, 1.0, SecureSource.system()) == PATIENTS


def test_an_empty_draw_is_an_ordinary_result():
    draws = [poisson_sample(PATIENTS[:1], 0.01, SecureSource.system()) for _ in range(50)]
    assert () in draws


def test_two_draws_differ():
    one, other = (poisson_sample(PATIENTS, 0.5, SecureSource.system()) for _ in range(2))
    assert one != other


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(rate):
    with pytest.raises(ValueError, match="sample_rate"):
        poisson_sample(PATIENTS, rate, SecureSource.system())
