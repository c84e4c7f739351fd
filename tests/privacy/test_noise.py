"""Noise: the right size, the right shape, never the same twice, and from the operating system's entropy."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.utils import set_determinism
from scipy import stats

from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.gradients import ClippedSum, CuratorNotes
from dpmed.privacy.noise import GRAIN, add_noise, spacing, without_noise

NOTES = CuratorNotes(patients=0, loss_sum=0.0, clipped=0)


def _zeros(count: int, bound: float | None) -> ClippedSum:
    return ClippedSum({"a": torch.zeros(count // 2), "b": torch.zeros(count // 2)}, bound, NOTES)


def _noise(count: int = 1000, *, sigma: float = 1.0, bound: float = 1.0, source: SecureSource | None = None):
    source = source or SecureSource.system()
    noisy = add_noise(_zeros(count, bound), noise_multiplier=sigma, expected_batch_size=1.0, draw=source.normals)
    return torch.cat(list(noisy.values.values()))


def test_noise_has_the_promised_spread_within_one_percent():
    noise = _noise(1_000_000, sigma=1.7, bound=0.3).double()
    assert noise.std().item() == pytest.approx(1.7 * 0.3, rel=0.01)
    assert abs(noise.mean().item()) < 5 * 1.7 * 0.3 / 1000
    assert abs(stats.skew(noise.numpy())) < 0.02 and abs(stats.kurtosis(noise.numpy())) < 0.03


def test_noise_is_gaussian_and_uncorrelated():
    noise = SecureSource.fixed(0, "a test of shape").normals(200_000)
    assert stats.kstest(noise, "norm").pvalue > 1e-3
    for lag in (1, 2, 100_000):
        assert abs(np.corrcoef(noise[:-lag], noise[lag:])[0, 1]) < 0.02


def test_two_draws_never_repeat():
    source = SecureSource.system()
    draws = [_noise(source=source), _noise(source=source), _noise()]
    assert not any(torch.equal(draws[i], draws[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_a_seed_that_everybody_uses_repeats_nothing():
    """Training scripts call `set_determinism` with a published seed: elsewhere that repeats the noise bit for bit."""
    draws = []
    for _ in range(2):
        set_determinism(0)
        draws.append(_noise())
    set_determinism(None)
    assert not torch.equal(*draws)


def test_a_demo_seed_repeats_the_noise_and_its_purpose_changes_it():
    one, same, other = (SecureSource.fixed(5, purpose) for purpose in ("noise", "noise", "sampling"))
    first = one.normals(100)
    assert np.array_equal(first, same.normals(100))
    assert not np.array_equal(first, other.normals(100))


def test_the_divisor_is_the_expected_size():
    total = ClippedSum({"w": torch.full((4,), 100.0)}, 1.0, NOTES)
    noisy = add_noise(total, noise_multiplier=1e-6, expected_batch_size=50.0, draw=SecureSource.system().normals)
    torch.testing.assert_close(noisy.values["w"], torch.full((4,), 2.0))
    plain = without_noise(total, expected_batch_size=50.0)
    torch.testing.assert_close(plain.values["w"], torch.full((4,), 2.0))


def test_an_empty_batch_is_released_as_pure_noise():
    assert _noise(10).abs().min() > 0


@pytest.mark.parametrize(("bound", "sigma"), [(None, 1.0), (1.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_a_sum_is_never_released_without_a_bound_or_noise(bound, sigma):
    with pytest.raises(ValueError, match="bounded sum"):
        add_noise(
            _zeros(10, bound), noise_multiplier=sigma, expected_batch_size=1.0, draw=SecureSource.system().normals
        )


def test_a_source_cannot_be_copied_or_written_to_disk():
    source = SecureSource.system()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never copied"):
            attempt(source)


def test_uniforms_fill_the_open_interval_evenly():
    values = SecureSource.system().uniforms(100_000)
    assert values.min() > 0 and values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 1e-6


def _draws_in_a_process(count, answer):
    answer.put([SecureSource.system().normals(count) for _ in range(2)])


def test_noise_of_other_steps_processes_and_resumes_is_unrelated():
    """A forked process starts as a copy of this one: a generator kept in memory would repeat itself there."""
    count, context = 50_000, multiprocessing.get_context("fork")
    answer = context.Queue()
    workers = [context.Process(target=_draws_in_a_process, args=(count, answer)) for _ in range(2)]
    for worker in workers:
        worker.start()
    draws = [draw for _ in workers for draw in answer.get()] + [SecureSource.system().normals(count)]
    for worker in workers:
        worker.join()
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 6 / np.sqrt(count)


def _last_digits(sums: torch.Tensor, *, on_lattice: bool) -> np.ndarray:
    """Whether each released number is a multiple of 2^-53: every float64 from 0.5 on is, few smaller ones are."""
    if on_lattice:
        total = ClippedSum({"w": sums}, 1.0, NOTES)
        noisy = add_noise(total, noise_multiplier=1.0, expected_batch_size=1.0, draw=SecureSource.system().normals)
        released = noisy.values["w"].numpy()
    else:
        released = sums.numpy() + SecureSource.system().normals(len(sums))
    return np.ldexp(released, 53) % 1 == 0


def test_the_gaps_between_floats_tell_nothing_about_the_sum():
    """Mironov's attack: added as floats, a sum of 1 leaves other last digits than a sum of 0; on the lattice not."""
    count = 20_000
    without, with_patient = torch.zeros(count, dtype=torch.float64), torch.ones(count, dtype=torch.float64)
    naive = [_last_digits(sums, on_lattice=False).mean() for sums in (without, with_patient)]
    assert naive[1] - naive[0] > 0.2
    ours = [_last_digits(sums, on_lattice=True).mean() for sums in (without, with_patient)]
    assert ours == [1.0, 1.0]


@pytest.mark.parametrize("total", [0.0, 0.3, 1 / 3, 1e-9])
def test_last_digits_come_from_the_noise_alone(total):
    count = 64_000
    sums = ClippedSum({"w": torch.full((count,), total, dtype=torch.float64)}, 1.0, NOTES)
    noisy = add_noise(sums, noise_multiplier=1.0, expected_batch_size=1.0, draw=SecureSource.system().normals)
    multiples = (noisy.values["w"] / spacing(1.0, count)).numpy()
    assert (multiples == np.round(multiples)).all()
    digits = np.bincount((multiples % 16).astype(int), minlength=16)
    assert stats.chisquare(digits).pvalue > 1e-6


@given(st.integers(1, 400), st.floats(1e-4, 1e4), st.integers(0, 10_000))
def test_rounding_moves_neighbouring_sums_apart_by_no_more_than_the_noise_is_scaled_for(count, bound, seed):
    generator = np.random.default_rng(seed)
    others, patient = generator.normal(size=count) * 50 * bound, generator.normal(size=count)
    patient *= bound / np.linalg.norm(patient)
    step = spacing(bound, count)
    apart = np.round((others + patient) / step) - np.round(others / step)
    assert np.linalg.norm(apart * step) <= bound * (1 + GRAIN) * (1 + 1e-9)


def test_the_lattice_is_a_power_of_two_far_below_the_noise():
    for bound, count in ((1.0, 1), (0.3, 20_000), (1e-3, 10**8)):
        step = spacing(bound, count)
        assert np.frexp(step)[0] == 0.5
        assert GRAIN * bound / 2 < step * np.sqrt(count) <= GRAIN * bound
