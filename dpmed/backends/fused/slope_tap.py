"""PReLU."""

import torch
from torch import Tensor, nn

from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import raised


class SlopeTap:
    """PReLU: the slope below zero, one for all channels or one for each."""

    def __init__(self, layer: nn.PReLU, names: dict[str, str]) -> None:
        self._layer, self._name = layer, names["weight"]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return torch.ops.aten._prelu_kernel(inputs, self._slopes(inputs)), ()

    def backward(self, given: Given) -> Tensor | None:
        """The stock kernel, whose gradient of the slope is each value's own until it is added up."""
        gradient: Tensor
        inputs, collector = given.inputs, given.collector
        gradient, each = torch.ops.aten._prelu_kernel_backward(given.outputs, inputs, self._slopes(inputs))
        each = raised(each)
        slopes = collector.over_draws(each.flatten(2).sum(2) if each.dim() > 2 else each)
        collector.keep(self._name, slopes if self._layer.num_parameters > 1 else slopes.sum(1, keepdim=True))
        return gradient

    def _slopes(self, inputs: Tensor) -> Tensor:
        """In the shape that spreads over channels, the second axis, and in their precision."""
        return self._layer.weight.detach().to(inputs.dtype).view(-1, *[1] * (inputs.dim() - 2))
