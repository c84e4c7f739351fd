"""What epsilon means to a person: bounds on every attack, the price of a search, the cost of counting images."""

import math

import numpy as np
import pytest
from scipy import stats

from dpmed.core.errors import ConfigError
from dpmed.core.specs import Attacks
from dpmed.privacy.account import Counting, of_runs
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.alternatives import image_sampling_epsilon, tuned_epsilon
from dpmed.privacy.calibration import noise_multiplier_for, sample_rate_for, steps_for
from dpmed.privacy.charts import spent_over_steps
from dpmed.privacy.explain import explained
from dpmed.privacy.meaning import attacks, receiver_curve
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.privacy.numbers import Numbers, of_numbers
from dpmed.privacy.planning import batches, choices

DELTA = 1e-5


def run(rate: float, noise: float, steps: int, **values: int) -> MechanismRun:
    return MechanismRun(sample_rate=rate, noise_multiplier=noise, steps=steps, **values)


@pytest.mark.parametrize(("noise", "found"), [(8.4072, 0.0024), (1.5287, 0.072), (0.9096, 0.54)])
def test_the_best_attack_finds_what_was_published(noise, found):
    """Epsilon 1, 8 and 20 at sample rate 0.05 and 2,000 steps."""
    bounds = attacks([run(0.05, noise, 2000)])
    assert bounds.tpr_at_fpr["0.001"] == pytest.approx(found, rel=0.01)


def test_the_best_attack_on_one_gaussian_is_the_known_one():
    """Neyman and Pearson: one Gaussian step over all patients has the power of a normal shift."""
    noise = 1.3
    false, true = receiver_curve([run(1.0, noise, 1)])
    wanted = stats.norm.cdf(stats.norm.ppf(false) + 1 / noise)
    np.testing.assert_allclose(true, wanted, atol=2e-3)
    assert (true >= wanted - 1e-6).all()
    accuracy = attacks([run(1.0, noise, 1)]).balanced_accuracy
    assert accuracy == pytest.approx(stats.norm.cdf(0.5 / noise), abs=1e-4)


def test_a_record_is_rebuilt_no_more_often_than_told_apart():
    prior = 0.01
    bounds = attacks([run(0.05, 1.5287, 2000)], prior=prior)
    assert prior < bounds.reconstruction < math.exp(8) * prior + DELTA
    assert bounds.reconstruction == pytest.approx(0.2401, abs=0.003)


def test_nothing_released_is_nothing_but_guessing():
    assert attacks([]) == Attacks(
        tpr_at_fpr={"0.001": 0.001, "0.01": 0.01}, balanced_accuracy=0.5, reconstruction=1e-4, prior=1e-4
    )


def test_a_search_of_no_tries_is_refused():
    with pytest.raises(ConfigError, match="more than one"):
        tuned_epsilon([run(0.05, 4.0, 10)], delta=DELTA, mean_tries=1)


def test_a_patient_of_one_image_pays_the_same_either_way():
    mechanism = run(0.02, 2.0, 500)
    got = image_sampling_epsilon(mechanism, delta=DELTA, images_per_patient=1)
    assert got == pytest.approx(epsilon([mechanism], delta=DELTA), abs=1e-3)


def test_replacing_costs_more_than_removing_and_zeroing_the_same():
    mechanism = [run(0.01, 1.0, 5000)]
    assert epsilon(mechanism, delta=DELTA) == pytest.approx(4.2019, abs=1e-3)
    assert epsilon(mechanism, delta=DELTA, neighbouring="zero-out") == pytest.approx(4.2019, abs=1e-3)
    assert epsilon(mechanism, delta=DELTA, neighbouring="replace-one") == pytest.approx(7.146, abs=2e-3)


def test_truncation_costs_more_than_plain_poisson_and_nearly_nothing_far_out():
    plain = epsilon([run(0.01, 1.0, 100)], delta=DELTA)
    near, far = (epsilon([run(0.01, 1.0, 100, truncate_at=at, patients=10_000)], delta=DELTA) for at in (130, 190))
    assert far == pytest.approx(plain, abs=1e-3)
    assert near > plain + 0.1
    with pytest.raises(ConfigError, match="sampling"):
        epsilon([run(0.01, 1.0, 100, truncate_at=130, patients=10_000)], delta=DELTA, accountant="prv")


def test_a_target_gives_steps_or_rate_that_just_fit():
    assert steps_for(8.0, delta=DELTA, run=run(0.05, 1.5287, 1)) == 2000
    rate = sample_rate_for(8.0, delta=DELTA, run=run(1.0, 1.5287, 2000))
    assert rate == pytest.approx(0.05, abs=1e-4)
    assert epsilon([run(rate, 1.5287, 2000)], delta=DELTA) <= 8.0
    assert epsilon([run(rate + 1e-4, 1.5287, 2000)], delta=DELTA) > 8.0 - 1e-3


def test_a_target_that_allows_everything_or_nothing_says_so():
    assert sample_rate_for(50.0, delta=DELTA, run=run(1.0, 5.0, 3)) == 1.0
    with pytest.raises(ConfigError, match="one step"):
        steps_for(0.1, delta=DELTA, run=run(1.0, 1.0, 1))


def test_bare_numbers_leave_exactly_one_open():
    by = Counting(delta=DELTA)
    for wrong in (
        Numbers(sample_rate=0.1, noise_multiplier=1.0),
        Numbers(sample_rate=0.1, noise_multiplier=1.0, steps=10, target_epsilon=1.0),
        Numbers(sample_rate=0.1, target_epsilon=1.0),
        Numbers(sample_rate=0.1, noise_multiplier=1.0, steps=10, truncate_at=5),
    ):
        with pytest.raises(ConfigError):
            of_numbers(wrong, by)


def test_a_delta_that_would_allow_publishing_a_patient_is_warned_of():
    mechanism = [run(0.1, 2.0, 10)]
    assert of_runs("x", mechanism, Counting(delta=1e-3), patients=999).warnings == ()
    (warning,) = of_runs("x", mechanism, Counting(delta=1e-3), patients=1000).warnings
    assert "1/1000" in warning and "1e-04" in warning


def test_delta_follows_from_the_number_of_patients_where_it_is_left_out():
    account = of_numbers(Numbers(sample_rate=0.1, noise_multiplier=2.0, steps=10, patients=288), Counting())
    assert account.delta == 3e-4 and not account.warnings
    with pytest.raises(ConfigError, match="open"):
        of_numbers(Numbers(sample_rate=0.1, noise_multiplier=2.0, steps=10), Counting())


def test_larger_batches_leave_less_noise_in_the_mean_at_the_same_epsilon():
    found = batches(target=8.0, delta=1e-3, steps=200, patients=202, also=33)
    assert [batch.expected_batch_size for batch in found] == [3, 6, 13, 25, 33, 50, 101, 202]
    noise = [batch.noise_per_patient for batch in found]
    assert noise == sorted(noise, reverse=True)
    for batch in found[::3]:
        spent = epsilon([run(batch.sample_rate, batch.noise_multiplier, 200)], delta=1e-3)
        assert 8.0 - 0.02 < spent <= 8.0


def test_a_board_sees_attacks_grow_with_epsilon():
    found = choices(run(0.25, 1.0, 50), delta=1e-3)
    assert [choice.epsilon for choice in found] == [1, 3, 8, 20]
    rates = [choice.attacks.tpr_at_fpr["0.001"] for choice in found]
    assert rates == sorted(rates) and rates[0] < 0.01 < rates[-1]
    again = noise_multiplier_for(3.0, delta=1e-3, run=run(0.25, 1.0, 50))
    assert found[1].noise_multiplier == pytest.approx(again, rel=2e-3)


def test_spending_over_steps_ends_at_the_account_and_never_falls():
    runs = [run(0.1, 2.0, 40), run(0.2, 3.0, 25)]
    steps, spent = spent_over_steps(runs, DELTA)
    assert (steps[0], spent[0], steps[-1]) == (0, 0.0, 65)
    assert spent == sorted(spent)
    assert spent[-1] == pytest.approx(epsilon(runs, delta=DELTA), abs=1e-4)


def test_what_has_no_guarantee_is_not_explained():
    account = of_runs("x", [run(0.1, 2.0, 10)], Counting(delta=DELTA)).model_copy(update={"epsilon": None})
    with pytest.raises(ConfigError, match="no guarantee"):
        explained(account, explain=True)
