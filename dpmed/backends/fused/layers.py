"""How each kind of layer tells its patients' gradients apart, from its input and the gradient of its output."""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import MOST_PAIRS, SPARE_VALUES, Collector, Later
from dpmed.backends.fused.conv_tap import ConvTap, is_plain
from dpmed.backends.fused.tap import Saved, Tap


def tap(layer: nn.Module, names: dict[str, str], chooser: Chooser) -> Tap:
    """The tap of a layer whose own weights have `names` in the model (own name to full name)."""
    if isinstance(layer, _ConvNd) and is_plain(layer):
        return ConvTap(layer, names, chooser)
    if isinstance(layer, nn.Linear):
        return LinearTap(layer, names, chooser)
    if isinstance(layer, nn.GroupNorm):
        return NormTap(layer, names, layer.num_groups)
    if isinstance(layer, _InstanceNorm) and not layer.track_running_stats:
        return NormTap(layer, names, layer.num_features)
    return AnyTap(layer, names)


class LinearTap:
    """Fully connected layers, over any leading axes."""

    def __init__(self, layer: nn.Linear, names: dict[str, str], chooser: Chooser) -> None:
        self._layer, self._names, self._chooser = layer, names, chooser

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return nn.functional.linear(inputs, self._layer.weight, self._layer.bias), ()

    def backward(
        self, inputs: Tensor, _: Saved, outputs: Tensor, collector: Collector, *, once: bool, wants_input: bool
    ) -> Tensor | None:
        """Whole gradients, or norms from inner products where a patient has few positions."""
        self._collect(inputs, outputs, collector, once=once)
        return outputs @ self._layer.weight if wants_input else None

    def _collect(self, inputs: Tensor, outputs: Tensor, collector: Collector, *, once: bool) -> None:
        rows = inputs.reshape(collector.patients, -1, inputs.shape[-1])
        made = outputs.reshape(collector.patients, -1, outputs.shape[-1])
        if "bias" in self._names:
            collector.keep(self._names["bias"], made.sum(1))
        if "weight" not in self._names:
            return
        many = collector.patients * self._layer.weight.numel() > SPARE_VALUES
        if once and many and collector.patients * rows.shape[1] ** 2 <= MOST_PAIRS:
            squares = (torch.bmm(rows, rows.transpose(1, 2)) * torch.bmm(made, made.transpose(1, 2))).sum((1, 2))
            collector.later[self._names["weight"]] = Later(
                squares, lambda weights: _weighted_linear(rows, made, weights)
            )
        else:
            collector.keep(self._names["weight"], torch.bmm(made.transpose(1, 2), rows))


def _weighted_linear(rows: Tensor, made: Tensor, weights: Tensor) -> Tensor:
    present = weights.nonzero().squeeze(1)
    scaled = made[present] * weights[present].view(-1, 1, 1)
    return scaled.flatten(0, 1).transpose(0, 1) @ rows[present].flatten(0, 1)


class NormTap:
    """GroupNorm, and InstanceNorm as GroupNorm with one channel a group: scale and shift of each channel."""

    def __init__(self, layer: nn.GroupNorm | _InstanceNorm, names: dict[str, str], groups: int) -> None:
        self._layer, self._names, self._groups = layer, names, groups

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it; keeps mean and inverse deviation of every group."""
        inputs = inputs.contiguous()
        count, channels, size = len(inputs), inputs.shape[1], inputs[0, 0].numel()
        output, mean, inverse = torch.ops.aten.native_group_norm(
            inputs, self._layer.weight, self._layer.bias, count, channels, size, self._groups, self._layer.eps
        )
        return output, (mean, inverse)

    def backward(
        self,
        inputs: Tensor,
        saved: Saved,
        outputs: Tensor,
        collector: Collector,
        *,
        once: bool,  # noqa: ARG002  a vector for each patient is small enough to keep
        wants_input: bool,
    ) -> Tensor | None:
        """The stock kernel, told that all channels of all images are those of one image.

        Its gradient of the scale is then each image's own, at no cost: that kernel sums over images only at the end.
        """
        mean, inverse = saved
        images, channels, size = len(inputs), inputs.shape[1], inputs[0, 0].numel()
        weight = self._layer.weight
        gradient, scale, shift = torch.ops.aten.native_group_norm_backward(
            outputs.contiguous(),
            inputs.contiguous(),
            mean.view(1, -1),
            inverse.view(1, -1),
            weight.detach().repeat(images),
            1,
            images * channels,
            size,
            images * self._groups,
            [wants_input, True, True],
        )
        for name, each in (("weight", scale), ("bias", shift)):
            if name in self._names:
                collector.keep(self._names[name], collector.over_draws(each.view(images, channels)))
        return gradient if wants_input else None


class AnyTap:
    """Any other layer of one input: torch differentiates it for each patient alone, with `vmap`."""

    def __init__(self, layer: nn.Module, names: dict[str, str]) -> None:
        self._layer, self._names = copy.copy(layer), names  # a copy, whose forward stays as it is

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return self._layer(inputs), ()

    def backward(
        self,
        inputs: Tensor,
        _: Saved,
        outputs: Tensor,
        collector: Collector,
        *,
        once: bool,  # noqa: ARG002  nothing is known about these layers that would save anything
        wants_input: bool,
    ) -> Tensor | None:
        """Each patient's gradient, kept whole."""
        self._collect(inputs, outputs, collector)
        return self._input_gradient(inputs, outputs) if wants_input else None

    def _input_gradient(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        with torch.enable_grad():
            again = inputs.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self._layer(again), again, outputs)
        return gradient

    def _collect(self, inputs: Tensor, outputs: Tensor, collector: Collector) -> None:
        weights = {name: dict(self._layer.named_parameters())[name].detach() for name in self._names}

        def one(images: Tensor, made: Tensor) -> dict[str, Tensor]:
            def output(some: dict[str, Tensor]) -> Tensor:
                result: Tensor = functional_call(self._layer, some, (images,))
                return result

            (gradients,) = vjp(output, weights)[1](made)
            found: dict[str, Tensor] = gradients
            return found

        found = vmap(one)(*(tensor.view(*collector.shape, *tensor.shape[1:]) for tensor in (inputs, outputs)))
        for name, gradient in found.items():
            collector.keep(self._names[name], gradient)
