"""The three stations of a gradient. The type says what may be done with it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

Named = Mapping[str, Tensor]
"""One tensor per trainable parameter, by its name in the model."""


@dataclass(frozen=True)
class CuratorNotes:
    """Exact numbers about the sampled patients; they are not private and never leave `curator/`."""

    patients: int
    loss_sum: float
    clipped: int | None
    """None where the machine does not tell."""


@dataclass(frozen=True)
class ClippedSum:
    """The sum of clipped patient gradients. Secret until noised.

    Adding or removing one patient moves `values` by at most `l2_bound` in L2 norm over all tensors together;
    None means unbounded, which only the non-private comparison accepts.
    """

    values: Named
    l2_bound: float | None
    notes: CuratorNotes


@dataclass(frozen=True)
class NoisyGradient:
    """A mean gradient that may be released: noised in proportion to its bound, divided by a fixed number.

    The only thing an optimizer accepts.
    """

    values: Named
