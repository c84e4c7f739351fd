"""The only way from a clipped sum to something that may be released."""

import torch
from torch import Tensor

from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.gradients import ClippedSum, NoisyGradient


def add_noise(
    clipped: ClippedSum, *, noise_multiplier: float, expected_batch_size: float, source: SecureSource
) -> NoisyGradient:
    """Add Gaussian noise of standard deviation `noise_multiplier * l2_bound` to the sum, then divide.

    Guarantees: the noise is scaled to the bound that the sum itself carries, so the two cannot drift apart; the
    divisor is fixed in advance, so the realised number of patients shows nowhere; noise is drawn and added in float64
    and rounded once, at the end.

    | case | result |
    |---|---|
    | empty batch | pure noise |
    | a sum without a bound | refused |
    | `noise_multiplier` not above 0 | refused |
    """
    if clipped.l2_bound is None or not noise_multiplier > 0:
        raise ValueError("noise needs a bounded sum and a positive noise_multiplier")
    scale = noise_multiplier * clipped.l2_bound
    return NoisyGradient(
        {
            name: ((value.double() + scale * _normals_like(value, source)) / expected_batch_size).to(value.dtype)
            for name, value in clipped.values.items()
        }
    )


def without_noise(clipped: ClippedSum, *, expected_batch_size: float) -> NoisyGradient:
    """The mean gradient of a non-private run. It carries no guarantee and must not leave the hospital as if it did."""
    return NoisyGradient({name: value / expected_batch_size for name, value in clipped.values.items()})


def _normals_like(value: Tensor, source: SecureSource) -> Tensor:
    return torch.from_numpy(source.normals(value.numel())).view(value.shape)
