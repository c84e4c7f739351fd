"""Poisson sampling: each patient alone, with the stated rate, also none and also all."""

import numpy as np
import pytest

from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.sampling import poisson_sample, truncated

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


def test_a_small_draw_is_not_cut():
    assert truncated(PATIENTS[:5], 5, SecureSource.system()) == PATIENTS[:5]


def test_a_large_draw_is_cut_to_an_even_choice_in_order():
    counts = dict.fromkeys(PATIENTS[:8], 0)
    for _ in range(4000):
        kept = truncated(PATIENTS[:8], 3, SecureSource.system())
        assert len(kept) == 3 and list(kept) == sorted(kept)
        for patient in kept:
            counts[patient] += 1
    # each is kept with 3/8: mean 1,500, standard deviation 31
    assert np.abs(np.array(list(counts.values())) - 1500).max() < 6 * 31
