"""ResNets with GroupNorm for slices and volumes."""

from monai.networks.nets.resnet import ResNet, ResNetBlock, ResNetBottleneck
from torch import nn

from dpmed.core.specs import ModelSpec
from dpmed.models.layers import RELU, Layer, group_norm


class _Block(ResNetBlock):
    """MONAI's basic block, whose network passes it neither activation nor normalisation."""

    def __init__(
        self,
        in_planes: int,
        planes: int,
        spatial_dims: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm: Layer | str = "group",
    ) -> None:
        super().__init__(in_planes, planes, spatial_dims, stride, downsample, act=RELU, norm=norm)


class _GroupNormResNet(ResNet):
    """MONAI's ResNet builds its stages with BatchNorm whatever `norm` it is given (1.6); this one does not."""

    def _make_layer(
        self,
        block: type[ResNetBlock | ResNetBottleneck],
        planes: int,
        blocks: int,
        spatial_dims: int,
        shortcut_type: str,
        stride: int = 1,
        norm: Layer | str = "group",  # noqa: ARG002  decided by the number of channels
    ) -> nn.Sequential:
        return super()._make_layer(block, planes, blocks, spatial_dims, shortcut_type, stride, group_norm(planes))


def resnet(spec: ModelSpec, *, blocks: list[int]) -> nn.Module:
    """A ResNet with `blocks` basic blocks in its four stages of `width`, 2, 4 and 8 times `width` channels.

    Layer names are MONAI's, so convolutions of MedicalNet weights of the same width fit. The image is halved five
    times.
    """
    return _GroupNormResNet(
        _Block,
        blocks,
        [spec.width, 2 * spec.width, 4 * spec.width, 8 * spec.width],
        spatial_dims=spec.spatial_dims,
        n_input_channels=spec.in_channels,
        conv1_t_stride=2,
        num_classes=spec.out_channels,
        bias_downsample=False,
        act=RELU,
        norm=group_norm(spec.width),
    )
