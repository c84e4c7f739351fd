"""DP-BandMF: the matrix is what the proof needs, the noise is what the matrix says, and one band is DP-SGD."""

import copy
import math
import pickle

import numpy as np
import pytest
from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag, solve_triangular, toeplitz

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import PrivacyRecipe
from dpmed.privacy.accounting import agrees, epsilon, second_opinions
from dpmed.privacy.banded import BandedNoise, square_root
from dpmed.privacy.calibration import EpsilonCurve, noise_multiplier_for
from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.mechanisms import MechanismRun, mechanism_runs, run_of
from dpmed.privacy.sampling import of_turn
from dpmed.privacy.spec import privacy_spec

DELTA = 1e-5


def matrix(bands: int, steps: int, *, momentum: float = 0.0) -> np.ndarray:
    """C, written out."""
    column = np.zeros(max(steps, bands))
    column[:bands] = square_root(bands, momentum=momentum)
    return toeplitz(column[:steps], np.zeros(steps))


@given(
    bands=st.integers(1, 6), lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), momentum=st.floats(0, 0.99)
)
def test_a_patient_of_every_bands_th_step_weighs_one_a_step_also_across_resumes(bands, lengths, momentum):
    """Each resume starts a new block. Columns of one patient have norms of 1 at most, and nothing in common."""
    whole = block_diag(*(matrix(bands, steps, momentum=momentum) for steps in lengths))
    for turn in range(bands):
        gram = whole[:, turn::bands].T @ whole[:, turn::bands]
        assert (np.diag(gram) <= 1 + 1e-12).all()
        assert np.abs(gram - np.diag(np.diag(gram))).max(initial=0) == 0


def test_the_noise_is_that_of_the_inverse_matrix():
    noise, white = BandedNoise(4, momentum=0.9), np.random.default_rng(0).normal(size=(12, 50))
    rows = np.array([noise.correlated(row) for row in white])
    np.testing.assert_allclose(matrix(4, 12, momentum=0.9) @ rows, white, atol=1e-12)


def test_the_root_is_that_of_running_sums_with_momentum():
    sums = np.convolve(np.ones(30), 0.7 ** np.arange(30))[:30]
    root = square_root(30, momentum=0.7)
    root /= root[0]
    np.testing.assert_allclose(np.convolve(root, root)[:30], sums, rtol=1e-12)
    # worked by hand: 1 / sqrt(1 - x) = 1 + x / 2 + 3 x^2 / 8 + ..., of norm sqrt(1 + 1/4 + 9/64)
    np.testing.assert_allclose(square_root(3), np.array([8, 4, 3]) / math.sqrt(89))


def test_one_band_is_dp_sgd_to_the_bit():
    white = SecureSource.system().normals(1000)
    noise = BandedNoise(1, momentum=0.9)
    assert np.array_equal(noise.correlated(white), white) and np.array_equal(noise.correlated(white), white)
    recipe = PrivacyRecipe(epsilon=3.0, expected_batch_size=20, steps=40)
    banded = recipe.model_copy(update={"mechanism": "bandmf", "bands": 1})
    assert privacy_spec(banded, patients=200) == privacy_spec(recipe, patients=200)


@pytest.mark.parametrize(("bands", "steps", "participations"), [(4, 100, 25), (4, 101, 26), (3, 2, 1), (7, 50, 8)])
def test_a_patient_pays_for_every_bands_th_step(bands, steps, participations):
    run = MechanismRun(sample_rate=0.3, noise_multiplier=2.0, steps=steps, bands=bands)
    step = PoissonSampledDpEvent(0.3, GaussianDpEvent(2.0))
    own = PLDAccountant(value_discretization_interval=1e-4).compose(SelfComposedDpEvent(step, participations))
    assert epsilon([run], delta=DELTA) == own.get_epsilon(DELTA)
    assert agrees(epsilon([run], delta=DELTA), second_opinions([run], delta=DELTA))


def test_the_price_of_a_replaced_patient_is_not_guessed():
    run = MechanismRun(sample_rate=0.3, noise_multiplier=2.0, steps=20, bands=4)
    assert epsilon([run], delta=DELTA, neighbouring="zero-out") == pytest.approx(epsilon([run], delta=DELTA), abs=1e-6)
    with pytest.raises(ConfigError, match="groups"):
        epsilon([run], delta=DELTA, neighbouring="replace-one")


def test_the_live_epsilon_of_bands_is_never_below_the_truth():
    run = MechanismRun(sample_rate=0.3, noise_multiplier=2.0, steps=42, bands=4)
    curve = EpsilonCurve(run, delta=DELTA)
    for steps in (1, 4, 5, 17, 41, 42):
        assert curve.upper_bound(steps) >= epsilon([run.model_copy(update={"steps": steps})], delta=DELTA) - 1e-9


def test_the_weights_carry_less_noise_at_the_same_epsilon():
    """Few epochs: 24 steps of 33 among 200 patients. Measured on sums with momentum, which is what weights are."""
    bands, steps, momentum, target = 4, 24, 0.9, 8.0
    sums = toeplitz(np.convolve(np.ones(steps), momentum ** np.arange(steps))[:steps], np.zeros(steps))
    found = {}
    for count in (1, bands):
        run = MechanismRun(sample_rate=count * 33 / 200, noise_multiplier=1.0, steps=steps, bands=count)
        scale = noise_multiplier_for(target, delta=1e-3, run=run)
        noise = BandedNoise(count, momentum=momentum)
        rows = np.array([noise.correlated(SecureSource.system().normals(20_000)) for _ in range(steps)])
        found[count] = scale * np.sqrt(np.mean((sums @ rows) ** 2))
        root = matrix(count, steps, momentum=momentum)
        expected = scale * np.sqrt((solve_triangular(root, sums.T, lower=True, trans="T") ** 2).sum() / steps)
        assert found[count] == pytest.approx(expected, rel=0.02)
    assert found[bands] < 0.77 * found[1]


def test_a_patient_has_a_turn_in_every_bands_th_step_whoever_else_is_there():
    patients = tuple(f"p-{number:012x}" for number in range(400))
    turns = [of_turn(patients, step, 4) for step in range(8)]
    assert turns[:4] == turns[4:]
    assert sorted(name for turn in turns[:4] for name in turn) == sorted(patients)
    assert all(60 < len(turn) < 140 for turn in turns)  # 100 on average, standard deviation 8.7
    assert of_turn(patients[1:], 0, 4) == tuple(name for name in turns[0] if name != patients[0])
    assert of_turn(patients, 5, 1) == patients


def test_added_noise_cannot_be_copied_or_written_to_disk():
    noise = BandedNoise(3)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never copied"):
            attempt(noise)


def test_more_bands_than_the_cohort_has_batches_are_refused_with_a_cure():
    recipe = PrivacyRecipe(expected_batch_size=30, steps=40, mechanism="bandmf", bands=8)
    with pytest.raises(ConfigError, match="200") as caught:
        privacy_spec(recipe, patients=200)
    assert "--set privacy.bands=6" in caught.value.hint


def test_what_is_planned_is_what_the_ledger_adds_up_to():
    recipe = PrivacyRecipe(noise_multiplier=2.0, expected_batch_size=30, steps=9, mechanism="bandmf")
    spec = privacy_spec(recipe, patients=200)
    assert (spec.bands, spec.sample_rate, spec.entry(0).mechanism) == (4, pytest.approx(0.6), "bandmf")
    assert mechanism_runs(spec.entry(step) for step in range(9)) == (run_of(spec),)
