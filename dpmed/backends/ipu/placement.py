"""Which layers go to which IPU: contiguous blocks, so that the fullest IPU is as empty as can be."""

from collections.abc import Sequence
from itertools import pairwise

from dpmed.backends.ipu.anatomy import LayerCost
from dpmed.backends.ipu.figures import MOST_IPUS_OF_A_COPY
from dpmed.backends.ipu.memory import Load, Sizes
from dpmed.core.errors import ConfigError
from dpmed.core.record import Record


class Placement(Record):
    """One copy of the network: what each of its IPUs holds, in order, and whether activations are made again."""

    recompute: bool
    loads: tuple[Load, ...]

    @property
    def fits(self) -> bool:
        """Whether every IPU holds its block."""
        return all(load.fits for load in self.loads)

    @property
    def ipus(self) -> list[int]:
        """The IPU of each layer, in the order of layers."""
        return [number for number, load in enumerate(self.loads) for _ in load.layers]

    @property
    def fullest(self) -> Load:
        """Of the IPU that holds most."""
        return max(self.loads, key=lambda load: load.total)


def smallest_placement(layers: Sequence[LayerCost], sizes: Sizes, *, recompute: bool) -> Placement:
    """On as few IPUs as hold it, a power of two; if none do, on as many as help."""
    counts = [2**power for power in range(min(MOST_IPUS_OF_A_COPY, len(layers)).bit_length())]
    best = placement_on(layers, sizes, ipus=1, recompute=recompute)
    for count in counts[1:]:
        if best.fits:
            break
        found = placement_on(layers, sizes, ipus=count, recompute=recompute)
        best = found if found.fullest.total < best.fullest.total else best
    return best


def placement_on(layers: Sequence[LayerCost], sizes: Sizes, *, ipus: int, recompute: bool) -> Placement:
    """On so many IPUs. Raises `ConfigError` for more than there are layers."""
    if ipus > len(layers):
        raise ConfigError(
            f"a network of {len(layers)} layers does not fill {ipus} IPUs",
            hint=f"--set hardware.ipu_count={2 ** (len(layers).bit_length() - 1)}",
        )
    ends = _balanced(_needs(layers, sizes), ipus)
    loads = tuple(sizes.load(layers[a:b], recompute=recompute) for a, b in pairwise((0, *ends)))
    return Placement(recompute=recompute, loads=loads)


def _needs(layers: Sequence[LayerCost], sizes: Sizes) -> list[list[int]]:
    """Bytes of the block from one layer to another, both inclusive, for every pair; activations are kept."""
    table = []
    for first in range(len(layers)):
        kept: dict[int, int] = {}
        weights, work, row = 0, 0, []
        for layer in layers[first:]:
            kept |= layer.kept
            weights += layer.weights
            work = max(work, sizes.in_work(layer))
            row.append(sizes.weight * weights + sizes.number * sum(kept.values()) + work)
        table.append(row)
    return table


def _balanced(needs: Sequence[Sequence[int]], blocks: int) -> list[int]:
    """Where blocks end, so that the largest is as small as can be: by dynamic programming over the last block."""
    count = len(needs)
    best: list[int] = [needs[0][end] for end in range(count)]
    cuts: list[list[int]] = []
    for block in range(1, blocks):
        rows = [
            min(
                ((max(best[start - 1], needs[start][end - start]), start) for start in range(block, end + 1)),
                default=(best[end], end + 1),
            )
            for end in range(count)
        ]
        best = [value for value, _ in rows]
        cuts.append([start for _, start in rows])
    ends = [count]
    for row in reversed(cuts):
        ends.insert(0, row[ends[0] - 1])
    return ends
