"""Scattering: fixed features that hardly feel a shift, turn with the image, and leave a line to be learned."""

import pytest
import torch
from torch import Tensor

from dpmed.backends.ipu.graph import graph_of
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models import build
from dpmed.models.scattering import ANGLES, CHANNELS, SCALES, Scattering

FIRST = slice(1, 1 + SCALES * ANGLES)


def spot(*, row: int, column: int, side: int = 64) -> Tensor:
    """A stretched, wavy spot, small enough to be far from the edges."""
    rows, columns = torch.meshgrid(*[torch.arange(side).double()] * 2, indexing="ij")
    envelope = torch.exp(-((rows - row) ** 2) / 40 - (columns - column) ** 2 / 90)
    return (envelope * torch.cos((columns - column) / 2)).expand(1, 1, side, side)


def features(image: Tensor) -> Tensor:
    with torch.no_grad():
        return Scattering().double()(image)


def test_there_are_81_maps_a_channel_of_a_quarter_of_the_side() -> None:
    assert CHANNELS == 81
    assert features(torch.randn(2, 3, 64, 48).double()).shape == (2, 3 * 81, 16, 12)


def test_a_shift_by_a_whole_cell_shifts_the_features() -> None:
    before, after = features(spot(row=32, column=28)), features(spot(row=32, column=32))
    torch.testing.assert_close(after[..., 1:], before[..., :-1], rtol=0, atol=1e-3 * float(before.max()))


def test_a_shift_by_a_pixel_moves_the_features_less_than_the_image() -> None:
    one, other = spot(row=32, column=32), spot(row=32, column=33)

    def moved(a: Tensor, b: Tensor) -> float:
        return float((a - b).norm() / a.norm())

    assert moved(features(one)[:, FIRST], features(other)[:, FIRST]) < 0.5 * moved(one, other)


def test_a_quarter_turn_turns_the_maps_and_the_angles() -> None:
    """Eight angles share half a turn, so a quarter turn is a move by four of them."""
    image = spot(row=32, column=32)[..., :-1, :-1]  # odd sides: the turn then keeps the grid of every fourth pixel
    image = torch.nn.functional.pad(image, (0, 2, 0, 2))
    size = image.shape[-1]
    assert size % 4 == 1
    plain, turned = features(image), features(torch.rot90(image, 1, (-2, -1)))
    for scale in range(SCALES):
        first = 1 + scale * ANGLES
        expected = torch.rot90(plain[:, first : first + ANGLES].roll(ANGLES // 2, dims=1), 1, (-2, -1))
        torch.testing.assert_close(turned[:, first : first + ANGLES], expected, rtol=1e-6, atol=1e-8)


def test_an_even_image_has_no_waves() -> None:
    maps = features(torch.full((1, 1, 32, 32), 3.0).double())
    torch.testing.assert_close(maps[:, :1], torch.full((1, 1, 8, 8), 3.0).double(), rtol=1e-6, atol=0)
    assert float(maps[:, 1:].abs().max()) < 1e-5


def test_twice_the_contrast_is_twice_the_features() -> None:
    image = torch.randn(1, 1, 32, 32).double()
    torch.testing.assert_close(features(2 * image), 2 * features(image))


def test_the_head_alone_is_learned() -> None:
    spec = ModelSpec(name="scattering", spatial_dims=2, in_channels=2, out_channels=1, width=4)
    learned = {name: weight.shape for name, weight in build(spec).named_parameters() if weight.requires_grad}
    assert learned == {"head.weight": (1, 2 * 81 * 16), "head.bias": (1,)}


def test_a_volume_is_the_mean_of_its_slices() -> None:
    torch.manual_seed(0)
    network = build(ModelSpec(name="scattering", spatial_dims=3, in_channels=2, out_channels=1, width=2)).double()
    volume = torch.randn(2, 2, 5, 32, 32).double()
    by_slice = torch.stack([network(volume[:, :, index]) for index in range(5)]).mean(0)
    torch.testing.assert_close(network(volume), by_slice)


@pytest.mark.parametrize("dims", [2, 3])
def test_an_ipu_refuses_wavelets(dims: int) -> None:
    with pytest.raises(ConfigError, match="wavelets"):
        graph_of(build(ModelSpec(name="scattering", spatial_dims=dims, in_channels=1, out_channels=1, width=2)))
