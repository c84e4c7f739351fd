"""ResNets without normalisation: standardised weights keep the size of what they carry, a gain tames each branch.

Norm-free networks (Brock et al. 2021, arXiv:2101.08692) with a learned gain at the end of each residual branch, as
SkipInit has it (De and Smith 2020, arXiv:2002.10444): deep ones begin near the identity.
"""

import torch
from jaxtyping import Float
from monai.networks.nets.resnet import ResNet, ResNetBlock
from torch import Tensor, nn

from dpmed.core.errors import ConfigError

FIRST_GAIN = 0.2
"""Of a branch (Brock et al. 2021). At SkipInit's own zero, a branch's gradient would be noise alone at first."""


class Gain(nn.Module):
    """One learned factor for all that a branch adds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), FIRST_GAIN))

    def forward(self, inputs: Float[Tensor, "image channel *space"]) -> Float[Tensor, "image channel *space"]:
        """The branch, scaled."""
        return inputs * self.weight


def without_norm(network: nn.Module, *, is_standardised: bool) -> nn.Module:
    """Take the normalisation out of a ResNet of basic blocks.

    Raises `ConfigError` for any other network, and for one whose weights are not standardised: its activations would
    grow or vanish with depth.
    """
    if not isinstance(network, ResNet):
        raise ConfigError("model.norm none is for ResNets alone", hint="--set model.norm=group, or a ResNet")
    if not is_standardised:
        raise ConfigError(
            "model.norm none needs standardised weights", hint="add --set model.weight_standardization=true"
        )
    network.bn1 = nn.Identity()
    for block in network.modules():
        if isinstance(block, ResNetBlock):
            block.bn1, block.bn2 = nn.Identity(), Gain()
            if isinstance(block.downsample, nn.Sequential):
                block.downsample[1] = nn.Identity()
    return network
