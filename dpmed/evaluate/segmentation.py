"""How well predicted regions match the reference: overlap, surfaces, lesions, volume; from case to patient to cohort.

Dice is 1 where reference and prediction are both empty, and 0 where one of them is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool
from monai.metrics.meandice import compute_dice
from torch import Tensor

from dpmed.evaluate.details import Interval
from dpmed.evaluate.intervals import bootstrap, mean_interval
from dpmed.evaluate.lesions import lesion_score
from dpmed.evaluate.results import LesionCount, SegmentationScores, SegmentedCase, SegmentedPatient
from dpmed.evaluate.surfaces import TOLERANCE_MM, hd95_of_regions, surface_dice_of_regions

CUBIC_MM_PER_ML = 1000
PER_REGION = ("dice", "hd95_mm", "surface_dice", "lesion_dice", "lesion_hd95_mm")
"""The numbers of a case that are simply averaged, over its patient's cases and then over patients."""

VOLUME_ERRORS = ("volume_error_ml", "volume_error_abs_ml", "volume_error_relative")


def dice_of_regions(
    predicted: Bool[Tensor, "region *space"], reference: Bool[Tensor, "region *space"]
) -> tuple[float, ...]:
    """Twice the overlap over the sum of sizes (Dice 1945), for each region."""
    scores = compute_dice(predicted[None].float(), reference[None].float(), ignore_empty=False)[0]
    return tuple(scores.tolist())


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
    pair = predicted, reference
    lesions = dict(zip(regions, (lesion_score(*one, spacing_mm) for one in zip(*pair, strict=True)), strict=True))
    return SegmentedCase(
        case=case,
        dice=dict(zip(regions, dice_of_regions(*pair), strict=True)),
        hd95_mm=dict(zip(regions, hd95_of_regions(*pair, spacing_mm), strict=True)),
        surface_dice=dict(zip(regions, surface_dice_of_regions(*pair, spacing_mm), strict=True)),
        lesion_dice={region: score.dice for region, score in lesions.items()},
        lesion_hd95_mm={region: score.hd95_mm for region, score in lesions.items()},
        lesions={region: score.lesions for region, score in lesions.items()},
        volume_ml=dict(zip(regions, _volumes_ml(predicted, spacing_mm), strict=True)),
        reference_volume_ml=dict(zip(regions, _volumes_ml(reference, spacing_mm), strict=True)),
        absent=tuple(region for region, voxels in zip(regions, reference, strict=True) if not voxels.any()),
        slice=predicted.shape[1] // 2 if seen is None else seen,
    )


def of_patient(patient: str, cases: Sequence[SegmentedCase]) -> SegmentedPatient:
    """Cases to patient: the means, and all lesions together."""
    regions = tuple(cases[0].dice)
    errors = {region: [_volume_errors(case, region) for case in cases] for region in regions}
    return SegmentedPatient(
        patient=patient,
        **{
            name: {region: float(np.mean([getattr(case, name)[region] for case in cases])) for region in regions}
            for name in PER_REGION
        },
        **{
            name: {region: _mean_of_known([error[place] for error in errors[region]]) for region in regions}
            for place, name in enumerate(VOLUME_ERRORS)
        },
        lesions={region: _together([case.lesions[region] for case in cases]) for region in regions},
        cases=tuple(cases),
    )


def dice_means(patients: Sequence[SegmentedPatient]) -> np.ndarray:
    """Every patient's mean over regions."""
    return np.array([np.mean(list(patient.dice.values())) for patient in patients])


def segmentation_scores(patients: Sequence[SegmentedPatient]) -> SegmentationScores:
    """The numbers of a cohort, which needs a patient."""
    dice, hd95, surface, lesion_dice, lesion_hd95 = (_by_region(patients, name) for name in PER_REGION)
    error, error_abs, error_relative = (_by_region(patients, name) for name in VOLUME_ERRORS)
    counts = {region: [patient.lesions[region] for patient in patients] for region in dice}
    false = {region: np.array([count.false for count in some]) for region, some in counts.items()}
    over_regions = dice_means(patients)
    return SegmentationScores(
        dice=_means(dice),
        dice_region_ci=_intervals(dice),
        dice_mean=float(over_regions.mean()),
        dice_ci=mean_interval(over_regions),
        hd95=_means(hd95),
        hd95_ci=_intervals(hd95),
        hd95_median={region: float(np.median(values)) for region, values in hd95.items()},
        absent={region: sum(region in case.absent for p in patients for case in p.cases) for region in dice},
        baseline_dice=_means({region: np.array([_share_without(region, one) for one in patients]) for region in dice}),
        surface_dice=_means(surface),
        surface_dice_ci=_intervals(surface),
        surface_tolerance_mm=TOLERANCE_MM,
        lesion_dice=_means(lesion_dice),
        lesion_dice_ci=_intervals(lesion_dice),
        lesion_hd95=_means(lesion_hd95),
        lesion_hd95_ci=_intervals(lesion_hd95),
        lesions={region: _together(some) for region, some in counts.items()},
        lesion_sensitivity={region: _sensitivity(_together(some)) for region, some in counts.items()},
        lesion_sensitivity_ci={region: _sensitivity_interval(some) for region, some in counts.items()},
        false_lesions=_means(false),
        false_lesions_ci=_intervals(false),
        volume_error_ml=_means(error),
        volume_error_ml_ci=_intervals(error),
        volume_error_abs_ml=_means(error_abs),
        volume_error_abs_ml_ci=_intervals(error_abs),
        volume_error_relative={r: float(some.mean()) if len(some) else None for r, some in error_relative.items()},
        volume_error_relative_ci=_intervals(error_relative),
    )


def _volumes_ml(masks: Bool[Tensor, "region *space"], spacing_mm: Sequence[float]) -> list[float]:
    return [int(mask.sum()) * math.prod(spacing_mm) / CUBIC_MM_PER_ML for mask in masks]


def _volume_errors(case: SegmentedCase, region: str) -> tuple[float, float, float | None]:
    """Prediction less reference in mL, its size, and as a share of the reference; None where that is empty."""
    there = case.reference_volume_ml[region]
    error = case.volume_ml[region] - there
    return error, abs(error), error / there if there else None


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _together(counts: Sequence[LesionCount]) -> LesionCount:
    names = LesionCount.model_fields
    return LesionCount(**{name: sum(getattr(count, name) for count in counts) for name in names})


def _sensitivity(count: LesionCount) -> float | None:
    return count.found / count.reference if count.reference else None


def _sensitivity_interval(counts: Sequence[LesionCount]) -> Interval | None:
    """Of the share of lesions found, with patients drawn, of those who have a lesion."""
    having = [count for count in counts if count.reference]
    found, reference = (np.array([getattr(count, name) for count in having]) for name in ("found", "reference"))
    return bootstrap((found, reference), _ratio, paired=True)


def _ratio(found: np.ndarray, reference: np.ndarray, axis: int = -1) -> Any:
    return found.sum(axis=axis) / reference.sum(axis=axis)


def _share_without(region: str, patient: SegmentedPatient) -> float:
    return float(np.mean([region in case.absent for case in patient.cases]))


def _by_region(patients: Sequence[SegmentedPatient], name: str) -> dict[str, np.ndarray]:
    """One number of every patient, region by region; of those who have it."""
    regions = tuple(patients[0].dice)
    values = {region: [getattr(patient, name)[region] for patient in patients] for region in regions}
    return {region: np.array([one for one in some if one is not None]) for region, some in values.items()}


def _means(by_region: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {region: float(values.mean()) for region, values in by_region.items()}


def _intervals(by_region: Mapping[str, np.ndarray]) -> dict[str, Interval | None]:
    return {region: mean_interval(values) for region, values in by_region.items()}
