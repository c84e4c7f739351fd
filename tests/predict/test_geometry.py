"""A mask lies on the very voxels of the input, whatever its orientation, spacing and size."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dpmed.core.labels import SCHEMES, LabelScheme
from dpmed.ingest.detect import Kind
from dpmed.ingest.jobs import jobs
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.predict.back import labelled, onto_input
from dpmed.predict.inputs import look
from dpmed.predict.reading import read
from dpmed.predict.request import PredictRequest
from tests.predict.conftest import centred, drawn, hounsfield, recipe, write_nifti, write_series

RECIPES = {
    "2-D, fitted": recipe("brats", ["ct"], dims=2, size=[96, 96]),
    "2-D, pixels of 1 mm": recipe("brats", ["ct"], dims=2, size=[96, 96], spacing=[1.0, 1.0]),
    "3-D, voxels as they are": recipe("brats", ["ct"], dims=3, size=[16, 32, 32]),
    "3-D, voxels of 1.5 mm": recipe("brats", ["ct"], dims=3, size=[16, 32, 32], spacing=[1.5, 1.5, 1.5]),
}


def through(source, recipe, scratch):
    """The phantom, found again by its brightness in what the network would see, back on the input's voxels."""
    found = yield_value(look(PredictRequest(run=None, source=source, out=scratch), recipe.data, scratch))
    ((_, candidate),) = found.scans
    (job,) = jobs([candidate], Pseudonyms(b"\1" * 32))
    reading = read(job, found.kind, recipe.data, scratch)
    image = reading.whole.image
    seen = image.transpose(0, 1) if recipe.data.spatial_dims == 2 else image[0]
    probability = ((seen.numpy() + 1) / 2).clip(0, 1)
    return onto_input(probability, reading.network, reading.shape, reading.grid)[0], reading, candidate


def yield_value(generator):
    while True:
        try:
            next(generator)
        except StopIteration as ended:
            return ended.value


def dice(one, other) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@settings(max_examples=15)
@given(
    order=st.permutations(range(3)),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    spacing=st.tuples(*[st.sampled_from([0.9, 1.3, 2.2])] * 3),
    turned=st.sampled_from([0.0, 0.0, 12.0]),
    name=st.sampled_from(sorted(RECIPES)),
)
def test_a_one_sided_phantom_comes_back_where_it_lies(tmp_path_factory, order, signs, spacing, turned, name):
    folder = tmp_path_factory.mktemp("phantom")
    directions = np.eye(3)[:, list(order)] * signs
    directions = Rotation.from_euler("xyz", [turned, -turned / 2, turned], degrees=True).as_matrix() @ directions
    shape = [round(56 / mm) for mm in spacing]
    affine = centred(directions, spacing, shape).astype(np.float32).astype(np.float64)
    truth = drawn(shape, affine)
    source = write_nifti(folder / "scan.nii.gz", hounsfield(truth), affine)
    found, reading, _ = through(source, RECIPES[name], folder)
    np.testing.assert_array_equal(reading.grid, affine)
    assert found.shape == truth.shape
    assert dice(found, truth) > 0.85
    mirrored = [dice(np.flip(found, axis), truth) for axis in range(3)]
    assert max(mirrored) < 0.7, "the phantom itself would not tell a mirror"


def test_where_the_grid_is_the_networks_own_every_voxel_comes_back(tmp_path):
    shape = (40, 44, 24)
    affine = centred(np.diag([-1.0, -1.0, 1.0]), (1.0, 1.0, 1.0), shape)
    truth = drawn(shape, affine)
    source = write_nifti(tmp_path / "scan.nii.gz", hounsfield(truth), affine)
    found, *_ = through(source, RECIPES["3-D, voxels as they are"], tmp_path)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_not_by_half_a_voxel_is_a_mask_beside_its_place(tmp_path, name, axis):
    """A ramp is the same ramp on any grid, so where it passes the middle tells a shift far smaller than a voxel."""
    shape = (50, 46, 42)
    affine = centred(np.diag([-1.0, -1.0, 1.0]), (1.3, 1.3, 1.3), shape).astype(np.float32).astype(np.float64)
    low, high = RECIPES[name].data.window_hu
    along = (np.indices(shape)[axis] + 0.6) / shape[axis]
    source = write_nifti(tmp_path / "scan.nii.gz", (low + (high - low) * along).astype(np.float32), affine)
    found, *_ = through(source, RECIPES[name], tmp_path)
    assert (found != (along > 0.5)).mean() < 1e-3


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_series_of_dicom_slices_in_any_order_and_direction(tmp_path, name):
    shape = (60, 70, 30)
    directions = Rotation.from_euler("xyz", [8, -15, 170], degrees=True).as_matrix() @ np.diag([1.0, -1.0, -1.0])
    affine = centred(directions, (1.2, 1.0, 2.4), shape)
    source = write_series(tmp_path / "series", shape, affine)
    found, reading, _ = through(source, RECIPES[name], tmp_path)
    assert dice(found, drawn(found.shape, reading.grid)) > 0.85
    np.testing.assert_allclose(sorted(nib.affines.voxel_sizes(reading.grid)), [1.0, 1.2, 2.4], rtol=1e-4)


def test_what_the_network_could_not_see_is_in_no_region():
    affine = np.eye(4)
    affine[:3, 3] = 10
    found = onto_input(np.ones((1, 4, 4, 4), np.float32), affine, (30, 30, 30), np.eye(4))
    inside = np.argwhere(found[0])
    assert inside.min() >= 9
    assert inside.max() <= 14


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_labels_say_again_which_regions_a_voxel_is_in(scheme):
    labels = np.array(sorted(scheme.labels)).reshape(-1, 1, 1)
    regions = np.stack([np.isin(labels, region) for region in scheme.regions.values()])
    again = labelled(regions, scheme)
    for region, voxels in zip(scheme.regions.values(), regions, strict=True):
        np.testing.assert_array_equal(np.isin(again, region), voxels)


def test_regions_that_fit_no_label_get_the_nearest():
    scheme = LabelScheme(name="two", regions={"outer": (1, 2), "inner": (2,)})
    inner_alone = np.array([False, True]).reshape(2, 1, 1, 1)
    assert labelled(inner_alone, scheme).item() in {0, 2}


def test_a_kind_is_told_from_the_files(tmp_path):
    shape = (20, 20, 8)
    affine = centred(np.eye(3), (1, 1, 1), shape)
    source = write_nifti(tmp_path / "in" / "scan.nii", hounsfield(drawn(shape, affine)), affine)
    request = PredictRequest(run=None, source=source.parent, out=tmp_path)
    assert yield_value(look(request, RECIPES["2-D, fitted"].data, tmp_path)).kind is Kind.NIFTI
