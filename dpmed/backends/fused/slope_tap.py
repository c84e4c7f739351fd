"""PReLU."""

from functools import partial

import torch
from torch import Tensor, nn

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import raised

WAYS = ("stock", "apart")
"""The stock kernel branches at every value, which on a CPU costs more than two passes without a branch."""


class SlopeTap:
    """PReLU: the slope below zero, one for all channels or one for each."""

    def __init__(self, layer: nn.PReLU, names: dict[str, str], chooser: Chooser) -> None:
        self._layer, self._name, self._chooser = layer, names["weight"], chooser

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return torch.ops.aten._prelu_kernel(inputs, self._slopes(inputs)), ()

    def backward(self, given: Given) -> Tensor | None:
        """The gradient of the slope is each value's own until it is added up."""
        inputs, outputs, collector = given.inputs, given.outputs, given.collector
        name = self._chooser.fastest(
            (self._name, inputs.shape), {way: partial(self._gradients, way, inputs, outputs) for way in WAYS}
        )
        gradient, each = self._gradients(name, inputs, outputs)
        if self._layer.num_parameters == 1:
            collector.keep(self._name, each.view(collector.patients, -1).sum(1, keepdim=True))
        else:
            collector.keep(self._name, collector.over_space(each.unsqueeze(-1)))  # there may be no space
        return gradient

    def _gradients(self, way: str, inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of the input, and each value's own of the slope."""
        slopes = self._slopes(inputs)
        if way == "stock":
            gradient, each = torch.ops.aten._prelu_kernel_backward(outputs, inputs, slopes)
            return gradient, raised(each)
        each = raised(inputs).clamp(max=0).mul_(outputs)
        if self._layer.num_parameters == 1:
            return torch.ops.aten.leaky_relu_backward(outputs, inputs, float(slopes), False), each
        return torch.lerp(torch.ops.aten.threshold_backward(outputs, inputs, 0), outputs, slopes), each

    def _slopes(self, inputs: Tensor) -> Tensor:
        """In the shape that spreads over channels, the second axis, and in their precision."""
        return self._layer.weight.detach().to(inputs.dtype).view(-1, *[1] * (inputs.dim() - 2))
