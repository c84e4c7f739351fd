"""The networks that a recipe may name. Building one draws from torch's global generator, which the caller seeds."""

from collections import OrderedDict
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
from dpmed.models.efficientnet import efficientnet_lite0
from dpmed.models.layers import RELU, ChannelAffine, group_norm
from dpmed.models.norm_free import without_norm
from dpmed.models.resnet import published_resnet, resnet
from dpmed.models.scattering import ScatteringNet
from dpmed.models.standardised import standardise
from dpmed.models.trained import for_training


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

    Without the last convolution it would end in a transposed one of stride two, whose output is a checkerboard; with
    MONAI's residual units, in as many normalised channels as there are regions, and one such channel says nothing.
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
    settle = ADN("NA", spec.width, act=RELU, norm=group_norm(spec.width), norm_dim=spec.spatial_dims)
    head = Convolution(spec.spatial_dims, spec.width, spec.out_channels, conv_only=True)
    return nn.Sequential(OrderedDict(body=body, settle=settle, head=head))


@dataclass(frozen=True)
class _Network:
    """How to build a network, and the sides an image must have: at least `least`, in multiples of `multiple`."""

    build: Callable[[ModelSpec], nn.Module]
    least: int
    multiple: int = 1


_NETWORKS = {
    "resnet10-gn": _Network(partial(resnet, blocks=[1, 1, 1, 1]), least=16),
    "resnet18-gn": _Network(partial(resnet, blocks=[2, 2, 2, 2]), least=16),
    "densenet-gn": _Network(_densenet, least=32),
    "unet": _Network(_unet, least=16, multiple=8),
    "resnet10": _Network(partial(published_resnet, blocks=[1, 1, 1, 1]), least=16),
    "resnet18": _Network(partial(published_resnet, blocks=[2, 2, 2, 2]), least=16),
    "resnet34": _Network(partial(published_resnet, blocks=[3, 4, 6, 3]), least=16),
    "resnet50": _Network(partial(published_resnet, blocks=[3, 4, 6, 3], is_deep=True), least=16),
    "efficientnet-lite0": _Network(efficientnet_lite0, least=32, multiple=16),
    "scattering": _Network(ScatteringNet, least=16),
}

HEAD = "head"
"""A fully connected layer alone, which no recipe names: the head of a network whose features are known already."""


def catalogue() -> tuple[str, ...]:
    """The names that `model.name` of a recipe may take; each is made for 2-D and 3-D."""
    return tuple(_NETWORKS)


def build(spec: ModelSpec) -> nn.Module:
    """The network of a spec with fresh weights, in training mode; frozen is what `spec.trained` leaves out.

    Raises `ConfigError` for an unknown name, for a part that the network has not, and for a network that needs the
    normalisation it is to do without.
    """
    if spec.name == HEAD:
        return nn.Sequential(OrderedDict(head=nn.Linear(spec.in_channels, spec.out_channels)))
    network = _named(spec.name).build(spec)
    if spec.weight_standardization:
        _check_standardisable(network, spec)
        standardise(network, but=getattr(network, "head", None))
    if spec.norm == "none":
        without_norm(network, is_standardised=spec.weight_standardization)
    return for_training(network, spec)


def _check_standardisable(network: nn.Module, spec: ModelSpec) -> None:
    """Published weights mean what they are, and wavelets are what they are."""
    if any(isinstance(layer, ChannelAffine | ScatteringNet) for layer in network.modules()):
        raise ConfigError(
            f"the weights of {spec.name} are fixed in size and cannot be standardised",
            hint="--set model.weight_standardization=false",
        )


def check_image_size(name: str, image_size: Sequence[int]) -> None:
    """Raise `ConfigError` if the network cannot take images with these sides."""
    network = _named(name)
    if all(side >= network.least and side % network.multiple == 0 for side in image_size):
        return
    fitting = [max(network.least, -(-side // network.multiple) * network.multiple) for side in image_size]
    multiples = f", in multiples of {network.multiple}" if network.multiple > 1 else ""
    raise ConfigError(
        f"{name} takes images of at least {network.least} voxels a side{multiples}, not {list(image_size)}",
        hint=f"--set data.image_size={fitting}",
    )


def side_multiple(name: str) -> int:
    """What the sides of an image must be multiples of."""
    return _named(name).multiple


def _named(name: str) -> _Network:
    if name not in _NETWORKS:
        raise ConfigError(
            f"no network {name!r} in the catalogue",
            hint=f"--set model.name=NAME with one of {', '.join(catalogue())}",
        )
    return _NETWORKS[name]
