"""The random part of the pipeline: another view of each draw, all draws of a patient at once.

One resampling by MONAI's batched affine layer; its dictionary transforms take ten times as long, one draw at a time.
"""

import numpy as np
import torch
from jaxtyping import Float
from monai.networks.layers.spatial_transforms import AffineTransform
from torch import Tensor

TURN = 0.17
ZOOM = 0.12
SHIFT = 0.08
CONTRAST = 0.15
BRIGHTNESS = 0.15
NOISE = 0.05

_resample = AffineTransform(
    mode="bilinear", padding_mode="zeros", normalized=True, align_corners=False, reverse_indexing=False
)


def augmented(
    image: Float[Tensor, "draw channel *space"],
    regions: Float[Tensor, "draw region *space"] | None,
    *,
    background: Float[Tensor, "draw"],
    random: torch.Generator,
) -> tuple[Tensor, Tensor | None]:
    """Mirror left and right, turn up to 10 degrees in the plane of the slice, zoom, shift; then contrast and noise.

    What comes into view from outside is `background`. Masks move with their image and stay 0/1. Never upside down: no
    patient is scanned so.
    """
    moves = _moves(len(image), image.shape[2:], random)
    air = background.view(-1, *[1] * (image.ndim - 1))
    if regions is None:
        return _recoloured(_resample(image - air, moves) + air, random), None
    moved = _resample(torch.cat([image - air, regions], dim=1), moves)
    moved_image, moved_regions = moved.split([image.shape[1], regions.shape[1]], dim=1)
    return _recoloured(moved_image + air, random), (moved_regions >= 0.5).float()


def _moves(draws: int, space: torch.Size, random: torch.Generator) -> Float[Tensor, "draw axis axis"]:
    """Affine matrices over coordinates from -1 to 1, columns first and slices last, as torch resamples."""
    mirror, turn, zoom, right, down = _uniform(5, draws, random).numpy()
    angle, scale = TURN * turn, np.exp(ZOOM * zoom)  # numpy is several times as fast on a handful of numbers
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    mirrored = np.where(mirror < 0, np.float32(-1), np.float32(1))
    rows_per_column = space[-2] / space[-1]
    moves = np.tile(np.eye(len(space) + 1, dtype=np.float32), (draws, 1, 1))
    moves[:, 0, 0], moves[:, 0, 1] = mirrored * cos, -mirrored * sin * rows_per_column
    moves[:, 1, 0], moves[:, 1, 1] = sin / rows_per_column, cos
    moves[:, 0, -1], moves[:, 1, -1] = SHIFT * right, SHIFT * down
    return torch.from_numpy(moves)


def _recoloured(image: Float[Tensor, "draw channel *space"], random: torch.Generator) -> Tensor:
    """Another contrast and brightness for each draw and channel, and a noise level for each draw."""
    draws, channels = image.shape[:2]
    contrast, brightness = _uniform(2, draws * channels, random).view(2, draws, channels, *[1] * (image.ndim - 2))
    level = NOISE * _uniform(1, draws, random).abs().view(draws, *[1] * (image.ndim - 1))
    noise = torch.randn(image.shape, generator=random)
    recoloured: Tensor = image * (1 + CONTRAST * contrast) + BRIGHTNESS * brightness + level * noise
    return recoloured


def _uniform(rows: int, columns: int, random: torch.Generator) -> Float[Tensor, "rows columns"]:
    """Numbers between -1 and 1."""
    return 2 * torch.rand(rows, columns, generator=random) - 1
