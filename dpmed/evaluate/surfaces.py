"""How far predicted surfaces lie from the reference's. A surface: voxels of a mask with a face neighbour outside it.

| reference | prediction | HD95 | surface Dice |
|---|---|---|---|
| empty | empty | 0 mm | 1 |
| empty | not empty | diagonal of the image | 0 |
| not empty | empty | diagonal of the image | 0 |

The BraTS challenge scores alike, with 374 mm, the diagonal of its fixed image size.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jaxtyping import Bool
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice
from torch import Tensor

PERCENTILE = 95
TOLERANCE_MM = 2.0
"""Surfaces no farther apart than this agree: two voxels of a BraTS scan."""


def hd95_of_regions(
    predicted: Bool[Tensor, "region *space"], reference: Bool[Tensor, "region *space"], spacing_mm: Sequence[float]
) -> tuple[float, ...]:
    """The 95th percentile of surface distances in mm, the larger of the two directions, for each region."""
    pairs = zip(predicted, reference, strict=True)
    return tuple(hd95(found, true, spacing_mm) for found, true in pairs)


def surface_dice_of_regions(
    predicted: Bool[Tensor, "region *space"], reference: Bool[Tensor, "region *space"], spacing_mm: Sequence[float]
) -> tuple[float, ...]:
    """The share of both surfaces within `TOLERANCE_MM` of the other (Seidlitz et al. 2022), for each region."""
    pairs = zip(predicted, reference, strict=True)
    return tuple(_surface_dice(found, true, spacing_mm) for found, true in pairs)


def hd95(
    predicted: Bool[Tensor, "*space"],
    reference: Bool[Tensor, "*space"],
    spacing_mm: Sequence[float],
    *,
    percentile: float = PERCENTILE,
) -> float:
    """HD95 of one region, or another percentile of the same distances."""
    is_there = bool(predicted.any()), bool(reference.any())
    if not any(is_there):
        return 0.0
    if not all(is_there):
        return diagonal_mm(predicted.shape, spacing_mm)
    pair = predicted[None, None], reference[None, None]
    with _as_monai_is():
        distance = compute_hausdorff_distance(
            *pair, include_background=True, percentile=percentile, spacing=list(spacing_mm)
        )
    return float(distance)


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """The diagonal of an image: what a distance counts that cannot be measured."""
    return math.hypot(*(count * step for count, step in zip(shape, spacing_mm, strict=True)))


def _surface_dice(
    predicted: Bool[Tensor, "*space"], reference: Bool[Tensor, "*space"], spacing_mm: Sequence[float]
) -> float:
    is_there = bool(predicted.any()), bool(reference.any())
    if not all(is_there):
        return float(not any(is_there))
    pair = predicted[None, None], reference[None, None]
    with _as_monai_is():
        # With a spacing, MONAI measures in its unit: the threshold is in mm, though its documentation says pixels.
        share = compute_surface_dice(
            *pair, class_thresholds=[TOLERANCE_MM], include_background=True, spacing=list(spacing_mm)
        )
    return float(share)


@contextmanager
def _as_monai_is() -> Iterator[None]:
    """MONAI 1.6 passes itself an argument that it calls deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        yield
