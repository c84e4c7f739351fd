"""How much memory a block of layers needs on one IPU, with activations kept for the backward pass or made again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dpmed.backends.ipu.anatomy import LayerCost
from dpmed.backends.ipu.figures import CODE_SHARE, MEMORY_BYTES, TEMPORARY_SHARE
from dpmed.core.record import Record

SINGLE, HALF = 4, 2
"""Bytes of a number."""
MOST_SEGMENTS = 24
Kept = Mapping[int, int]


class Load(Record):
    """What one IPU holds, in bytes, by kind. The last two are shares of the memory that are set aside."""

    layers: tuple[str, ...]
    weights: int
    activations: int
    gradients: int
    temporary: int
    code: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.activations + self.gradients + self.temporary + self.code

    @property
    def fits(self) -> bool:
        """Whether one IPU has so much memory."""
        return self.total <= MEMORY_BYTES


@dataclass(frozen=True)
class Sizes:
    """Bytes of what is counted in numbers: the precision of the run, and the share that convolutions may use."""

    half: bool
    temporary_share: float = TEMPORARY_SHARE.value

    @property
    def number(self) -> int:
        """Bytes of an activation."""
        return HALF if self.half else SINGLE

    @property
    def weight(self) -> int:
        """Bytes for one weight: as stored, its probe and its gradient in float32, and as the layer reads it.

        All gradients wait together for the clip, whose norm is over all of them. The optimizer's state is on the host.
        """
        return 3 * SINGLE + self.number

    def load(self, layers: Sequence[LayerCost], *, recompute: bool) -> Load:
        """What a block of layers puts on its IPU."""
        numbers = least_kept(layers) if recompute else _size(_kept(layers))
        return Load(
            layers=tuple(layer.name for layer in layers),
            weights=self.weight * sum(layer.weights for layer in layers),
            activations=self.number * numbers,
            gradients=max((self.in_work(layer) for layer in layers), default=0),
            temporary=int(self.temporary_share * MEMORY_BYTES),
            code=int(CODE_SHARE.value * MEMORY_BYTES),
        )

    def in_work(self, layer: LayerCost) -> int:
        """Bytes of gradients while a layer is differentiated: of what it made and of what it read."""
        return self.number * layer.gradients


def least_kept(layers: Sequence[LayerCost]) -> int:
    """Numbers held at most at once where only inputs of segments are kept, for the best number of segments."""
    total = _size(_kept(layers))
    return min(total, *(_with_segments(layers, total / count) for count in range(2, MOST_SEGMENTS + 1)))


def _with_segments(layers: Sequence[LayerCost], most: float) -> int:
    segments: list[list[LayerCost]] = [[]]
    for layer in layers:
        if segments[-1] and _size(_kept([*segments[-1], layer])) > most:
            segments.append([])
        segments[-1].append(layer)
    stored: dict[int, int] = {}
    for segment in segments:
        stored |= _from_outside(segment)
    return _size(stored) + max(
        _size({place: size for place, size in _kept(segment).items() if place not in stored}) for segment in segments
    )


def _from_outside(segment: Sequence[LayerCost]) -> dict[int, int]:
    """What a segment reads and did not make."""
    made = {layer.place for layer in segment}
    return {place: size for layer in segment for place, size in layer.takes.items() if place not in made}


def _kept(layers: Iterable[LayerCost]) -> dict[int, int]:
    """Every tensor once, however many layers of the block need it."""
    return {place: size for layer in layers for place, size in layer.kept.items()}


def _size(tensors: Kept) -> int:
    return sum(tensors.values())
