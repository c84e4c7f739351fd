"""The networks that a recipe may name. Building one draws from torch's global generator, which the caller seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from monai.networks.blocks.acti_norm import ADN
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.densenet import DenseNet
from monai.networks.nets.unet import UNet
from torch import nn

from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models.layers import RELU, group_norm
from dpmed.models.resnet import resnet


def _densenet(spec: ModelSpec) -> nn.Module:
    """DenseNet (Huang et al. 2017) small enough for a noisy gradient.

    The blocks are such that every layer has a multiple of `width` channels, hence whole groups.
    """
    return DenseNet(
        spec.spatial_dims,
        spec.in_channels,
        spec.out_channels,
        init_features=2 * spec.width,
        growth_rate=spec.width,
        block_config=(2, 4, 5, 4),
        act=RELU,
        norm=group_norm(spec.width),
    )


def _unet(spec: ModelSpec) -> nn.Module:
    """U-Net (Ronneberger et al. 2015) in MONAI's form: four levels, downsampled by strides, and a 3x3 convolution.

    Image sides must be multiples of eight. Without the last convolution the network would end in a transposed one of
    stride two, whose output is a checkerboard.
    """
    body = UNet(
        spec.spatial_dims,
        spec.in_channels,
        spec.width,
        channels=(spec.width, 2 * spec.width, 4 * spec.width, 8 * spec.width),
        strides=(2, 2, 2),
        act=RELU,
        norm=group_norm(spec.width),
        adn_ordering="NA",  # without the dropout that MONAI otherwise puts between, at probability zero
    )
    settle = ADN("NA", spec.width, act=RELU, norm=group_norm(spec.width))
    head = Convolution(spec.spatial_dims, spec.width, spec.out_channels, conv_only=True)
    return nn.Sequential(OrderedDict(body=body, settle=settle, head=head))


_NETWORKS:
        raise ConfigError(
            f"no network {name!r} in the catalogue",
            hint=f"--set model.name=NAME with one of {', '.join(catalogue())}",
        )
    return _NETWORKS[name]
