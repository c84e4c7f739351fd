"""One copy of a network on several IPUs, one after the other: which layer goes where."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dpmed.backends.ipu.worker.network import Node, layers
from dpmed.core.errors import ConfigError

COPIES = 3
"""Of each weight: as stored, its gradient, and the sum of clipped ones."""


def shards(nodes: Sequence[Node], weights: Mapping[str, Tensor], images: Tensor, ipus: int) -> list[int]:
    """An IPU for each layer, never one before that of the layer before, so that the fullest IPU holds least.

    What counts is what stays in memory while one patient is in flight: weights, and what each layer made of `images`.
    Raises `ConfigError` for more IPUs than layers.
    """
    if ipus > len(nodes):
        raise ConfigError(
            f"a network of {len(nodes)} layers does not fill {ipus} IPUs",
            hint=f"--set hardware.ipu_count={2 ** (len(nodes).bit_length() - 1)}",
        )
    blank = {name: torch.empty_like(weight, device="meta") for name, weight in weights.items()}
    passed = layers(nodes, blank.__getitem__, torch.empty_like(images, device="meta"))
    held = [layer.output.numel() + COPIES * sum(weight.numel() for weight in layer.own.values()) for layer in passed]
    return _balanced(held, ipus)


def _balanced(held: Sequence[int], ipus: int) -> list[int]:
    """Contiguous parts, none empty; the smallest limit that so many parts can keep, found by halving."""
    low, high = max(held), sum(held)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _filled(held, ipus, middle)[-1] < ipus else (middle + 1, high)
    return _filled(held, ipus, low)


def _filled(held: Sequence[int], ipus: int, limit: int) -> list[int]:
    """Layer by layer onto the IPU at hand, the next one where it would pass the limit or layers would not suffice."""
    places, ipu, full = [], 0, 0
    for number, size in enumerate(held):
        must_move = len(held) - number == ipus - 1 - ipu
        if number and (full + size > limit or must_move):
            ipu, full = ipu + 1, 0
        full += size
        places.append(ipu)
    return places
