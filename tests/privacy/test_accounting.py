"""The number is the product: published values, two code bases, round trips, and composition."""

import csv
from fractions import Fraction
from pathlib import Path

import pytest

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import PrivacyRecipe
from dpmed.core.specs import Entry
from dpmed.privacy.accounting import agrees, epsilon, second_opinions
from dpmed.privacy.calibration import EpsilonCurve, max_steps_for, noise_multiplier_for
from dpmed.privacy.mechanisms import MechanismRun, mechanism_runs
from dpmed.privacy.spec import privacy_spec

ROWS = list(csv.DictReader((Path(__file__).parent / "epsilon_reference.csv").read_text().splitlines()))


def _run(rate: float, noise: float, steps: int) -> MechanismRun:
    return MechanismRun(sample_rate=rate, noise_multiplier=noise, steps=steps)


def _entry(step: int, noise: float = 1.0, mechanism: str = "poisson-subsampled-gaussian") -> Entry:
    return Entry(step=step, mechanism=mechanism, sample_rate=0.1, noise_multiplier=noise, clip_norm=1.0)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['source']} {row['accountant']}" for row in ROWS])
def test_epsilon_equals_the_reference(row):
    run = _run(float(Fraction(row["sample_rate"])), float(row["noise_multiplier"]), int(row["steps"]))
    got = epsilon([run], delta=float(row["delta"]), accountant=row["accountant"])
    expected = float(row["epsilon"])
    if row["tolerance"] == "at most":
        assert got <= expected
    else:
        assert got == pytest.approx(expected, abs=float(row["tolerance"]))


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.01, 4.0, 10000), (0.5, 2.7, 120), (1.0, 5.0, 50)])
def test_two_code_bases_agree(rate, noise, steps):
    run = _run(rate, noise, steps)
    reported = epsilon([run], delta=1e-4)
    assert agrees(reported, second_opinions([run], delta=1e-4))


def test_a_wrong_epsilon_is_not_supported_by_the_second_opinions():
    run = _run(0.04, 1.5, 500)
    reported, opinions = epsilon([run], delta=1e-5), second_opinions([run], delta=1e-5)
    assert not agrees(reported * 0.95, opinions)
    assert not agrees(reported * 1.05, opinions)


@pytest.mark.parametrize(("target", "rate", "steps"), [(8.0, 0.3, 60), (1.0, 0.04, 2000), (0.3, 0.01, 100)])
def test_target_epsilon_round_trips_and_is_never_passed(target, rate, steps):
    noise = noise_multiplier_for(target, delta=1e-4, sample_rate=rate, steps=steps)
    spent = epsilon([_run(rate, noise, steps)], delta=1e-4)
    assert target - 1e-3 <= spent <= target


@pytest.mark.parametrize("target", [1e-9, 1e4])
def test_a_target_that_no_sensible_noise_meets_is_refused(target):
    with pytest.raises(ConfigError, match="epsilon"):
        noise_multiplier_for(target, delta=1e-5, sample_rate=0.1, steps=100)


@pytest.mark.parametrize("noise", [0.2, 0.01])
def test_noise_too_small_to_protect_anybody_is_refused_at_once(noise):
    with pytest.raises(ConfigError, match="protects nobody"):
        epsilon([_run(0.3, noise, 120)], delta=1e-3)
    recipe = PrivacyRecipe(epsilon=8, delta=1e-3, expected_batch_size=30, steps=120, noise_multiplier=noise)
    with pytest.raises(ConfigError, match="protects nobody"):
        privacy_spec(recipe, patients=100)


def test_runs_compose_like_one_long_run():
    parts = [_run(0.1, 2.0, 30), _run(0.1, 2.0, 70)]
    assert epsilon(parts, delta=1e-5) == pytest.approx(epsilon([_run(0.1, 2.0, 100)], delta=1e-5), abs=1e-6)


def test_no_step_costs_nothing():
    assert epsilon([], delta=1e-5) == 0.0


def test_ledger_entries_become_runs():
    entries = [_entry(0), _entry(1), _entry(2, noise=2.0), _entry(3)]
    assert mechanism_runs(entries) == (_run(0.1, 1.0, 2), _run(0.1, 2.0, 1), _run(0.1, 1.0, 1))


def test_a_step_without_noise_has_no_epsilon():
    with pytest.raises(ValueError, match="no finite epsilon"):
        mechanism_runs([_entry(0), _entry(1, noise=0.0, mechanism="none")])


def test_most_affordable_steps_fit_and_one_more_does_not():
    before, run = [_run(0.1, 2.0, 50)], _run(0.2, 2.0, 200)
    limit = epsilon([*before, run.model_copy(update={"steps": 80})], delta=1e-4) + 1e-3
    assert max_steps_for(limit, before=before, run=run, delta=1e-4) == 80


def test_the_live_epsilon_is_never_below_the_truth_and_ends_at_it():
    run = _run(0.2, 2.0, 110)
    curve = EpsilonCurve(run, delta=1e-4, points=5)
    for steps in (1, 21, 22, 23, 60, 109, 110):
        assert curve.upper_bound(steps) >= epsilon([run.model_copy(update={"steps": steps})], delta=1e-4)
    assert curve.upper_bound(110) == pytest.approx(epsilon([run], delta=1e-4), abs=1e-3)
