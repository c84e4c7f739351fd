"""Standardised weights: their size is fixed, the stored ones are free, and a ResNet can do without normalisation."""

import pytest
import torch
from torch import nn

from dpmed.backends.ipu.graph import graph_of
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models import build, catalogue, check_private
from dpmed.models.norm_free import Gain
from dpmed.models.standardised import RELU_GAIN, Standardised

CONVOLVES = [name for name in catalogue() if name == "unet" or name.endswith("-gn")]
NETWORKS = [(name, dims) for name in CONVOLVES for dims in (2, 3)]


def spec_of(name: str, dims: int = 2, **variant: object) -> ModelSpec:
    return ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=1, width=4, **variant)


@pytest.mark.parametrize(("name", "dims"), NETWORKS)
def test_the_key_standardises_every_convolution_but_the_head(name: str, dims: int) -> None:
    network = build(spec_of(name, dims, weight_standardization=True))
    check_private(network)
    kinds = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    plain = [key for key, layer in network.named_modules() if isinstance(layer, kinds) and type(layer) in kinds]
    assert plain == (["head.conv"] if name == "unet" else [])


@pytest.mark.parametrize(("name", "dims"), NETWORKS)
def test_names_and_shapes_of_the_weights_stay(name: str, dims: int) -> None:
    plain, standard = (build(spec_of(name, dims, weight_standardization=flag)).state_dict() for flag in (False, True))
    assert {k: v.shape for k, v in plain.items()} == {k: v.shape for k, v in standard.items()}


@pytest.mark.parametrize(("name", "dims"), NETWORKS)
def test_what_is_used_has_mean_zero_and_one_size_for_each_output_channel(name: str, dims: int) -> None:
    network = build(spec_of(name, dims, weight_standardization=True)).double()
    for layer in network.modules():
        if isinstance(layer, Standardised):
            used = layer.used_weight()
            by_channel = (used.transpose(0, 1) if layer.transposed else used).flatten(1)
            torch.testing.assert_close(by_channel.mean(1), torch.zeros(len(by_channel)).double(), atol=1e-12, rtol=0)
            torch.testing.assert_close(
                by_channel.norm(dim=1), torch.full((len(by_channel),), RELU_GAIN).double(), rtol=0.02, atol=0
            )


@pytest.mark.parametrize("name", CONVOLVES)
def test_answers_do_not_depend_on_shift_and_size_of_the_stored_weights(name: str) -> None:
    torch.manual_seed(0)
    network, image = build(spec_of(name, weight_standardization=True)).double(), torch.randn(2, 2, 32, 32).double()
    before = network(image)
    for layer in network.modules():
        if isinstance(layer, Standardised):
            layer.weight.data = 7 * layer.weight.data + 3
    torch.testing.assert_close(network(image), before, rtol=0.05, atol=1e-3)


def test_gradients_with_respect_to_stored_weights_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    layer = next(
        one
        for one in build(spec_of("unet", weight_standardization=True)).double().modules()
        if isinstance(one, Standardised)
    )
    outward = torch.randn(3, *layer.weight.shape).double()
    alone = [torch.autograd.grad(layer.used_weight(), layer.weight, one)[0] for one in outward]
    torch.testing.assert_close(layer.of_stored(outward), torch.stack(alone), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["resnet10-gn", "resnet18-gn"])
@pytest.mark.parametrize("dims", [2, 3])
def test_a_resnet_without_norm_carries_images_through_at_their_size(name: str, dims: int) -> None:
    torch.manual_seed(0)
    spec = spec_of(name, dims, weight_standardization=True, norm="none").model_copy(update={"width": 16})
    network = build(spec)
    check_private(network)
    assert not any(isinstance(layer, nn.GroupNorm) for layer in network.modules())
    sizes = []
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        stage.register_forward_hook(lambda _, __, output: sizes.append(float(output.square().mean().sqrt())))
    with torch.no_grad():
        network(torch.randn(4, 2, *[64] * dims))
    assert all(0.3 < size < 5 for size in sizes)


def test_every_branch_of_a_norm_free_resnet_has_a_gain_that_learns() -> None:
    torch.manual_seed(0)
    network = build(spec_of("resnet18-gn", weight_standardization=True, norm="none"))
    network(torch.randn(2, 2, 64, 64)).sum().backward()
    gains = [layer for layer in network.modules() if isinstance(layer, Gain)]
    assert len(gains) == 8
    assert all(float(gain.weight.grad.abs()) > 0 for gain in gains)


@pytest.mark.parametrize("name", ["unet", "densenet-gn"])
def test_other_networks_keep_their_norm(name: str) -> None:
    with pytest.raises(ConfigError, match="ResNets alone"):
        build(spec_of(name, weight_standardization=True, norm="none"))


def test_no_norm_without_standardised_weights() -> None:
    with pytest.raises(ConfigError, match="needs standardised weights") as refusal:
        build(spec_of("resnet10-gn", norm="none"))
    assert "model.weight_standardization=true" in refusal.value.hint


def test_an_ipu_refuses_standardised_weights_and_says_so() -> None:
    with pytest.raises(ConfigError, match="does not standardise weights"):
        graph_of(build(spec_of("resnet10-gn", weight_standardization=True)))
