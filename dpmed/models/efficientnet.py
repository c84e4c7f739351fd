"""EfficientNet-Lite0, whose published weights give features that a linear layer can tell scans apart by.

Its first five stages of seven: what the last two add tells photographs apart, and is noise to a private head on scans.
"""

from collections import OrderedDict

from monai.networks.layers.factories import Conv, Pad
from torch import Tensor, nn

from dpmed.core.specs import ModelSpec
from dpmed.models.layers import ChannelAffine, MeanAndSpread
from dpmed.models.probe import probe

STEM = 32
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
)
"""Blocks, side of the kernel, stride of the first block, expansion and channels, at the published width."""


class _Block(nn.Module):
    """An inverted residual (Sandler et al. 2018): more channels, one filter a channel, fewer channels again."""

    def __init__(self, dims: int, channels: tuple[int, int], *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        before, after = channels
        inner = before * expansion
        self.expand = _layers(dims, before, inner) if expansion > 1 else None
        self.depthwise = _layers(dims, inner, inner, kernel=kernel, stride=stride, groups=inner)
        self.project = _layers(dims, inner, after, is_linear=True)
        self.is_residual = stride == 1 and before == after

    def forward(self, image: Tensor) -> Tensor:
        """From `before` channels to `after`."""
        wide = image if self.expand is None else self.expand(image)
        narrow: Tensor = self.project(self.depthwise(wide))
        return image + narrow if self.is_residual else narrow


def efficientnet_lite0(spec: ModelSpec) -> nn.Module:
    """The first five stages of EfficientNet-Lite0 (Tan and Le 2019; Google's TPU models, 2020) under a linear head.

    `width` is the channels of its first layer, 32 as published; all others are in proportion. Sides of images must be
    multiples of 16: the published network then pads all its strides alike.
    """
    dims = spec.spatial_dims
    channels = _scaled(STEM, spec)
    stem = _layers(dims, spec.in_channels, channels, kernel=3, stride=2)
    blocks = []
    for count, kernel, stride, expansion, published in STAGES:
        after = _scaled(published, spec)
        for index in range(count):
            first = stride if index == 0 else 1
            blocks.append(_Block(dims, (channels, after), kernel=kernel, stride=first, expansion=expansion))
            channels = after
    layers = OrderedDict(stem=stem, blocks=nn.Sequential(*blocks), pool=MeanAndSpread())
    return probe(nn.Sequential(layers), 2 * channels, spec.out_channels, kinds=2)


def _scaled(published: int, spec: ModelSpec) -> int:
    return max(1, round(published * spec.width / STEM))


def _layers(
    dims: int, before: int, after: int, *, kernel: int = 1, stride: int = 1, groups: int = 1, is_linear: bool = False
) -> nn.Sequential:
    """Convolution, affine and ReLU6. At a stride of two the far sides get one zero more, as in TensorFlow."""
    side = kernel // 2
    conv = Conv[Conv.CONV, dims](
        before, after, kernel, stride=stride, padding=side if stride == 1 else 0, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear" if is_linear else "relu")
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=ChannelAffine(after))
    if stride > 1:
        layers = OrderedDict(pad=Pad[Pad.CONSTANTPAD, dims]((side - 1, side) * dims, 0.0), **layers)
    return nn.Sequential(layers if is_linear else OrderedDict(**layers, act=nn.ReLU6()))
