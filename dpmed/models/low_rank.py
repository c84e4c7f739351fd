"""A few numbers per layer: a frozen layer and a narrow one beside it (LoRA, Hu et al. 2021, arXiv:2106.09685).

Beside a convolution runs one of the same kernel and stride with `rank` output channels, then a 1x1 convolution to the
output's channels that starts at zero. Both together are one convolution, so that after training the update is added
to the frozen weights, and what is released is the ordinary network.
"""

from typing import Any

import torch
from torch import Tensor, nn

CONVOLUTIONS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: nn.Conv2d,
    nn.Conv3d: nn.Conv3d,
    nn.ConvTranspose2d: nn.Conv2d,
    nn.ConvTranspose3d: nn.Conv3d,
}
"""Those that an update fits, and the kind that widens it to their output. A subclass may treat its weights first."""


class LowRank(nn.Module):
    """`base(x) + up(down(x))`."""

    def __init__(self, base: Any, rank: int) -> None:
        super().__init__()
        self.base = base
        if isinstance(base, nn.Linear):
            self.down: nn.Module = nn.Linear(base.in_features, rank, bias=False)
            self.up: nn.Module = nn.Linear(rank, base.out_features, bias=False)
        else:
            self.down = _narrow(base, rank)
            self.up = CONVOLUTIONS[type(base)](rank, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """As the layer with the update does it."""
        output: Tensor = self.base(images) + self.up(self.down(images))
        return output

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """The layer with the update in its weights."""
        down, up = self.down.get_parameter("weight"), self.up.get_parameter("weight").flatten(1)
        if getattr(self.base, "transposed", False):  # its weights have the input's channels first
            update = torch.einsum("or,ir...->io...", up, down)
        else:
            update = torch.einsum("or,r...->o...", up, down)
        self.base.weight += update
        merged: nn.Module = self.base
        return merged


def fits(layer: nn.Module) -> bool:
    """Whether a layer can have an update beside it that can be merged into it."""
    return type(layer) is nn.Linear or (type(layer) in CONVOLUTIONS and getattr(layer, "groups", 0) == 1)


def add_low_rank(model: nn.Module, names: list[str], *, rank: int) -> None:
    """Put an update beside each of the layers named; the weights of the layer get `.base` before their last name."""
    for name in names:
        model.set_submodule(name, LowRank(model.get_submodule(name), rank))


def merge(model: nn.Module) -> None:
    """Put every update into the weights it belongs to: the network is then the plain one, names and all."""
    found = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LowRank)]
    for name, layer in found:
        model.set_submodule(name, layer.merged())


def _narrow(base: Any, rank: int) -> nn.Module:
    names = ["kernel_size", "stride", "padding", "dilation", "padding_mode"]
    names += ["output_padding"] if base.transposed else []
    kind: type[Any] = type(base)
    made: nn.Module = kind(base.in_channels, rank, bias=False, **{name: getattr(base, name) for name in names})
    return made
