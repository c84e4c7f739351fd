"""How well predicted regions match the reference: overlap, and distance between their surfaces.

| reference | prediction | Dice | HD95 |
|---|---|---|---|
| empty | empty | 1 | 0 mm |
| empty | not empty | 0 | diagonal of the image |
| not empty | empty | 0 | diagonal of the image |

The BraTS challenge scores alike, with 374 mm, the diagonal of its fixed image size.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.meandice import compute_dice
from torch import Tensor

from dpmed.evaluate.intervals import mean_interval
from dpmed.evaluate.results import Interval, SegmentationScores, SegmentedCase, SegmentedPatient

PERCENTILE = 95


def dice_of_regions(
    predicted: Bool[Tensor, "region *space"], reference: Bool[Tensor, "region *space"]
) -> tuple[float, ...]:
    """Twice the overlap over the sum of sizes (Dice 1945), for each region."""
    scores = compute_dice(predicted[None].float(), reference[None].float(), ignore_empty=False)[0]
    return tuple(scores.tolist())


def hd95_of_regions(
    predicted: Bool[Tensor, "region *space"], reference: Bool[Tensor, "region *space"], spacing_mm: Sequence[float]
) -> tuple[float, ...]:
    """The 95th percentile of surface distances in mm, the larger of the two directions, for each region."""
    pairs = zip(predicted, reference, strict=True)
    return tuple(_hd95(found, true, list(spacing_mm)) for found, true in pairs)


def _hd95(predicted: Bool[Tensor, "*space"], reference: Bool[Tensor, "*space"], spacing_mm: list[float]) -> float:
    is_there = bool(predicted.any()), bool(reference.any())
    if not any(is_there):
        return 0.0
    if not all(is_there):
        return math.hypot(*(count * step for count, step in zip(predicted.shape, spacing_mm, strict=True)))
    pair = predicted[None, None], reference[None, None]
    with warnings.catch_warnings():
        # MONAI 1.6 passes itself an argument that it calls deprecated.
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        distance = compute_hausdorff_distance(*pair, include_background=True, percentile=PERCENTILE, spacing=spacing_mm)
    return float(distance)


def largest_slice(regions: Bool[Tensor, "region slice row column"]) -> int | None:
    """The slice where most voxels are in some region; None if none is."""
    areas = regions.any(0).sum((1, 2))
    return int(areas.argmax()) if bool(areas.any()) else None


def of_case(
    case: str,
    regions: Sequence[str],
    *,
    predicted: Bool[Tensor, "region slice row column"],
    reference: Bool[Tensor, "region slice row column"],
    spacing_mm: Sequence[float],
) -> SegmentedCase:
    """Judge one case, region by region."""
    seen = largest_slice(reference)
    if seen is None:
        seen = largest_slice(predicted)
    return SegmentedCase(
        case=case,
        dice=dict(zip(regions, dice_of_regions(predicted, reference), strict=True)),
        hd95_mm=dict(zip(regions, hd95_of_regions(predicted, reference, spacing_mm), strict=True)),
        absent=tuple(region for region, voxels in zip(regions, reference, strict=True) if not voxels.any()),
        slice=predicted.shape[1] // 2 if seen is None else seen,
    )


def of_patient(patient: str, cases: Sequence[SegmentedCase]) -> SegmentedPatient:
    """Cases to patient: the means."""
    return SegmentedPatient(
        patient=patient,
        dice={region: float(np.mean([case.dice[region] for case in cases])) for region in cases[0].dice},
        hd95_mm={region: float(np.mean([case.hd95_mm[region] for case in cases])) for region in cases[0].dice},
        cases=tuple(cases),
    )


def segmentation_scores(patients: Sequence[SegmentedPatient]) -> SegmentationScores:
    """The numbers of a cohort, which needs a patient."""
    regions = tuple(patients[0].dice)
    dice = {region: np.array([patient.dice[region] for patient in patients]) for region in regions}
    hd95 = {region: np.array([patient.hd95_mm[region] for patient in patients]) for region in regions}
    nothing = {region: np.array([_share_without(region, patient) for patient in patients]) for region in regions}
    over_regions = np.mean(list(dice.values()), axis=0)
    return SegmentationScores(
        dice=_means(dice),
        dice_region_ci=_intervals(dice),
        dice_mean=float(over_regions.mean()),
        dice_ci=mean_interval(over_regions),
        hd95=_means(hd95),
        hd95_ci=_intervals(hd95),
        hd95_median={region: float(np.median(values)) for region, values in hd95.items()},
        absent={region: sum(region in case.absent for p in patients for case in p.cases) for region in regions},
        baseline_dice=_means(nothing),
    )


def _share_without(region: str, patient: SegmentedPatient) -> float:
    return float(np.mean([region in case.absent for case in patient.cases]))


def _means(by_region: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {region: float(values.mean()) for region, values in by_region.items()}


def _intervals(by_region: Mapping[str, np.ndarray]) -> dict[str, Interval | None]:
    return {region: mean_interval(values) for region, values in by_region.items()}
