"""What every tapped layer does."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from dpmed.backends.fused.collect import Collector

Saved = tuple[Tensor, ...]


@dataclass(frozen=True)
class Given:
    """What a layer's backward has to go by: its input, what its forward saved, and the gradient of its output.

    `once`: the layer's weights are used nowhere else in this backward. `wants_input`: whether the gradient of the input
    is needed.
    """

    inputs: Tensor
    saved: Saved
    outputs: Tensor
    collector: Collector
    once: bool
    wants_input: bool


class Tap(Protocol):
    """One layer: its forward, the gradient of its input, and what it tells the collector."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """The output, and what the backward will need beside the input."""
        ...

    def backward(self, given: Given) -> Tensor | None:
        """Hand over the patients' gradients; the value is the gradient of the input."""
        ...
