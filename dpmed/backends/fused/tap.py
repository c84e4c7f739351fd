"""What every tapped layer does."""

from typing import Protocol

from torch import Tensor

from dpmed.backends.fused.collect import Collector

Saved = tuple[Tensor, ...]


class Tap(Protocol):
    """One layer: its forward, the gradient of its input, and what it tells the collector."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """The output, and what the backward will need beside the input."""
        ...

    def backward(
        self, inputs: Tensor, saved: Saved, outputs: Tensor, collector: Collector, *, once: bool, wants_input: bool
    ) -> Tensor | None:
        """Hand over the patients' gradients, given that of the output; the value is the gradient of the input.

        `once`: the layer's weights are used nowhere else in this backward.
        """
        ...
