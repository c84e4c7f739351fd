"""The deterministic part: axes, intensities and regions, each case by itself."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from dpmed.core.labels import SCHEMES
from dpmed.core.recipe import load_recipe
from dpmed.data import model_spec, task_spec

PATIENT = "p-000000000000"
X, Y, Z = np.meshgrid(np.arange(16), np.arange(16), np.arange(4), indexing="ij")
RAMP = (1 + X + 16 * Y + 256 * Z).astype(np.float32)
"""Different in every voxel, so that no flip or swap goes unseen."""

HALF = 2e-3
"""What half precision may change in values of order one."""


def whole(builder, patient: str = PATIENT, **settings):
    return next(builder.dataset(**settings).whole(patient))


def stored_as(order: tuple[int, int, int], flips: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The ramp as a scanner might store it, axes swapped and flipped, with the affine that says so."""
    affine = np.eye(4)[:, [*order, 3]]
    voxels = RAMP.transpose(order)
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
        affine[:3, axis] *= -1
        voxels = np.flip(voxels, axis)
    return voxels.copy(), affine


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("order", "flips"),
    [((0, 1, 2), (0,)), ((0, 1, 2), (0, 1)), ((2, 0, 1), ()), ((1, 0, 2), (0, 2)), ((2, 1, 0), (1,))],
)
def test_the_same_body_gives_the_same_tensor_however_it_was_stored(builder, dims, order, flips) -> None:
    mask = (RAMP % 7 == 0).astype(np.uint8)
    builder.volume(0, {"t1": RAMP}, mask=mask)
    voxels, affine = stored_as(order, flips)
    ids, _ = stored_as(order, flips)
    builder.volume(1, {"t1": voxels}, mask=(ids % 7 == 0), affine=affine)
    settings = {"spatial_dims": dims, "image_size": (16, 16) if dims == 2 else (4, 16, 16)}
    one, other = (whole(builder, f"p-00000000000{n}", **settings) for n in (0, 1))
    assert torch.equal(one.image, other.image)
    assert torch.equal(one.target, other.target)
    assert one.spacing_mm == other.spacing_mm


def test_slices_lie_as_a_radiologist_looks_at_them(builder) -> None:
    """The first slice is the lowest, the first row the front, the first column the patient's right."""
    place = np.zeros((16, 16, 4), np.float32)
    place[15, 15, 0] = 1  # right, front and low, in an image stored right-anterior-superior
    builder.volume(0, {"t1": np.ones_like(place)}, mask=2 * place)
    assert whole(builder).target[:, 0].nonzero().tolist() == [[0, 0, 0]]


def test_pictures_keep_the_layout_of_their_file(builder) -> None:
    pixels = np.arange(256).reshape(16, 16)
    builder.picture(0, pixels, label=0)
    assert_allclose(whole(builder, modalities=["ct"]).image[0, 0], pixels / 127.5 - 1, atol=HALF)


def test_hounsfield_units_are_windowed_to_minus_one_and_one(builder) -> None:
    hounsfield = np.full((16, 16, 1), -2000.0, np.float32)
    hounsfield[15, 15], hounsfield[14, 15], hounsfield[13, 15] = 0, 3000, 200
    builder.volume(0, {"ct": hounsfield}, label=1, intensity="hounsfield")
    row = whole(builder, modalities=["ct"], window_hu=(-800, 200)).image[0, 0, 0, :4]
    assert_allclose(row, [0.6, 1, 1, -1], atol=HALF)


def test_mr_has_mean_0_and_deviation_1_over_its_own_tissue(builder) -> None:
    rng = np.random.default_rng(0)
    t1, flair = (rng.normal(mean, spread, (16, 16, 5)).astype(np.float32) for mean, spread in ((500, 40), (9, 2)))
    t1[:4] = flair[:4] = 0
    builder.volume(0, {"t1": t1, "flair": flair}, mask=np.zeros(t1.shape))
    image = whole(builder, modalities=["flair", "t1"]).image
    inside = image[:, :, :, :12]
    assert_allclose(inside.mean((0, 2, 3)), [0, 0], atol=HALF)
    assert_allclose(inside.std((0, 2, 3), unbiased=False), [1, 1], atol=HALF)
    assert not image[:, :, :, 12:].any()


def test_channels_follow_the_recipe_not_the_file(builder) -> None:
    t1 = RAMP
    builder.volume(0, {"t1": t1, "flair": -t1}, mask=np.zeros(t1.shape))
    both = whole(builder, modalities=["t1", "flair"]).image
    swapped = whole(builder, modalities=["flair", "t1"]).image
    assert torch.equal(both, swapped.flip(1))
    assert torch.equal(both[:, :1], whole(builder, modalities=["t1"]).image)


def test_normalisation_never_sees_another_patient(builder) -> None:
    """Promise 5: a patient's tensors are the same in any company."""
    builder.volume(0, {"t1": RAMP}, mask=np.zeros(RAMP.shape))
    alone = whole(builder).image
    builder.volume(1, {"t1": 1000 * RAMP + 7}, mask=np.zeros(RAMP.shape))
    assert torch.equal(whole(builder).image, alone)
    assert torch.equal(builder.dataset(augment=True).fetch(PATIENT, step=3).inputs, _alone(builder))


def _alone(builder) -> torch.Tensor:
    del builder.cases[1:]
    return builder.dataset(augment=True).fetch(PATIENT, step=3).inputs


def test_scaling_an_mr_sequence_changes_nothing(builder) -> None:
    """Scanners have no common unit."""
    builder.volume(0, {"t1": RAMP}, mask=np.zeros(RAMP.shape))
    builder.volume(1, {"t1": 64 * RAMP}, mask=np.zeros(RAMP.shape))
    assert_allclose(whole(builder).image, whole(builder, "p-000000000001").image, atol=HALF)


def test_an_empty_or_flat_sequence_stays_finite(builder) -> None:
    for patient, value in enumerate((0, 5)):
        builder.volume(patient, {"t1": np.full((16, 16, 2), value, np.float32)}, mask=np.zeros((16, 16, 2)))
        drawn = builder.dataset(augment=True).fetch(f"p-00000000000{patient}", step=0)
        assert drawn.inputs.isfinite().all()


@pytest.mark.parametrize("dims", [2, 3])
def test_overlapping_regions_by_hand(builder, dims) -> None:
    """BraTS labels 0, 1, 2, 4 along a row: all but 0 are tumour; 1 and 4 its core; 4 enhances."""
    mask = np.zeros((16, 16, 4))
    mask[12:16, 15, 0] = [4, 2, 1, 0]  # x runs against the columns
    builder.volume(0, {"t1": RAMP}, mask=mask)
    settings = {"spatial_dims": dims, "image_size": (16, 16) if dims == 2 else (4, 16, 16)}
    target = whole(builder, **settings).target
    row = target[0, :, 0, :4] if dims == 2 else target[0, :, 0, 0, :4]
    assert row.tolist() == [[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 1]]
    assert int(target.sum()) == 6


def test_slices_get_square_pixels_and_keep_their_aspect(builder) -> None:
    """32 by 16 voxels of 1 by 2 mm are a square of 32 mm; with 1 by 1 mm they fill half the picture."""
    for patient, row_mm in enumerate((2.0, 1.0)):
        affine = np.diag([1.0, row_mm, 3.0, 1.0])
        builder.volume(
            patient, {"t1": np.ones((32, 16, 2), np.float32)}, label=0, affine=affine, intensity="hounsfield"
        )
    settings = {"window_hu": (-2, -1)}  # all tissue white, padding black
    full, half = (whole(builder, f"p-00000000000{n}", **settings) for n in (0, 1))
    assert full.spacing_mm == half.spacing_mm == (3, 2, 2)
    assert (full.image == 1).all()
    assert (half.image[:, :, 4:12] == 1).all()
    assert int((half.image == 1).sum()) == half.image.numel() // 2


def test_slices_at_a_given_spacing_are_cut_in_the_middle(builder) -> None:
    image = np.zeros((40, 40, 1), np.float32)
    image[10:30, 10:30] = 1
    builder.volume(0, {"t1": image}, label=0, intensity="hounsfield")
    case = whole(builder, spacing_mm=(1, 1), window_hu=(0, 1))
    assert (case.image == 1).all()
    assert case.spacing_mm == (1, 1, 1)


def test_volumes_are_resampled_to_the_recipes_spacing(builder) -> None:
    """Recipe order is slice, row, column; the mask keeps its labels whole."""
    mask = np.zeros(RAMP.shape)
    mask[:, :, :2] = 2
    builder.volume(0, {"t1": RAMP}, mask=mask, affine=np.diag([1.0, 1.0, 3.0, 1.0]))
    case = whole(builder, spatial_dims=3, image_size=(4, 4, 4), spacing_mm=(1.5, 2, 1))
    assert_allclose(case.spacing_mm, (1.5, 2, 1), rtol=1e-6)
    assert case.image.shape == (1, 1, 7, 8, 16)
    assert set(case.target.unique().tolist()) == {0, 1}
    assert case.target[0, 0, :3].all()
    assert not case.target[0, 0, 4:].any()


def test_specs_follow_recipe_and_scheme(builder) -> None:
    builder.volume(0, {"t1": RAMP}, mask=np.zeros(RAMP.shape))
    manifest = builder.manifest(scheme=SCHEMES["binary"])
    assert task_spec(manifest).outputs == ("whole_tumour",)
    recipe = load_recipe("brats-unet")
    spec = model_spec(recipe, builder.manifest())
    assert (spec.in_channels, spec.out_channels, spec.spatial_dims) == (len(recipe.data.modalities), 3, 2)
    builder.cases.clear()
    builder.picture(0, np.zeros((4, 4)), label=0)
    assert task_spec(builder.manifest()).outputs == ("covid",)
