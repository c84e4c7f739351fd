"""Overlap, surfaces and volumes of generated tumours against SimpleITK, to a millionth, on voxels that are no cubes."""

import numpy as np
import pytest
import SimpleITK
import torch
from scipy import ndimage

from dpmed.evaluate.segmentation import dice_of_regions, of_case, of_patient
from dpmed.evaluate.surfaces import TOLERANCE_MM, hd95, hd95_of_regions, surface_dice_of_regions

SPACING = (3.0, 0.9, 1.3)
SEEDS = range(6)
CLOSE = 1e-6


def tumour(seed: int, *, shape: tuple[int, ...] = (9, 22, 18)) -> np.ndarray:
    """A ragged blob or several, some of which touch the border: smoothed noise, cut at a height."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), (1, 2, 2))
    return noise > np.quantile(noise, 0.85)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    reference = tumour(seed)
    return np.roll(reference, 1, axis=1) & tumour(seed + 100) | tumour(seed + 50) & ndimage.binary_dilation(
        reference
    ), reference


def image(mask: np.ndarray) -> SimpleITK.Image:
    """As SimpleITK has it: axes in the other order."""
    made = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    made.SetSpacing(SPACING[::-1])
    return made


def surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def distances(of: np.ndarray, to: np.ndarray) -> np.ndarray:
    """From every surface voxel of one mask to the surface of another, read off SimpleITK's distance map."""
    there = SimpleITK.SignedMaurerDistanceMap(image(surface(to)), squaredDistance=False, useImageSpacing=True)
    return np.maximum(SimpleITK.GetArrayFromImage(there), 0)[surface(of)]


def tensors(found: np.ndarray, true: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(found)[None], torch.tensor(true)[None]


@pytest.mark.parametrize("seed", SEEDS)
def test_dice_is_that_of_simpleitk(seed: int) -> None:
    found, true = pair(seed)
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(image(found), image(true))
    assert dice_of_regions(*tensors(found, true)) == pytest.approx((overlap.GetDiceCoefficient(),), abs=CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_largest_surface_distance_is_that_of_simpleitk(seed: int) -> None:
    found, true = pair(seed)
    hausdorff = SimpleITK.HausdorffDistanceImageFilter()
    hausdorff.Execute(image(surface(found)), image(surface(true)))
    largest = hd95(torch.tensor(found), torch.tensor(true), SPACING, percentile=100)
    assert largest == pytest.approx(hausdorff.GetHausdorffDistance(), rel=CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_hd95_is_the_percentile_of_a_distance_map(seed: int) -> None:
    found, true = pair(seed)
    expected = max(np.percentile(distances(found, true), 95), np.percentile(distances(true, found), 95))
    assert hd95_of_regions(*tensors(found, true), SPACING) == pytest.approx((expected,), rel=CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_surface_dice_is_the_share_of_a_distance_map_within_the_tolerance(seed: int) -> None:
    found, true = pair(seed)
    both = np.concatenate([distances(found, true), distances(true, found)])
    got = surface_dice_of_regions(*tensors(found, true), SPACING)
    assert got == pytest.approx(((both <= TOLERANCE_MM).mean(),), abs=CLOSE)
    assert 0 < got[0] < 1


def test_the_tolerance_is_in_millimetres_along_each_axis() -> None:
    # A plate of one voxel's thickness, moved by one step: 3 mm apart is too far, 1.3 mm is not.
    plate = np.zeros((9, 9, 9), dtype=bool)
    plate[4] = True
    assert surface_dice_of_regions(*tensors(np.roll(plate, 1, axis=0), plate), SPACING) == (0.0,)
    plate = plate.transpose(2, 1, 0)
    assert surface_dice_of_regions(*tensors(np.roll(plate, 1, axis=2), plate), SPACING) == (1.0,)


@pytest.mark.parametrize(("found", "true", "expected"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0)])
def test_surface_dice_of_an_empty_mask_is_that_of_dice(found: int, true: int, expected: float) -> None:
    masks = torch.zeros((2, 4, 5, 6), dtype=torch.bool)
    masks[1, 2, 2, 2] = True
    assert surface_dice_of_regions(masks[found][None], masks[true][None], SPACING) == (expected,)


@pytest.mark.parametrize("seed", SEEDS)
def test_volumes_are_those_of_simpleitk(seed: int) -> None:
    found, true = pair(seed)
    predicted, reference = tensors(found, true)
    case = of_case("c-000000000000", ("whole",), predicted=predicted, reference=reference, spacing_mm=SPACING)
    volumes = []
    for mask in (found, true):
        shape = SimpleITK.LabelShapeStatisticsImageFilter()
        shape.Execute(image(mask))
        volumes.append(shape.GetPhysicalSize(1) / 1000)
    assert (case.volume_ml["whole"], case.reference_volume_ml["whole"]) == pytest.approx(tuple(volumes), abs=CLOSE)
    patient = of_patient("p-000000000000", [case])
    assert patient.volume_error_ml["whole"] == pytest.approx(volumes[0] - volumes[1], abs=CLOSE)
    assert patient.volume_error_relative["whole"] == pytest.approx(volumes[0] / volumes[1] - 1, abs=CLOSE)


def test_too_much_and_too_little_cancel_in_the_error_and_not_in_its_size() -> None:
    def case(number: int, *, voxels: int):
        masks = torch.zeros((2, 4, 10, 10), dtype=torch.bool)
        masks[0].view(-1)[:voxels], masks[1].view(-1)[:20] = True, True
        predicted, reference = masks[:1], masks[1:]
        return of_case(f"c-{number:012x}", ("a",), predicted=predicted, reference=reference, spacing_mm=(10, 10, 10))

    patient = of_patient("p-000000000000", [case(0, voxels=30), case(1, voxels=10)])
    assert patient.volume_error_ml["a"] == pytest.approx(0)
    assert patient.volume_error_abs_ml["a"] == pytest.approx(10)
    assert patient.volume_error_relative["a"] == pytest.approx(0)


def test_a_region_that_is_not_there_has_an_error_in_ml_and_no_share() -> None:
    predicted, reference = torch.ones((1, 2, 5, 5), dtype=torch.bool), torch.zeros((1, 2, 5, 5), dtype=torch.bool)
    case = of_case("c-000000000000", ("a",), predicted=predicted, reference=reference, spacing_mm=(2, 2, 5))
    patient = of_patient("p-000000000000", [case])
    assert patient.volume_error_ml["a"] == pytest.approx(1.0)  # 50 voxels of 20 mm3
    assert patient.volume_error_relative["a"] is None
