"""PReLU."""

import torch
from torch import Tensor, nn

from dpmed.backends.fused.collect import Collector
from dpmed.backends.fused.tap import Saved
from dpmed.backends.precision import raised


class SlopeTap:
    """PReLU: the slope below zero, one for all channels or one for each."""

    def __init__(self, layer: nn.PReLU, names: dict[str, str]) -> None:
        self._layer, self._name = layer, names["weight"]

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return torch.ops.aten._prelu_kernel(inputs, self._slopes(inputs)), ()

    def backward(
        self,
        inputs: Tensor,
        _: Saved,
        outputs: Tensor,
        collector: Collector,
        *,
        once: bool,  # noqa: ARG002  a vector for each patient is small enough to keep
        wants_input: bool,  # noqa: ARG002  the stock kernel gives both at once
    ) -> Tensor | None:
        """The stock kernel, whose gradient of the slope is each value's own until it is added up."""
        gradient: Tensor
        gradient, each = torch.ops.aten._prelu_kernel_backward(outputs, inputs, self._slopes(inputs))
        each = raised(each)
        slopes = collector.over_draws(each.flatten(2).sum(2) if each.dim() > 2 else each)
        collector.keep(self._name, slopes if self._layer.num_parameters > 1 else slopes.sum(1, keepdim=True))
        return gradient

    def _slopes(self, inputs: Tensor) -> Tensor:
        """In the shape that spreads over channels, the second axis, and in their precision."""
        return self._layer.weight.detach().to(inputs.dtype).view(-1, *[1] * (inputs.dim() - 2))
