"""Views of a draw: the mask moves with its image, each draw by itself, and what comes into view is air."""

import pytest
import torch

from dpmed.data.augment import augmented

SPACES = [(48, 48), (32, 64), (8, 32, 48)]
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blob(space: tuple[int, ...], draws: int) -> torch.Tensor:
    """A bright box off the centre."""
    image = torch.zeros(draws, 1, *space)
    image[..., space[-2] // 4 : space[-2] // 2, space[-1] // 3 : space[-1] // 2] = 1
    return image


@every_space
def test_the_mask_moves_with_its_image(space) -> None:
    image = blob(space, 8)
    views, masks = augmented(10 * image, image, background=torch.zeros(8), random=seeded(0))
    for view, mask in zip(views, masks, strict=True):
        inside = mask.bool()
        assert view[inside].mean() > 0.8 * view.max()
        assert view[~inside].mean() < 1
        assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(masks[0], masks[1])


@every_space
def test_nothing_of_one_draw_enters_another(space) -> None:
    image = torch.randn(3, 2, *space)
    other = torch.cat([image[:1], torch.randn(2, 2, *space)])
    one, two = (augmented(x, None, background=torch.zeros(3), random=seeded(1))[0] for x in (image, other))
    assert torch.equal(one[0], two[0])


def test_what_comes_into_view_is_the_draws_own_air() -> None:
    """A flat image of air stays flat, up to brightness, contrast and noise; nothing else comes in."""
    image = torch.stack([torch.full((1, 32, 32), level) for level in (-1.0, 0.0)])
    views, _ = augmented(image, None, background=torch.tensor([-1.0, 0.0]), random=seeded(2))
    for view, level in zip(views, (-1.0, 0.0), strict=True):
        assert abs(float(view.mean()) - level) < 0.31
        assert float(view.std()) < 0.06


def test_about_half_of_the_views_are_mirrored_and_none_is_upside_down() -> None:
    image = torch.zeros(200, 2, 32, 32)
    image[:, 0, 14:18, 2:10] = 1  # on the left
    image[:, 1, 2:10, 14:18] = 1  # at the top
    views, _ = augmented(image, None, background=torch.zeros(200), random=seeded(3))
    left = (views[:, 0, :, :16].mean((1, 2)) > views[:, 0, :, 16:].mean((1, 2))).float().mean()
    top = views[:, 1, :16].mean((1, 2)) > views[:, 1, 16:].mean((1, 2))
    assert 0.4 < float(left) < 0.6
    assert top.all()


def test_turning_keeps_shapes_on_slices_that_are_not_square() -> None:
    """A turn measured in voxels, not in shares of each side: a disc stays a disc, up to its pixels."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(96.0), indexing="ij")
    disc = ((rows - 16) ** 2 + (columns - 48) ** 2 < 64).float().expand(100, 1, 32, 96)
    _, masks = augmented(disc, disc, background=torch.zeros(100), random=seeded(4))
    where = [mask[0].nonzero().float() for mask in masks]
    widths = torch.stack([found.std(0) for found in where])
    assert torch.allclose(widths[:, 0], widths[:, 1], rtol=0.12)
