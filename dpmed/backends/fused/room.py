"""How much a step may hold beside what an ordinary one holds: shares of what its own forward saves for its backward."""

from dataclasses import dataclass, field

from torch import Tensor

KEPT, LAID_OUT = 1 / 4, 1 / 8
"""Of the values that the forward saves: so many may be kept until the sum, and so many be laid out for a moment.

Kernels and copies on the way need about as much again as what is laid out.
"""
FLOAT = 4
"""Bytes of a value where norms and sums are taken."""


@dataclass
class Room:
    """What one chunk of patients has saved, and has taken since. Counts values, not bytes."""

    patients: int
    saved: int = 0
    taken: int = 0
    _seen: set[int] = field(default_factory=set)

    def save(self, inputs: Tensor) -> None:
        """Count what a layer's backward will need; two layers may need the same."""
        if (place := inputs.data_ptr()) not in self._seen:
            self._seen.add(place)
            self.saved += inputs.nbytes // FLOAT

    @property
    def spare(self) -> int:
        """What may be laid out for a moment."""
        return int(LAID_OUT * self.saved)

    def fits(self, values: int) -> bool:
        """Whether so many more may be kept until the sum."""
        return self.taken + values <= KEPT * self.saved

    def take(self, values: int) -> None:
        """Count what is kept until the sum."""
        self.taken += values

    def beside_one(self, values: int) -> int:
        """What is taken by so many values for every patient: an ordinary step has those of one, too."""
        return (self.patients - 1) * values
