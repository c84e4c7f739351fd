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
from torch import Tensor

from dpmed.core.specs import ClippingSpec


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
    is_finite = squares.sum(0).isfinite()
    factors = _factors(squares, spec)
    total = {
        name: _weighted_sum(tensor, factor, is_finite)
        for (name, tensor), factor in zip(gradients.items(), factors, strict=True)
    }
    return total, int(((factors < 1).any(0) & is_finite).sum())


def _factors(squares: Tensor, spec: ClippingSpec) -> Tensor:
    """Scale per tensor (rows) and patient (columns): min(1, bound / norm)."""
    bound = l2_bound(spec)
    if bound is None:
        return torch.ones_like(squares)
    if spec.mode == "flat":
        norms = squares.sum(0, keepdim=True).sqrt().expand_as(squares)
    else:
        norms = squares.sqrt()
        bound = bound / math.sqrt(len(squares))
    return (bound / norms).clamp(max=1.0)


def _weighted_sum(tensor: Tensor, factor: Tensor, is_finite: Tensor) -> Tensor:
    shape = (-1,) + (1,) * (tensor.dim() - 1)
    # where, not a factor of zero: zero times infinity is not a number
    clean = torch.where(is_finite.view(shape), tensor, 0.0)
    weight = torch.where(is_finite, factor, 0.0).nan_to_num(0.0)
    total: Tensor = torch.tensordot(weight, clean, dims=1)
    return total
