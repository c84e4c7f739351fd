"""Lesion by lesion: every row of the table, and the challenge's definition written down a second time, slowly."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.distance import cdist

from dpmed.evaluate.lesions import lesion_score
from dpmed.evaluate.segmentation import of_case, of_patient, segmentation_scores

CUBE = (1.0, 1.0, 1.0)
SHAPE = (24, 40, 40)
DIAGONAL = float(np.linalg.norm(SHAPE))


def blocks(*corners: tuple[int, int, int], side: int = 5) -> torch.Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    for corner in corners:
        mask[tuple(slice(start, start + side) for start in corner)] = True
    return mask


def hd95_by_brute_force(found: np.ndarray, true: np.ndarray) -> float:
    one, other = (np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in (found, true))
    gaps = cdist(one, other)
    return max(np.percentile(gaps.min(axis), 95) for axis in (0, 1))


def challenge(predicted: np.ndarray, reference: np.ndarray) -> tuple[float, float, int]:
    """BraTS 2023 for adult glioma, as its organisers describe it, on its grid of 1 mm. Also the false positives."""
    around, everywhere = ndimage.generate_binary_structure(3, 2), ndimage.generate_binary_structure(3, 3)
    components, count = ndimage.label(predicted, everywhere)
    grown, lesions = ndimage.label(ndimage.binary_dilation(reference, around, iterations=3), everywhere)
    dices, distances, touched = [], [], set()
    for number in range(1, lesions + 1):
        lesion = reference & (grown == number)
        near = set(np.unique(components[ndimage.binary_dilation(lesion, around, iterations=3)])) - {0}
        touched |= near
        if lesion.sum() <= 50:
            continue
        met = np.isin(components, list(near))
        dices.append(2 * (met & lesion).sum() / (met.sum() + lesion.sum()))
        distances.append(hd95_by_brute_force(met, lesion) if near else DIAGONAL)
    false = count - len(touched)
    total = len(dices) + false
    return (sum(dices) / total, (sum(distances) + false * DIAGONAL) / total, false) if total else (1.0, 0.0, 0)


@pytest.mark.parametrize("seed", range(8))
def test_on_a_grid_of_one_millimetre_it_is_the_challenge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, guess = (ndimage.gaussian_filter(rng.normal(size=SHAPE), 1.6) for _ in range(2))
    reference = truth > np.quantile(truth, 0.97)
    mixed = truth + 0.6 * guess
    predicted = mixed > np.quantile(mixed, 0.97)
    got = lesion_score(torch.tensor(predicted), torch.tensor(reference), CUBE)
    dice, distance, false = challenge(predicted, reference)
    assert got.dice == pytest.approx(dice, abs=1e-6)
    assert got.hd95_mm == pytest.approx(distance, rel=1e-6)
    assert got.lesions.false == false
    assert 0 < got.lesions.found <= got.lesions.reference


def test_a_lesion_that_is_found_and_one_that_is_missed() -> None:
    both, one = blocks((2, 2, 2), (12, 25, 25)), blocks((2, 2, 2))
    got = lesion_score(one, both, CUBE)
    assert got.dice == pytest.approx(0.5)
    assert got.hd95_mm == pytest.approx(DIAGONAL / 2)
    assert (got.lesions.reference, got.lesions.found, got.lesions.false) == (2, 1, 0)


def test_a_false_component_counts_as_a_lesion_however_small_it_is() -> None:
    reference = blocks((2, 2, 2))
    predicted = reference.clone()
    predicted[20, 35, 35] = True
    got = lesion_score(predicted, reference, CUBE)
    assert got.dice == pytest.approx(0.5)
    assert got.hd95_mm == pytest.approx(DIAGONAL / 2)
    assert got.lesions.false == 1


def test_a_lesion_of_50_cubic_millimetres_is_left_out_and_what_finds_it_is_not_false() -> None:
    small = torch.zeros(SHAPE, dtype=torch.bool)
    small[10, 10:20, 10:15] = True
    assert small.sum() == 50
    for predicted in (small, torch.zeros_like(small)):
        got = lesion_score(predicted, small, CUBE)
        assert (got.dice, got.hd95_mm) == (1.0, 0.0)
        assert (got.lesions.reference, got.lesions.false) == (0, 0)
    small[10, 20, 10] = True
    assert lesion_score(torch.zeros_like(small), small, CUBE).dice == 0.0


def test_nothing_found_where_nothing_is_is_perfect() -> None:
    nothing = torch.zeros(SHAPE, dtype=torch.bool)
    assert lesion_score(nothing, nothing, CUBE)[:2] == (1.0, 0.0)
    something = lesion_score(blocks((2, 2, 2)), nothing, CUBE)
    assert (something.dice, something.hd95_mm) == (0.0, pytest.approx(DIAGONAL))


@pytest.mark.parametrize(("gap", "lesions"), [(5, 1), (7, 2)])
def test_parts_whose_surroundings_touch_are_one_lesion(gap: int, lesions: int) -> None:
    # Three millimetres to either side: with six between them they are neighbours.
    got = lesion_score(blocks((2, 2, 2)), blocks((2, 2, 2), (2, 2, 7 + gap)), CUBE)
    assert got.lesions.reference == lesions


def test_surroundings_are_in_millimetres() -> None:
    # Four voxels of 2 mm between the parts are 8 mm, of 1 mm they are 4 mm.
    parts = blocks((2, 2, 2), (2, 2, 11))
    counts = [lesion_score(parts, parts, (1.0, 1.0, column)).lesions.reference for column in (1.0, 2.0)]
    assert counts == [1, 2]


@pytest.mark.parametrize("spacing", [1.0000001, 0.9999999])
def test_a_spacing_that_an_affine_rounded_changes_no_count(spacing: float) -> None:
    parts = blocks((2, 2, 2), (2, 2, 13))
    assert lesion_score(parts, parts, (spacing,) * 3).lesions == lesion_score(parts, parts, CUBE).lesions


def test_lesions_of_all_scans_and_patients_are_counted_together() -> None:
    found, true = blocks((2, 2, 2)), blocks((2, 2, 2), (12, 25, 25))

    def case(number: int, predicted: torch.Tensor):
        masks = {"predicted": predicted[None], "reference": true[None]}
        return of_case(f"c-{number:012x}", ("whole",), **masks, spacing_mm=CUBE)

    first = of_patient("p-000000000000", [case(0, found), case(1, true)])
    second = of_patient("p-000000000001", [case(2, torch.zeros_like(true))])
    scores = segmentation_scores([first, second])
    count = scores.lesions["whole"]
    assert (count.reference, count.found, count.false) == (6, 3, 0)
    assert scores.lesion_sensitivity["whole"] == pytest.approx(0.5)
    # The first patient's mean over scans is (1/2 + 1) / 2, the second's 0.
    assert scores.lesion_dice["whole"] == pytest.approx(0.375)


def test_the_share_of_lesions_found_has_the_interval_of_patients_who_have_some() -> None:
    true, nothing = blocks((2, 2, 2)), torch.zeros(SHAPE, dtype=torch.bool)
    pairs = [(true, true)] * 6 + [(nothing, true)] * 4 + [(nothing, nothing)] * 5
    patients = [
        of_patient(
            f"p-{number:012x}",
            [of_case(f"c-{number:012x}", ("a",), predicted=one[None], reference=two[None], spacing_mm=CUBE)],
        )
        for number, (one, two) in enumerate(pairs)
    ]
    scores = segmentation_scores(patients)
    assert scores.lesion_sensitivity["a"] == pytest.approx(0.6)
    low, high = scores.lesion_sensitivity_ci["a"]
    # Ten patients with one lesion each: the normal approximation is 0.6 +- 1.96 sqrt(0.24 / 10).
    assert (low, high) == pytest.approx((0.3, 0.9), abs=0.05)
