"""The layers every network of the catalogue is made of: normalisation within one image, and ReLU that keeps its input.

GroupNorm (Wu and He 2018) looks at one image alone, so no patient's output depends on another patient. An activation
that overwrites its input would break `torch.func`, which still needs that input for the gradient.
"""

import torch
from jaxtyping import Float
from monai.networks.layers.factories import Norm
from torch import Tensor, nn

Layer = tuple[str, dict[str, object]]
"""A layer as MONAI's factories take it: a name and its arguments."""

RELU: Layer = ("relu", {"inplace": False})
MOST_GROUPS = 8
TINY = 1e-12
"""Added to a square before its root, so that nothing has a finite gradient."""


def group_norm(channels: int) -> Layer:
    """GroupNorm with as many groups as divide `channels`, at most eight; it fits every multiple of `channels` too."""
    groups = max(n for n in range(1, MOST_GROUPS + 1) if channels % n == 0)
    return ("group", {"num_groups": groups})


class ChannelAffine(nn.Module):
    """Each channel times a weight plus a bias: BatchNorm (Ioffe and Szegedy 2015) whose statistics are fixed.

    Published networks were trained with BatchNorm. With the statistics they came with it is this, and mixes nobody.
    """

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(num_channels)), nn.Parameter(torch.zeros(num_channels))

    def forward(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """The image, scaled and shifted."""
        shape = (-1, *(1 for _ in range(image.dim() - 2)))
        return torch.addcmul(self.bias.view(shape), image, self.weight.view(shape))


def _affine_of(dims: int) -> type[ChannelAffine]:  # noqa: ARG001  the same in any
    return ChannelAffine


AFFINE: Layer = ("channel_affine", {})
Norm.add_factory_callable("channel_affine", _affine_of, "Batch normalisation with fixed statistics.")


class MeanAndSpread(nn.Module):
    """Each channel's mean over the image, then each channel's standard deviation: how much of it, and how patchy."""

    def forward(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch feature"]:
        """Two numbers a channel, whatever the size of the image."""
        values = image.flatten(2)
        mean = values.mean(2)
        spread = ((values - mean[..., None]).square().mean(2) + TINY).sqrt()
        return torch.cat([mean, spread], dim=1)


class Centre(nn.Module):
    """Takes a fixed vector from every image's features: the mean of public ones, zeros until it is loaded."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(features), requires_grad=False)

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
        """What is left of them."""
        return features - self.value


class UnitLength(nn.Module):
    """Every image's features scaled to length one, so that one clip norm fits the gradients of all patients.

    Several kinds of features, `kinds` runs of equal length, are scaled each for itself: the larger does not drown the
    smaller.
    """

    def __init__(self, kinds: int = 1) -> None:
        super().__init__()
        self.kinds = kinds

    def forward(self, features: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
        """Nothing stays nothing, and has a finite gradient."""
        kinds = features.reshape(-1, self.kinds, features.shape[1] // self.kinds)
        squares = self.kinds * kinds.square().sum(2, keepdim=True)
        scaled: Tensor = kinds * torch.rsqrt(squares + TINY)
        return scaled.flatten(1)
