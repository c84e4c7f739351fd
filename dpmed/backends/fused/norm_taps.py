"""Normalisation within one image: scale and shift of each channel or value."""

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm

from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import raised
from dpmed.models.layers import ChannelAffine


class NormTap:
    """GroupNorm, and InstanceNorm as GroupNorm with one channel a group: scale and shift of each channel."""

    def __init__(self, layer: nn.GroupNorm | _InstanceNorm, names: dict[str, str], groups: int) -> None:
        self._layer, self._names, self._groups = layer, names, groups

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it; keeps mean and inverse deviation of every group."""
        inputs = raised(inputs).contiguous()
        count, channels, size = *inputs.shape[:2], math.prod(inputs.shape[2:])
        output, mean, inverse = torch.ops.aten.native_group_norm(
            inputs, self._layer.weight, self._layer.bias, count, channels, size, self._groups, self._layer.eps
        )
        return output, (mean, inverse)

    def backward(self, given: Given) -> Tensor | None:
        """The stock kernel, told that all channels of all images are those of one image.

        Its gradient of the scale is then each image's own, at no cost: that kernel sums over images only at the end.
        """
        inputs, collector, (mean, inverse) = given.inputs, given.collector, given.saved
        images, channels, size = *inputs.shape[:2], math.prod(inputs.shape[2:])
        weight = self._layer.weight
        gradient, scale, shift = torch.ops.aten.native_group_norm_backward(
            raised(given.outputs).contiguous(),
            raised(inputs).contiguous(),
            mean.view(1, -1),
            inverse.view(1, -1),
            weight.detach().repeat(images),
            1,
            images * channels,
            size,
            images * self._groups,
            [given.wants_input, True, True],
        )
        for name, each in (("weight", scale), ("bias", shift)):
            if name in self._names:
                collector.keep(self._names[name], collector.over_draws(each.view(images, channels)))
        return gradient if given.wants_input else None


class AffineTap:
    """Scale and shift of each channel by themselves: BatchNorm with fixed statistics."""

    def __init__(self, layer: ChannelAffine, names: dict[str, str]) -> None:
        self._layer, self._names = layer, names

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        weight, bias = (_by_channel(values, inputs) for values in (self._layer.weight, self._layer.bias))
        return torch.addcmul(bias, raised(inputs), weight), ()

    def backward(self, given: Given) -> Tensor | None:
        """Sums over space, and a product."""
        collector, inputs, outputs = given.collector, raised(given.inputs), raised(given.outputs)
        if "weight" in self._names:
            collector.keep(self._names["weight"], collector.over_space(outputs * inputs))
        if "bias" in self._names:
            collector.keep(self._names["bias"], collector.over_space(outputs))
        return outputs * _by_channel(self._layer.weight.detach(), outputs) if given.wants_input else None


def _by_channel(values: Tensor, image: Tensor) -> Tensor:
    return values.view(-1, *(1 for _ in range(image.dim() - 2)))


class LayerTap:
    """LayerNorm: scale and shift of each value of the last axes."""

    def __init__(self, layer: nn.LayerNorm, names: dict[str, str]) -> None:
        self._layer, self._names = layer, names

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it; keeps mean and inverse deviation."""
        layer = self._layer
        output, mean, inverse = torch.native_layer_norm(
            raised(inputs), layer.normalized_shape, layer.weight, layer.bias, layer.eps
        )
        return output, (mean, inverse)

    def backward(self, given: Given) -> Tensor | None:
        """The stock kernel for the input; the rest is a product and a sum."""
        collector, (mean, inverse) = given.collector, given.saved
        inputs, outputs = raised(given.inputs), raised(given.outputs)
        layer, shape = self._layer, self._layer.normalized_shape
        for name, each in (("weight", outputs * (inputs - mean) * inverse), ("bias", outputs)):
            if name in self._names:
                collector.keep(self._names[name], each.reshape(collector.patients, -1, *shape).sum(1))
        if not given.wants_input:
            return None
        gradient, *_ = torch.ops.aten.native_layer_norm_backward(
            outputs, inputs, shape, mean, inverse, layer.weight, layer.bias, [True, False, False]
        )
        result: Tensor = gradient
        return result
