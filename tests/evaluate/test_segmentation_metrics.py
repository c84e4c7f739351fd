"""Dice and HD95 against brute force, and what an empty region scores."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.spatial.distance import cdist

from dpmed.evaluate.segmentation import (
    dice_of_regions,
    largest_slice,
    of_case,
    of_patient,
    segmentation_scores,
)
from dpmed.evaluate.surfaces import hd95_of_regions

SPACING = (5.0, 1.0, 0.5)
MASKS = arrays(bool, (4, 5, 6))
REGIONS = ("whole_tumour", "tumour_core")


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask with a face neighbour outside it, in mm."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask)) * SPACING


def hd95_by_brute_force(predicted: np.ndarray, reference: np.ndarray) -> float:
    distances = cdist(surface(predicted), surface(reference))
    return max(np.percentile(distances.min(axis), 95) for axis in (0, 1))


def block(*corner: int, side: int = 2, shape: tuple[int, ...] = (6, 8, 8)) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(start, start + side) for start in corner)] = True
    return mask


@given(MASKS, MASKS)
def test_dice_is_twice_the_overlap_over_both_sizes(predicted: np.ndarray, reference: np.ndarray) -> None:
    both = predicted.sum() + reference.sum()
    expected = 2 * (predicted & reference).sum() / both if both else 1.0
    assert dice_of_regions(torch.tensor(predicted)[None], torch.tensor(reference)[None]) == pytest.approx((expected,))


@given(MASKS.filter(np.any), MASKS.filter(np.any))
def test_hd95_equals_brute_force_over_all_surface_voxels(predicted: np.ndarray, reference: np.ndarray) -> None:
    got = hd95_of_regions(torch.tensor(predicted)[None], torch.tensor(reference)[None], SPACING)
    assert got == pytest.approx((hd95_by_brute_force(predicted, reference),), abs=1e-3)


@given(MASKS, MASKS)
def test_distance_does_not_depend_on_which_is_the_reference(one: np.ndarray, other: np.ndarray) -> None:
    one, other = torch.tensor(one)[None], torch.tensor(other)[None]
    assert hd95_of_regions(one, other, SPACING) == pytest.approx(hd95_of_regions(other, one, SPACING))


def test_distance_is_in_millimetres_along_each_axis() -> None:
    there = block(1, 2, 2)[None]
    for axis, (moved, step) in enumerate(zip(((2, 2, 2), (1, 3, 2), (1, 2, 3)), SPACING, strict=True)):
        assert hd95_of_regions(block(*moved)[None], there, SPACING) == pytest.approx((step,)), axis


def test_both_empty_is_perfect() -> None:
    nothing = torch.zeros((1, 4, 5, 6), dtype=torch.bool)
    assert dice_of_regions(nothing, nothing) == (1.0,)
    assert hd95_of_regions(nothing, nothing, SPACING) == (0.0,)


@pytest.mark.parametrize("reference_is_empty", [True, False])
def test_one_empty_scores_zero_and_the_diagonal(reference_is_empty: bool) -> None:
    something, nothing = block(1, 2, 2)[None], torch.zeros((1, 6, 8, 8), dtype=torch.bool)
    pair = (something, nothing) if reference_is_empty else (nothing, something)
    assert dice_of_regions(*pair) == (0.0,)
    assert hd95_of_regions(*pair, SPACING) == pytest.approx((math.sqrt(30**2 + 8**2 + 4**2),))


def test_regions_are_judged_apart() -> None:
    whole, core = block(1, 2, 2, side=3), block(1, 2, 2)
    got = of_case(
        "c-000000000000",
        REGIONS,
        predicted=torch.stack([whole, torch.zeros_like(core)]),
        reference=torch.stack([whole, core]),
        spacing_mm=SPACING,
    )
    assert got.dice == {"whole_tumour": 1.0, "tumour_core": 0.0}
    assert got.hd95_mm["whole_tumour"] == 0
    assert got.absent == ()


def case(number: int, *, found: torch.Tensor, true: torch.Tensor):
    one = {"predicted": torch.stack([found, found]), "reference": torch.stack([true, torch.zeros_like(true)])}
    return of_case(f"c-{number:012x}", REGIONS, **one, spacing_mm=SPACING)


def test_scans_of_a_patient_are_averaged_before_patients_are() -> None:
    tumour, nothing = block(1, 2, 2), block(0, 0, 0, side=0)
    hit, miss = case(0, found=tumour, true=tumour), case(1, found=nothing, true=tumour)
    # One patient with three hits, one with a single miss: the mean over patients is 1/2, over scans it would be 3/4.
    patients = [of_patient("p-000000000000", [hit, hit, hit]), of_patient("p-000000000001", [miss])]
    scores = segmentation_scores(patients)
    assert scores.dice["whole_tumour"] == pytest.approx(0.5)
    assert scores.hd95["whole_tumour"] == pytest.approx(miss.hd95_mm["whole_tumour"] / 2)


def test_the_baseline_is_what_predicting_nothing_scores() -> None:
    tumour, nothing = block(1, 2, 2), block(0, 0, 0, side=0)
    trues = [tumour, tumour, nothing]
    told = [of_patient(f"p-{n:012x}", [case(n, found=tumour, true=true)]) for n, true in enumerate(trues)]
    silent = [of_patient(f"p-{n:012x}", [case(n, found=nothing, true=true)]) for n, true in enumerate(trues)]
    assert segmentation_scores(told).baseline_dice == segmentation_scores(silent).dice
    assert segmentation_scores(told).absent == {"whole_tumour": 1, "tumour_core": 3}


def test_the_mean_over_regions_has_the_interval_of_patients() -> None:
    rng = np.random.default_rng(0)
    patients = []
    for number in range(12):
        tumour = block(1, *rng.integers(0, 4, 2).tolist(), side=4)
        patients.append(of_patient(f"p-{number:012x}", [case(number, found=block(1, 2, 2, side=4), true=tumour)]))
    scores = segmentation_scores(patients)
    assert scores.dice_ci[0] < scores.dice_mean < scores.dice_ci[1]
    assert scores.dice_mean == pytest.approx(np.mean(list(scores.dice.values())))


def test_a_single_patient_has_numbers_and_no_interval() -> None:
    scores = segmentation_scores([of_patient("p-000000000000", [case(0, found=block(1, 2, 2), true=block(1, 2, 3))])])
    assert scores.dice["whole_tumour"] == pytest.approx(0.5)
    assert scores.dice_ci is None


@given(st.permutations(range(4)))
def test_the_order_of_patients_changes_no_mean(order: list[int]) -> None:
    made = [of_patient(f"p-{n:012x}", [case(n, found=block(1, 2, 2), true=block(1, 2, n))]) for n in range(4)]
    before, after = segmentation_scores(made), segmentation_scores([made[n] for n in order])
    assert after.dice == pytest.approx(before.dice)
    assert after.hd95 == pytest.approx(before.hd95)


def test_the_slice_with_most_tumour_is_found() -> None:
    regions = torch.zeros((2, 4, 3, 3), dtype=torch.bool)
    assert largest_slice(regions) is None
    regions[0, 1, 0, 0] = regions[1, 2] = True
    assert largest_slice(regions) == 2
