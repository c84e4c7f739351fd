"""The only way from a clipped sum to something that may be released.

Real numbers carry the proof; a machine has floating-point ones, and the gaps between those that `sum + noise` can take
depend on the sum: an attacker who looks at the last digits can rule sums out (Mironov 2012, Holohan & Braghin 2021).
Here sum and noise are rounded, each for itself, to whole multiples of one power of two, and added exactly. What is
released is then the rounded Gaussian mechanism on a lattice that is the same for every sum: its last digits come from
the noise alone. Rounding the noise is post-processing; rounding the sum moves two neighbouring sums apart by at most
one lattice spacing a weight, for which the bound is raised before noise is scaled to it. The accounting stays exact.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dpmed.privacy.gradients import ClippedSum, NoisyGradient

GRAIN = 2.0**-20
"""How much of the bound rounding all weights may add to it."""


def add_noise(
    clipped: ClippedSum, *, noise_multiplier: float, expected_batch_size: float, draw: Callable[[int], np.ndarray]
) -> NoisyGradient:
    """Add Gaussian noise of standard deviation `noise_multiplier * l2_bound` to the sum, then divide.

    `draw` gives so many float64 standard normals for this step.

    Guarantees: the noise is scaled to the bound that the sum itself carries, so the two cannot drift apart; the
    divisor is fixed in advance, so the realised number of patients shows nowhere; sum and noise are whole multiples of
    `spacing`, added without rounding, and rounded once to the weights' precision, at the end.

    | case | result |
    |---|---|
    | empty batch | pure noise |
    | a sum without a bound | refused |
    | `noise_multiplier` not above 0 | refused |
    """
    if clipped.l2_bound is None or not noise_multiplier > 0:
        raise ValueError("noise needs a bounded sum and a positive noise_multiplier")
    sizes = [value.numel() for value in clipped.values.values()]
    step = spacing(clipped.l2_bound, sum(sizes))
    scale = noise_multiplier * clipped.l2_bound * (1 + GRAIN)
    noise = np.rint(draw(sum(sizes)) * (scale / step))
    parts = np.split(noise, np.cumsum(sizes)[:-1])
    return NoisyGradient(
        {
            name: _released(value, torch.from_numpy(part).view(value.shape), step, expected_batch_size)
            for (name, value), part in zip(clipped.values.items(), parts, strict=True)
        }
    )


def spacing(l2_bound: float, count: int) -> float:
    """The lattice: the largest power of two of which one in each of `count` weights is at most `GRAIN` of the bound."""
    return float(2.0 ** math.floor(math.log2(GRAIN * l2_bound / math.sqrt(count))))


def without_noise(clipped: ClippedSum, *, expected_batch_size: float) -> NoisyGradient:
    """The mean gradient of a non-private run. It carries no guarantee and must not leave the hospital as if it did."""
    return NoisyGradient({name: value / expected_batch_size for name, value in clipped.values.items()})


def _released(value: Tensor, noise: Tensor, step: float, expected_batch_size: float) -> Tensor:
    """`noise` in whole steps. Below 2^53 whole numbers add up exactly, and a power of two divides without rounding."""
    multiples = (value.double() / step).round_().add_(noise.to(value.device))
    return multiples.mul_(step).div_(expected_batch_size).to(value.dtype)
