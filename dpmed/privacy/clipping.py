"""How much one patient can move the model: a gradient is scaled down to its bound (Abadi et al. 2016).

Guarantees: what `clip` returns, and each patient's part of what `clip_batch` adds up, has an L2 norm of at most
`l2_bound(spec)` over all tensors together, up to float rounding.

| case | result |
|---|---|
| norm below the bound | unchanged |
| zero norm | zeros |
| a value that is not finite, anywhere in the patient's gradient | zeros for the whole patient, silently |
| no bound (`l2_clip_norm` None) | unchanged, for the non-private comparison alone |

A patient who spoils the gradient must not be told from one who was not sampled, hence the silence.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.core.specs import ClippingSpec

STABILITY = 0.01
"""What automatic clipping adds to a norm, so that small gradients are not blown up (Bu et al. 2023, NeurIPS)."""


def l2_bound(spec: ClippingSpec) -> float | None:
    """How far one patient can move the sum; None if nothing bounds it."""
    return spec.l2_clip_norm


def clip(gradient: Mapping[str, Tensor], spec: ClippingSpec) -> tuple[dict[str, Tensor], bool]:
    """Bound one patient's gradient; also tell whether it was scaled."""
    bounded, clipped = clip_batch({name: tensor.unsqueeze(0) for name, tensor in gradient.items()}, spec)
    return bounded, clipped == 1


def clip_batch(gradients: Mapping[str, Tensor], spec: ClippingSpec) -> tuple[dict[str, Tensor], int]:
    """Bound each patient's gradient alone and add them up.

    `gradients` have a leading patient axis. Returns the sum by name, and how many patients were scaled.
    """
    squares = torch.stack([tensor.flatten(1).square().sum(1) for tensor in gradients.values()])
    factors, clipped = clip_factors(squares, spec)
    total = {
        name: _weighted_sum(tensor, factor) for (name, tensor), factor in zip(gradients.items(), factors, strict=True)
    }
    return total, clipped


def clip_factors(
    squares: Float[Tensor, "weight patient"], spec: ClippingSpec
) -> tuple[Float[Tensor, "weight patient"], int]:
    """What to scale each patient's gradient by, weight by weight, from its squared norms; and how many are scaled.

    A patient of whom any square is not finite has factors of zero: leave such a gradient out, do not multiply it.
    """
    is_finite = squares.sum(0).isfinite()
    factors = _factors(squares, spec)
    clipped = int(((factors < 1).any(0) & is_finite).sum())
    return torch.where(is_finite, factors, 0.0).nan_to_num(0.0), clipped


def _factors(squares: Tensor, spec: ClippingSpec) -> Tensor:
    """Scale per tensor (rows) and patient (columns): min(1, bound / norm), or bound / (norm + a little)."""
    bound = l2_bound(spec)
    if bound is None:
        return torch.ones_like(squares)
    if spec.mode == "per-layer":
        return (bound / math.sqrt(len(squares)) / squares.sqrt()).clamp(max=1.0)
    norms = squares.sum(0, keepdim=True).sqrt().expand_as(squares)
    if spec.mode == "automatic":
        return bound / (norms + STABILITY)
    return (bound / norms).clamp(max=1.0)


def _weighted_sum(tensor: Tensor, factor: Tensor) -> Tensor:
    if not factor.all():  # zero times infinity is not a number: who has no factor is left out
        present = factor.nonzero().squeeze(1)
        tensor, factor = tensor[present], factor[present]
    total: Tensor = torch.tensordot(factor, tensor, dims=1)
    return total
