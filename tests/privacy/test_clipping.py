"""Clipping bounds what one patient can do, in every mode and at every edge."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dpmed.core.specs import ClippingSpec
from dpmed.privacy.clipping import clip, clip_batch, l2_bound

MODES = st.sampled_from(["flat", "per-layer"])
SCALES = st.floats(1e-6, 1e6)
BOUNDS = st.floats(1e-3, 1e3)


def _gradients(seed: int, scale: float, patients: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3, 4), "b": (5,), "c": (2, 2, 2)}
    return {n: scale * torch.randn((patients, *s), generator=generator, dtype=torch.float64) for n, s in shapes.items()}


def _norm(gradient: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float(tensor.square().sum()) for tensor in gradient.values()))


@given(MODES, SCALES, BOUNDS, st.integers(0, 1000))
def test_no_patient_passes_the_bound(mode, scale, bound, seed):
    total, _ = clip_batch(_gradients(seed, scale), ClippingSpec(mode=mode, l2_clip_norm=bound))
    assert _norm(total) <= bound * (1 + 1e-12)


@given(MODES, BOUNDS, st.integers(0, 1000))
def test_a_gradient_below_the_bound_is_unchanged(mode, bound, seed):
    gradients = _gradients(seed, 1.0)
    small = {name: tensor * (0.1 * bound / _norm(gradients)) for name, tensor in gradients.items()}
    total, clipped = clip_batch(small, ClippingSpec(mode=mode, l2_clip_norm=bound))
    assert clipped == 0
    for name, tensor in small.items():
        torch.testing.assert_close(total[name], tensor[0], rtol=1e-12, atol=0)


@given(MODES, st.integers(0, 1000), st.integers(1, 5))
def test_a_batch_is_the_sum_of_its_patients_clipped_alone(mode, seed, patients):
    spec = ClippingSpec(mode=mode, l2_clip_norm=1.0)
    gradients = _gradients(seed, 1.0, patients)
    total, count = clip_batch(gradients, spec)
    alone = [clip({name: tensor[i] for name, tensor in gradients.items()}, spec) for i in range(patients)]
    for name in gradients:
        torch.testing.assert_close(total[name], sum(one[name] for one, _ in alone), rtol=1e-10, atol=1e-12)
    assert count == sum(clipped for _, clipped in alone)


@pytest.mark.parametrize("mode", ["flat", "per-layer"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("bound", [1.0, None])
def test_a_value_that_is_not_finite_makes_the_whole_patient_zero(mode, value, bound):
    gradients = _gradients(0, 1.0, 2)
    gradients["b"][1, 2] = value
    spec = ClippingSpec(mode=mode, l2_clip_norm=bound)
    total, _ = clip_batch(gradients, spec)
    alone, _ = clip({name: tensor[0] for name, tensor in gradients.items()}, spec)
    for name in gradients:
        torch.testing.assert_close(total[name], alone[name])


@pytest.mark.parametrize("mode", ["flat", "per-layer"])
def test_zero_norm_gives_zeros(mode):
    zeros = {name: torch.zeros_like(tensor) for name, tensor in _gradients(0, 1.0).items()}
    total, clipped = clip_batch(zeros, ClippingSpec(mode=mode, l2_clip_norm=1.0))
    assert clipped == 0 and all(not tensor.any() for tensor in total.values())


def test_flat_clipping_worked_by_hand():
    # norm of (3, 4) over two tensors is 5; clipped to 1 it is (0.6, 0.8)
    gradient = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
    bounded, clipped = clip(gradient, ClippingSpec(l2_clip_norm=1.0))
    assert clipped and bounded["a"].item() == pytest.approx(0.6) and bounded["b"].item() == pytest.approx(0.8)


def test_per_layer_clipping_shares_the_bound_equally():
    # two layers, bound 1: each at most 1/sqrt(2), so the whole has norm 1
    gradient = {"a": torch.tensor([3.0]), "b": torch.tensor([4.0])}
    bounded, _ = clip(gradient, ClippingSpec(mode="per-layer", l2_clip_norm=1.0))
    assert bounded["a"].item() == bounded["b"].item() == pytest.approx(1 / math.sqrt(2))


def test_the_bound_is_the_clip_norm_in_either_mode():
    assert l2_bound(ClippingSpec(mode="flat", l2_clip_norm=0.5)) == 0.5
    assert l2_bound(ClippingSpec(mode="per-layer", l2_clip_norm=0.5)) == 0.5
    assert l2_bound(ClippingSpec(l2_clip_norm=None)) is None
