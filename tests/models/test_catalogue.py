"""Every network of the catalogue, in 2-D and 3-D, gives each patient the gradient it would have alone."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.models import build, catalogue, check_image_size, check_private, loss_function

NETWORKS = [(name, dims) for name in catalogue() for dims in (2, 3)]
every_network = pytest.mark.parametrize(("name", "dims"), NETWORKS)


def spec_of(name: str, dims: int, *, width: int = 4) -> ModelSpec:
    outputs = 3 if name == "unet" else 1
    return ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=outputs, width=width)


def patients(name: str, dims: int, *, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two draws each; every other draw of a segmentation patient has no tumour."""
    side = 32
    inputs = torch.randn(count, 2, 2, *[side] * dims, dtype=torch.float64)
    if name != "unet":
        return inputs, torch.tensor([[0.0, 1.0]] * count, dtype=torch.float64)
    targets = (torch.rand(count, 2, 3, *[side] * dims) > 0.8).double()
    targets[:, 1] = 0
    return inputs, targets


def learned(network: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in network.parameters() if weight.requires_grad]


def loss_of(name: str) -> object:
    return loss_function(TaskSpec(kind="segmentation" if name == "unet" else "classification", outputs=("a",)))


def started(name: str, dims: int) -> nn.Module:
    """In doubles, after a first step: a head that starts at zero then hands gradients on."""
    network = build(spec_of(name, dims)).double()
    if hasattr(network, "centre"):
        nn.init.normal_(network.head.weight)
    return network


@every_network
def test_vectorised_gradients_are_those_of_each_patient_alone(name: str, dims: int) -> None:
    torch.manual_seed(0)
    network = started(name, dims)
    loss, (inputs, targets) = loss_of(name), patients(name, dims, count=3)
    weights = {key: value.detach() for key, value in network.named_parameters() if value.requires_grad}

    def compute(values, image, target):
        return loss(functional_call(network, values, (image,)), target)

    together = vmap(grad(compute), in_dims=(None, 0, 0))(weights, inputs, targets)
    for patient in range(3):
        value = loss(network(inputs[patient]), targets[patient])
        alone = torch.autograd.grad(value, learned(network))
        for key, gradient in zip(weights, alone, strict=True):
            torch.testing.assert_close(together[key][patient], gradient, rtol=1e-9, atol=1e-11)


@every_network
def test_every_weight_learns(name: str, dims: int) -> None:
    torch.manual_seed(0)
    network = started(name, dims)
    inputs, targets = patients(name, dims, count=1)
    learning = {key: weight for key, weight in network.named_parameters() if weight.requires_grad}
    fixed = set(dict(network.named_parameters())) - set(learning)
    assert all(key.startswith(("centre.", "scattering.")) for key in fixed), fixed
    loss_of(name)(network(inputs[0]), targets[0]).backward()
    assert all(weight.grad.isfinite().all() for weight in learned(network))
    # A convolution's bias right before GroupNorm with one channel a group is the one weight that cannot matter.
    norms = {key: float(weight.grad.abs().max()) for key, weight in learning.items() if weight.ndim > 1}
    assert min(norms.values()) > 0, norms


@every_network
def test_the_catalogue_is_private_and_keeps_no_statistics(name: str, dims: int) -> None:
    network = build(spec_of(name, dims))
    check_private(network)
    assert not list(network.buffers())
    assert not [layer for layer in network.modules() if isinstance(layer, nn.ReLU) and layer.inplace]


@every_network
def test_one_patient_does_not_change_the_output_of_another(name: str, dims: int) -> None:
    torch.manual_seed(0)
    network = started(name, dims)
    image = patients(name, dims, count=1)[0][0]
    other = torch.cat([image[:1], 100 * image[1:]])
    torch.testing.assert_close(network(image)[0], network(other)[0], rtol=1e-12, atol=1e-12)


@every_network
def test_initial_weights_follow_the_seed(name: str, dims: int) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in build(spec_of(name, dims)).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_unet_answers_on_the_grid_of_its_input() -> None:
    for dims, space in ((2, (48, 64)), (3, (16, 24, 32))):
        assert build(spec_of("unet", dims))(torch.zeros(2, 2, *space)).shape == (2, 3, *space)


@pytest.mark.parametrize("width", [3, 4, 7, 12, 16])
def test_width_scales_every_network(width: int) -> None:
    """Odd widths too: the number of groups adapts."""
    for name, dims in NETWORKS:
        narrow, wide = (
            sum(weight.numel() for weight in learned(build(spec_of(name, dims, width=size))))
            for size in (width, 2 * width)
        )
        least = 2 if name == "efficientnet-lite0" else 3  # its filters, one a channel, grow with the width alone
        assert least < wide / narrow < 4.1


def test_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        build(spec_of("resnet11", 2))
    assert "resnet10-gn" in caught.value.hint


@every_network
def test_the_least_image_size_is_enough_and_less_is_refused(name: str, dims: int) -> None:
    least = next(side for side in range(8, 64, 8) if accepts(name, [side] * dims))
    assert build(spec_of(name, dims))(torch.zeros(2, 2, *[least] * dims)).isfinite().all()
    with pytest.raises(ConfigError) as caught:
        check_image_size(name, [least - 1] * dims)
    assert f"data.image_size={[least] * dims}" in caught.value.hint


def accepts(name: str, size: list[int]) -> bool:
    try:
        check_image_size(name, size)
    except ConfigError:
        return False
    return True
