"""What one backward leaves behind: each patient's gradient, or its norm and what the weighted sum needs later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.backends.precision import raised

PerPatient = Float[Tensor, "patient *shape"]
Squares = Float[Tensor, "patient"]


MOST_PAIRS = 1 << 24
"""Pairs of positions whose inner products are held at once."""
SPARE_VALUES = 1 << 23
"""What a layer may always lay out beside its input and output; beyond, not more than these two hold."""


@dataclass(frozen=True)
class Later:
    """A weight whose squared norms are known and whose weighted sum is still to be made, as one batch gradient."""

    squares: Squares
    weighted: Callable[[Float[Tensor, "patient"], Tensor | None], Tensor]
    """Of every patient's factor, and the numbers of those whose factor is not zero (None: all)."""


@dataclass
class Collector:
    """The gradients of one chunk of patients, each with `draws` images, by the name of the weight.

    A weight used in several places has several parts, which must be added before a norm can be taken: such weights
    are `kept`, never left for `later`.
    """

    patients: int
    draws: int
    kept: dict[str, PerPatient] = field(default_factory=dict)
    later: dict[str, Later] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Patients, and draws of each."""
        return self.patients, self.draws

    def keep(self, name: str, gradient: PerPatient) -> None:
        """Add to every patient's gradient of a weight, in the precision of sums."""
        gradient = raised(gradient)
        self.kept[name] = self.kept[name] + gradient if name in self.kept else gradient

    def over_draws(self, values: Float[Tensor, "image *shape"]) -> PerPatient:
        """Added up over each patient's images."""
        return values.view(*self.shape, *values.shape[1:]).sum(1)

    def over_space(self, values: Float[Tensor, "image channel *space"]) -> Float[Tensor, "patient channel"]:
        """Added up over space and over each patient's images."""
        return self.over_draws(values.flatten(2).sum(2))

    def squares(self, names: list[str]) -> Float[Tensor, "weight patient"]:
        """Squared norms of every weight's gradient, patient by patient."""
        return torch.stack([self._norms(name) for name in names]).square()

    def weighted(self, factors: Mapping[str, Float[Tensor, "patient"]]) -> dict[str, Tensor]:
        """For every weight, the sum over patients of their gradients. A factor of zero drops a patient.

        Zero times infinity is not a number: who has no factor is left out, not multiplied.
        """
        present = (
            None if torch.stack(list(factors.values())).all() else [f.nonzero().squeeze(1) for f in factors.values()]
        )
        return {
            name: self._weighted(name, factor, None if present is None else present[index])
            for index, (name, factor) in enumerate(factors.items())
        }

    def _weighted(self, name: str, factor: Tensor, present: Tensor | None) -> Tensor:
        if name in self.later:
            return self.later[name].weighted(factor, present)
        gradient: Tensor = self.kept[name]
        if present is not None:
            gradient, factor = gradient[present], factor[present]
        total: Tensor = (factor @ gradient.flatten(1)).view(gradient.shape[1:])
        return total

    def _norms(self, name: str) -> Float[Tensor, "patient"]:
        if name in self.later:
            return self.later[name].squares.sqrt()
        norms: Tensor = torch.linalg.vector_norm(self.kept[name].flatten(1), dim=1)
        return norms
