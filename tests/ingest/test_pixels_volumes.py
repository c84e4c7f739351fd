"""Which way a volume is looked through."""

import numpy as np
import pytest

from dpmed.ingest.pixels.volumes import slices_of


@pytest.mark.parametrize(
    ("shape", "spacing", "across"),
    [
        ((8, 8, 5), (0.7, 0.7, 5.0), 2),
        ((8, 8, 20), (0.9, 0.9, 0.6), 2),  # more slices than rows, and thinner than pixels are wide
        ((5, 9, 9), (1.0, 1.0, 1.0), 0),  # sagittal, turned to the standard
        ((9, 4, 9), (0.9, 3.0, 0.9), 1),
        ((4, 5, 6), (1.0, 1.0, 1.0), 2),
        ((4, 5, 6), (1.0, 1.2, 1.4), 2),
    ],
)
def test_slices_lie_across_the_axis_that_is_unlike_the_others(shape, spacing, across):
    (slices,) = slices_of(np.zeros(shape), np.diag([-spacing[0], -spacing[1], spacing[2], 1.0]))
    assert len(slices) == shape[across]


def test_the_left_of_the_patient_is_on_the_right_and_the_face_on_top():
    voxels = np.arange(4 * 4 * 3).reshape(4, 4, 3)
    shown, stored = slices_of(voxels, np.diag([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_array_equal(stored[0], voxels[:, :, 0].T)
    # Right of the patient and front of the voxels have the highest indices: first column, first row.
    np.testing.assert_array_equal(shown[-1], voxels[::-1, ::-1, 0].T)


def test_pictures_are_views_so_that_what_is_painted_is_painted_in_the_volume():
    voxels = np.zeros((6, 6, 3))
    for slices in slices_of(voxels, np.diag([1.0, 1.0, 3.0, 1.0])):
        slices[0][0, 0] = 1
    assert voxels.sum() == 2
