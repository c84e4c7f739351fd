"""How each kind of layer tells its patients' gradients apart, from its input and the gradient of its output."""

import copy

from torch import Tensor, autocast, autograd, enable_grad, nn
from torch.func import functional_call, vjp, vmap
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import Collector
from dpmed.backends.fused.conv_tap import ConvTap, is_plain
from dpmed.backends.fused.embedding_tap import EmbeddingTap, is_plain_embedding
from dpmed.backends.fused.gain_tap import GainTap
from dpmed.backends.fused.linear_tap import LinearTap
from dpmed.backends.fused.norm_taps import AffineTap, LayerTap, NormTap
from dpmed.backends.fused.slope_tap import SlopeTap
from dpmed.backends.fused.tap import Given, Saved, Tap
from dpmed.backends.precision import raised
from dpmed.models.layers import ChannelAffine
from dpmed.models.norm_free import Gain


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
    if isinstance(layer, nn.LayerNorm):
        return LayerTap(layer, names)
    if isinstance(layer, ChannelAffine):
        return AffineTap(layer, names)
    if isinstance(layer, nn.PReLU):
        return SlopeTap(layer, names, chooser)
    if isinstance(layer, Gain):
        return GainTap(layer, names)
    if isinstance(layer, nn.Embedding) and is_plain_embedding(layer):
        return EmbeddingTap(layer, names)
    return AnyTap(layer, names)


class AnyTap:
    """Any other layer of one input: torch differentiates it for each patient alone, with `vmap`."""

    def __init__(self, layer: nn.Module, names: dict[str, str]) -> None:
        self._layer, self._names = copy.copy(layer), names  # a copy, whose forward stays as it is

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it, in full precision."""
        with autocast(inputs.device.type, enabled=False):
            return self._layer(raised(inputs)), ()

    def backward(self, given: Given) -> Tensor | None:
        """Each patient's gradient, kept whole."""
        inputs, outputs = raised(given.inputs), raised(given.outputs)
        self._collect(inputs, outputs, given.collector)
        return self._input_gradient(inputs, outputs) if given.wants_input else None

    def _input_gradient(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        with enable_grad():
            again = inputs.detach().requires_grad_()
            (gradient,) = autograd.grad(self._layer(again), again, outputs)
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
