"""The networks that a recipe may name. Building one draws from torch's global generator, which the caller seeds."""

from collections.abc import Callable
from functools import partial

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
    """U-Net (Ronneberger et al. 2015) in MONAI's form: four levels, downsampled by strides.

    Image sides must be multiples of eight.
    """
    return UNet(
        spec.spatial_dims,
        spec.in_channels,
        spec.out_channels,
        channels=(spec.width, 2 * spec.width, 4 * spec.width, 8 * spec.width),
        strides=(2, 2, 2),
        act=RELU,
        norm=group_norm(spec.width),
        adn_ordering="NA",  # without the dropout that MONAI otherwise puts between, at probability zero
    )


_NETWORKS: dict[str, Callable[[ModelSpec], nn.Module]] = {
    "resnet10-gn": partial(resnet, blocks=[1, 1, 1, 1]),
    "resnet18-gn": partial(resnet, blocks=[2, 2, 2, 2]),
    "densenet-gn": _densenet,
    "unet": _unet,
}


def catalogue() -> tuple[str, ...]:
    """The names that `model.name` of a recipe may take; each is made for 2-D and 3-D."""
    return tuple(_NETWORKS)


def build(spec: ModelSpec) -> nn.Module:
    """The network of a spec with fresh weights, in training mode. Raises `ConfigError` for an unknown name."""
    if spec.name not in _NETWORKS:
        raise ConfigError(
            f"no network {spec.name!r} in the catalogue",
            hint=f"--set model.name=NAME with one of {', '.join(catalogue())}",
        )
    return _NETWORKS[spec.name](spec)
