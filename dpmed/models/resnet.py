"""ResNets for slices and volumes, with GroupNorm or with the fixed statistics of published weights."""

from typing import Any

from monai.networks.nets.resnet import ResNet, ResNetBlock, ResNetBottleneck
from torch import nn

from dpmed.core.specs import ModelSpec
from dpmed.models.layers import AFFINE, RELU, Layer, group_norm
from dpmed.models.probe import probe


class _KeepingInputs:
    """MONAI's network passes its blocks no activation, and theirs overwrites its input."""

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, act=RELU, **options)  # type: ignore[call-arg]  # of the block it is put before


class _Block(_KeepingInputs, ResNetBlock):
    pass


class _Bottleneck(_KeepingInputs, ResNetBottleneck):
    pass


class _ResNet(ResNet):
    """MONAI's ResNet builds its stages with BatchNorm whatever `norm` it is given (1.6); this one does not."""

    def norm_of(self, channels: int) -> Layer:
        """How `channels` are normalised."""
        return group_norm(channels)

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
        return super()._make_layer(block, planes, blocks, spatial_dims, shortcut_type, stride, self.norm_of(planes))


class _AffineResNet(_ResNet):
    def norm_of(self, channels: int) -> Layer:  # noqa: ARG002  the same for any
        """As it was when the published weights had been trained."""
        return AFFINE


def resnet(spec: ModelSpec, *, blocks: list[int]) -> nn.Module:
    """A ResNet with `blocks` basic blocks in its four stages of `width`, 2, 4 and 8 times `width` channels.

    Layer names are MONAI's, so convolutions of published weights of the same width fit. The image is halved five
    times.
    """
    return _ResNet(
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


def published_resnet(spec: ModelSpec, *, blocks: list[int], is_deep: bool = False) -> nn.Module:
    """A ResNet (He et al. 2016) that gives the published outputs with published weights, under a linear head.

    Published ones have a `width` of 64. Deep ones have three convolutions a block and four times the features.
    """
    block = _Bottleneck if is_deep else _Block
    features = _AffineResNet(
        block,
        blocks,
        [spec.width, 2 * spec.width, 4 * spec.width, 8 * spec.width],
        spatial_dims=spec.spatial_dims,
        n_input_channels=spec.in_channels,
        conv1_t_stride=2,
        feed_forward=False,
        bias_downsample=False,
        act=RELU,
        norm=AFFINE,
    )
    return probe(features, 8 * spec.width * block.expansion, spec.out_channels)
