"""Convolutions whose weight is standardised before it is used: mean 0 and one size for each output channel.

Weight standardisation (Qiao et al. 2019, arXiv:1903.10520), in the scaled form of Brock et al. 2021 (arXiv:2101.08692).
It looks at weights alone, so it costs no privacy; beside GroupNorm it raises the accuracy of private training (De et
al. 2022, arXiv:2204.13650).
"""

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vjp, vmap
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

EPS = 1e-5
RELU_GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""Keeps the variance of what comes out of a ReLU, so that depth needs no normalisation; beside one it plays no part."""


class Standardised(_ConvNd):
    """A convolution that stores its weight as any other does and uses it standardised; names and shapes stay."""

    def used_weight(self) -> Tensor:
        """The weight that slides over the image."""
        return self._standard(self.weight)

    def of_stored(self, gradients: Float[Tensor, "patient *shape"]) -> Float[Tensor, "patient *shape"]:
        """From gradients with respect to the weight that is used to those with respect to the stored one."""
        back = vjp(self._standard, self.weight.detach())[1]
        found: Tensor = vmap(back)(gradients)[0]
        return found

    def _standard(self, weight: Tensor) -> Tensor:
        axes = _fan_in_axes(self)
        centred = weight - weight.mean(axes, keepdim=True)
        deviation = (centred.square().mean(axes, keepdim=True) + EPS).sqrt()
        return centred / deviation * (RELU_GAIN / math.sqrt(_fan_in(self)))


class _StandardConv(Standardised):
    def forward(self, inputs: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(inputs, self.used_weight(), self.bias)
        return output


class _StandardTransposed(Standardised):
    def forward(self, inputs: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002  of nobody here
        moves: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        transposed = functional.conv_transpose2d if inputs.dim() == 4 else functional.conv_transpose3d
        return transposed(
            inputs,
            self.used_weight(),
            self.bias,
            output_padding=self.output_padding,
            groups=self.groups,
            **moves,
        )


class _StandardConv2d(_StandardConv, nn.Conv2d):
    pass


class _StandardConv3d(_StandardConv, nn.Conv3d):
    pass


class _StandardTransposed2d(_StandardTransposed, nn.ConvTranspose2d):
    pass


class _StandardTransposed3d(_StandardTransposed, nn.ConvTranspose3d):
    pass


_STANDARD: dict[type[nn.Module], type[Standardised]] = {
    nn.Conv2d: _StandardConv2d,
    nn.Conv3d: _StandardConv3d,
    nn.ConvTranspose2d: _StandardTransposed2d,
    nn.ConvTranspose3d: _StandardTransposed3d,
}


def standardise(network: nn.Module, *, but: nn.Module | None = None) -> nn.Module:
    """Make every convolution of the network, except those inside `but`, standardise its weight.

    `but` is the head: what answers must be free to answer in any size. A weight of one number a channel has nothing to
    be standardised by, and is left alone.
    """
    left = set() if but is None else set(but.modules())
    for layer in network.modules():
        kind = _STANDARD.get(type(layer))
        if kind is not None and isinstance(layer, _ConvNd) and layer not in left and _fan_in(layer) > 1:
            layer.__class__ = kind  # as torch's own parametrisation does it; the layer keeps its weights and its place
    return network


def _fan_in_axes(layer: _ConvNd) -> list[int]:
    """All axes of the weight but that of its output channels."""
    out = 1 if isinstance(layer, _ConvTransposeNd) else 0
    return [axis for axis in range(layer.weight.dim()) if axis != out]


def _fan_in(layer: _ConvNd) -> int:
    return math.prod(layer.weight.shape[axis] for axis in _fan_in_axes(layer))
