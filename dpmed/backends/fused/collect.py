"""What one backward leaves behind: each patient's gradient, or its norm and what the weighted sum needs later."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.backends.fused.room import Room
from dpmed.backends.precision import raised

PerPatient = Float[Tensor, "patient *shape"]
Squares = Float[Tensor, "patient"]


MOST_STACKED = 4096
"""Values of a weight that are copied to be treated together with others: a kernel's start costs more than the copy."""


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
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.patients)

    @property
    def shape(self) -> tuple[int, int]:
        """Patients, and draws of each."""
        return self.patients, self.draws

    def keep(self, name: str, gradient: PerPatient) -> None:
        """Add to every patient's gradient of a weight, in the precision of sums."""
        gradient = raised(gradient)
        if name in self.kept:
            gradient = self.kept[name] + gradient
        else:
            self.room.take(gradient.numel() - gradient.numel() // self.patients)
        self.kept[name] = gradient

    def put_off(self, name: str, later: Later, holding: int) -> None:
        """Leave a weight's sum for later, holding so many values until then."""
        self.room.take(holding)
        self.later[name] = later

    def over_draws(self, values: Float[Tensor, "image *shape"]) -> PerPatient:
        """Added up over each patient's images."""
        return values.view(*self.shape, *values.shape[1:]).sum(1) if self.draws > 1 else values

    def over_space(self, values: Float[Tensor, "image channel *space"]) -> Float[Tensor, "patient channel"]:
        """Added up over space and over each patient's images."""
        return self.over_draws(values.flatten(2).sum(2))

    def squares(self, names: list[str]) -> Float[Tensor, "weight patient"]:
        """Squared norms of every weight's gradient, patient by patient."""
        norms = {name: self.later[name].squares.sqrt() for name in names if name in self.later}
        for alike in self._alike(names):
            norms |= zip(alike, torch.linalg.vector_norm(self._stacked(alike), dim=2), strict=True)
        return torch.stack([norms[name] for name in names]).square()

    def weighted(self, factors: Mapping[str, Float[Tensor, "patient"]]) -> Iterator[tuple[str, Tensor]]:
        """For every weight, the sum over patients of their gradients, which are let go of one after another.

        A factor of zero drops a patient. Zero times infinity is not a number: who has no factor is left out, not
        multiplied.
        """
        is_whole = bool(torch.stack(list(factors.values())).all())
        for name in list(self.later):
            factor = factors[name]
            yield name, self.later.pop(name).weighted(factor, None if is_whole else factor.nonzero().squeeze(1))
        for alike in self._alike(list(factors)):
            yield from zip(alike, self._sums(alike, factors, is_whole=is_whole), strict=True)

    def _sums(
        self, alike: list[str], factors: Mapping[str, Float[Tensor, "patient"]], *, is_whole: bool
    ) -> list[Tensor]:
        rows, gradients = torch.stack([factors[name] for name in alike]).unsqueeze(1), self._stacked(alike)
        if not is_whole:
            gradients = gradients.masked_fill((rows == 0).transpose(1, 2), 0)
        sums = torch.bmm(rows, gradients)
        return [part.view(self.kept.pop(name).shape[1:]) for name, part in zip(alike, sums, strict=True)]

    def _alike(self, names: list[str]) -> list[list[str]]:
        """Kept weights in groups of one size, for one kernel each; a large one is alone, since stacking copies it."""
        groups: dict[Hashable, list[str]] = defaultdict(list)
        for name in names:
            if (gradient := self.kept.get(name)) is not None:
                size = gradient.shape[1:].numel()
                groups[size, gradient.dtype, name if size > MOST_STACKED else ""].append(name)
        return list(groups.values())

    def _stacked(self, alike: list[str]) -> Float[Tensor, "weight patient value"]:
        rows = [self.kept[name].flatten(1) for name in alike]
        return torch.stack(rows) if len(rows) > 1 else rows[0].unsqueeze(0)
