"""A face is seen before anything is removed; it goes, the brain stays, and what is no head is left alone."""

import io

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  as its own documentation calls it
from PIL import Image

from dpmed.ingest.faces.proof import before_after
from dpmed.ingest.faces.removal import remove_face
from dpmed.ingest.faces.state import FaceState, face_state, look
from dpmed.ingest.faces.zone import FOREHEAD_MM, Sides
from dpmed.ingest.reasons import Reason, Refused
from tests.ingest.phantom_heads import CT, MR, ball, phantom, turned

ORIENTATIONS = ["LPS", "PIR"]


@pytest.fixture(scope="module")
def mr():
    return phantom(MR, spacing=(2.5, 2.5, 2.5))


@pytest.fixture(scope="module")
def mr_defaced(mr):
    return remove_face(mr.voxels, mr.affine, modality="MR")


def test_the_face_is_gone_and_the_brain_is_whole(mr, mr_defaced):
    assert face_state(mr.voxels, mr.affine, modality="MR") is FaceState.FACE
    assert face_state(mr_defaced.voxels, mr.affine, modality="MR") is FaceState.DEFACED
    assert not (mr_defaced.removed & mr.brain).any()
    assert mr_defaced.removed[mr.nose].all()
    assert 0.05 < mr_defaced.removed_fraction < 0.4


def test_voxels_outside_the_removed_region_keep_their_bits(mr, mr_defaced):
    kept = ~mr_defaced.removed
    assert mr_defaced.voxels.dtype == mr.voxels.dtype and mr_defaced.voxels.shape == mr.voxels.shape
    assert np.array_equal(mr_defaced.voxels[kept], mr.voxels[kept])
    assert (mr_defaced.voxels[mr_defaced.removed] == mr.voxels.min()).all()


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_orientation_makes_no_difference(mr, mr_defaced, codes):
    there = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(mr.affine), nib.orientations.axcodes2ornt(codes)
    )
    voxels = nib.orientations.apply_orientation(mr.voxels, there)
    affine = mr.affine @ nib.orientations.inv_ornt_aff(there, mr.voxels.shape)
    removed = remove_face(voxels, affine, modality="MR").removed
    expected = nib.orientations.apply_orientation(mr_defaced.removed, there)
    assert np.mean(removed != expected) < 0.002


def test_a_turned_head_in_thick_ct_slices_on_a_table():
    head = phantom(CT, spacing=(1.5, 1.5, 5.0), pose=turned(20, 10, -10), table=True)
    result = remove_face(head.voxels, head.affine, modality="CT")
    assert not (result.removed & head.brain).any()
    assert result.removed[head.nose].all()
    assert (result.voxels[result.removed] == -1000).all()


def test_a_head_above_the_eyes_has_no_face():
    slab = phantom(MR, spacing=(2.5, 2.5, 2.5), low=(-100, -125, 0))
    assert face_state(slab.voxels, slab.affine, modality="MR") is FaceState.DEFACED


def test_a_head_whose_header_makes_it_thin_is_named_for_somebody_to_look_at(mr):
    flat = mr.affine.copy()
    flat[2] *= 0.1
    assert face_state(mr.voxels, flat, modality="MR") is FaceState.THIN_HEAD
    assert face_state(mr.voxels[:, :, :4], mr.affine, modality="MR") is FaceState.NOT_A_HEAD


def test_a_cut_surface_is_no_face_unless_skin_is_left_beside_it():
    seen = phantom(MR, low=(-100, -125, -60))
    ahead = seen.affine[1, 3] + seen.affine[1, 1] * np.arange(seen.voxels.shape[1]) > 80
    cut, half_cut = seen.voxels.copy(), seen.voxels.copy()
    cut[:, ahead] = 0
    half_cut[: len(cut) // 2, ahead] = 0
    # So little is gone that eyes and cheeks stand out beyond the brain: what removes a face must not be content.
    assert look(cut, seen.affine, modality="MR").state is FaceState.FACE
    assert face_state(cut, seen.affine, modality="MR") is FaceState.DEFACED
    assert face_state(half_cut, seen.affine, modality="MR") is FaceState.FACE
    assert face_state(seen.voxels, seen.affine, modality="MR") is FaceState.FACE
    # The same surface at the edge of the field may as well be a face that goes on beyond it.
    assert face_state(cut[:, ~ahead], seen.affine, modality="MR") is FaceState.FACE


def test_a_head_on_shoulders_is_found():
    body = phantom(CT, spacing=(4, 4, 4), low=(-248, -148, -400), high=(248, 148, 105))
    x, y, z = np.meshgrid(*(np.arange(n) * 4 for n in body.voxels.shape), indexing="ij")
    trunk = ((x - 250) / 210) ** 2 + ((y - 130) / 110) ** 2 < 1
    body.voxels[trunk & (z < 255)] = CT["flesh"]
    assert face_state(body.voxels, body.affine, modality="CT") is FaceState.FACE
    below = body.affine.copy()
    below[2, 3] -= 1000
    assert face_state(body.voxels[:, :, :60], below, modality="CT") is FaceState.NOT_A_HEAD


def test_a_brain_without_its_skull_is_left_alone(mr):
    brain = np.where(mr.brain, mr.voxels / 7, -3.5).astype(np.float32)  # normalised, as BraTS is
    assert face_state(brain, mr.affine, modality="MR") is FaceState.SKULL_STRIPPED
    with pytest.raises(Refused):
        remove_face(brain, mr.affine, modality="MR")


def test_a_head_without_a_brain_to_be_found_counts_as_a_face_and_is_held_back():
    x, y, z = np.meshgrid(*(np.arange(-100, 100, 4.0),) * 3, indexing="ij")
    solid = ball(np.stack([x, y, z], axis=-1), (0, 0, 0), (65, 80, 90)) * np.int16(100)
    rim = np.random.default_rng(0).integers(0, 3, solid.shape, dtype=np.int16)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    assert face_state(solid + rim, affine, modality="MR") is FaceState.FACE
    with pytest.raises(Refused) as caught:
        remove_face(solid + rim, affine, modality="MR")
    assert caught.value.reason is Reason.FACE_STAYS


def test_deep_forehead_stays_even_if_the_brain_found_is_too_small(mr):
    seen = look(mr.voxels, mr.affine, modality="MR")
    ahead = seen.sides.pose.along(seen.sides.brain.shape, np.array([0.0, 1.0, 0.0]))
    short = Sides(seen.sides.brain & (ahead < 30), seen.sides.pose, seen.sides.depth)
    lost = short.removable(6.0) & seen.sides.brain
    frontal = seen.sides.brain & (ahead > 40) & (seen.sides.depth > FOREHEAD_MM)
    up = seen.sides.pose.along(seen.sides.brain.shape, np.array([0.0, 0.0, 1.0]))
    assert (short.beyond(0.45)[frontal] > 6).any()  # the cut alone would have reached it
    assert not (lost & frontal & (up > 0)).any()


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((1, 1, 1), 1.0), ((40, 40, 1), 5.0), ((30, 30, 30), 0.1), ((30, 30, 30), 900.0), ((64, 64, 64), 3.0)],
)
@pytest.mark.parametrize("modality", ["CT", "MR", "t1ce"])
def test_odd_fields_are_no_heads(shape, spacing, modality):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    for voxels in (np.zeros(shape, np.int16), np.full(shape, 7.0, np.float32)):
        assert face_state(voxels, affine, modality=modality) is FaceState.NOT_A_HEAD


def test_pictures_show_the_difference(mr, mr_defaced):
    views = before_after(mr.voxels, mr_defaced.voxels, mr.affine, modality="MR")
    picture = np.asarray(Image.open(io.BytesIO(views)))
    half = len(picture) // 2
    assert picture.dtype == np.uint8 and picture.max() > 200
    assert np.mean(picture[:half] != picture[half:]) > 0.02


@pytest.mark.real_images
@pytest.mark.parametrize(
    ("name", "modality", "state"),
    [
        ("head_nifti/spm152.nii.gz", "MR", FaceState.SKULL_STRIPPED),
        ("head_nifti/CT_AVM.nii.gz", "CT", FaceState.NOT_A_HEAD),
        ("brain_tumor_progression/BTP_01_pre/BTP_01_pre_t1ce.nii.gz", "t1ce", FaceState.THIN_HEAD),
        ("brats2013/brats_2013_pat0005_1/brats_2013_pat0005_1_t1ce.nii.gz", "t1ce", FaceState.SKULL_STRIPPED),
    ],
)
def test_real_images_without_a_face(shared_data, name, modality, state):
    image = nib.load(shared_data / name)
    assert face_state(np.asanyarray(image.dataobj), image.affine, modality=modality) is state


@pytest.mark.real_images
def test_the_real_face_is_gone_and_the_real_brain_is_whole(shared_data):
    """Against a brain that this package did not find: the average brain of many people, laid over the scan."""
    image = nib.load(shared_data / "head_nifti/chris_t1.nii.gz")
    voxels = np.asanyarray(image.dataobj)
    result = remove_face(voxels, image.affine, modality="t1")
    brain = _laid_over(shared_data / "head_nifti/spm152.nii.gz", shared_data / "head_nifti/chris_t1.nii.gz")
    assert 1.0e6 < brain.sum() * abs(np.linalg.det(image.affine)) < 2.2e6
    assert not (result.removed & brain).any()
    assert face_state(result.voxels, image.affine, modality="t1") is FaceState.DEFACED


def _laid_over(average_file, scan_file):
    average, scan = (sitk.ReadImage(str(file), sitk.sitkFloat32) for file in (average_file, scan_file))
    brain = average > 25
    fit = sitk.ImageRegistrationMethod()
    fit.SetMetricAsMattesMutualInformation(32)
    fit.SetMetricSamplingStrategy(fit.REGULAR)
    fit.SetMetricSamplingPercentage(0.2)
    fit.SetMetricMovingMask(sitk.BinaryDilate(brain, [8, 8, 8]))
    fit.SetInterpolator(sitk.sitkLinear)
    fit.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 60)
    fit.SetOptimizerScalesFromPhysicalShift()
    fit.SetShrinkFactorsPerLevel([5, 4])
    fit.SetSmoothingSigmasPerLevel([4, 2])
    fit.SetInitialTransform(sitk.AffineTransform(3))
    place = fit.Execute(scan, average)
    over = sitk.Resample(brain, scan, place, sitk.sitkNearestNeighbor, 0)
    return sitk.GetArrayFromImage(over).T.astype(bool)
