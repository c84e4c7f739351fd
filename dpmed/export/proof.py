"""The comparison that every export has to pass before it gets its name: the same answers as the original."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dpmed.core.errors import MismatchError
from dpmed.export.interface import Interface

TOLERANCE = 1e-4
"""Of logits; relative to the largest where that is above one, as float32 knows nothing finer."""
BATCHES = (2, 1, 3)
"""The first is what the network is traced with."""

Answer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Proof:
    """How far the reopened export was from the original, at most, on inputs of which shapes."""

    largest_difference: float
    shapes: tuple[tuple[int, ...], ...]


def examples(interface: Interface) -> Iterator[Tensor]:
    """Random inputs of the recipe's size in several batches, and, where sides may differ, of one other size."""
    generator = torch.Generator().manual_seed(0)
    wanted, multiple = interface.input, interface.input.sides_multiple_of
    shapes = [(batch, len(wanted.channels), *wanted.size) for batch in BATCHES]
    if multiple is not None:
        longer = [side + multiple * (1 + axis) for axis, side in enumerate(wanted.size)]
        shapes.append((1, len(wanted.channels), *longer))
    for shape in shapes:
        yield torch.randn(shape, generator=generator)


@torch.no_grad()
def proved(network: nn.Module, answer: Answer, interface: Interface, *, runtime: str) -> Proof:
    """Compare a reopened export with the original. Raises `MismatchError` where they disagree."""
    largest, shapes = 0.0, []
    for image in examples(interface):
        wanted: Tensor = network(image)
        if not bool(torch.isfinite(wanted).all()):
            raise MismatchError(
                "the network answers with values that are not numbers: its training diverged",
                hint="train again with a smaller optimizer.learning_rate",
            )
        got = answer(image)
        apart = float((got - wanted).abs().max()) if got.shape == wanted.shape else float("inf")
        if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):
            raise MismatchError(
                f"{runtime} answers otherwise than the trained network (by {apart:.3g}); nothing was written",
                hint="try another --format, and report this with the versions that dpmed doctor shows",
            )
        largest = max(largest, apart)
        shapes.append(tuple(image.shape))
    return Proof(largest, tuple(shapes))
