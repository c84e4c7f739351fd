"""Shrinking and growing by a ball equal what distances say; holes are filled plane by plane."""

import numpy as np
import pytest
from scipy import ndimage

from dpmed.ingest.faces.morphology import distance, filled, grown, shrunk


@pytest.fixture(scope="module")
def blobs():
    return ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(24, 31, 19)), 2) > 0


@pytest.mark.parametrize("mm", [1.0, 2.0, 4.0, 5.0, 6.5, 12.0])
def test_shrinking_and_growing_are_thresholds_of_the_distance(blobs, mm):
    assert np.array_equal(shrunk(blobs, mm), distance(blobs) > mm)
    assert np.array_equal(grown(blobs, mm), ~(distance(~blobs) > mm))


@pytest.mark.parametrize("value", [True, False])
def test_a_mask_without_an_edge_stays_as_it_is(value):
    mask = np.full((5, 6, 7), value)
    assert np.array_equal(shrunk(mask, 4.0), mask)
    assert np.array_equal(grown(mask, 4.0), mask)


def test_a_hole_is_filled_if_it_is_closed_in_any_plane(blobs):
    pipe, trench, dent = np.ones((7, 7, 7), bool), np.ones((7, 7, 7), bool), np.ones((7, 7, 7), bool)
    pipe[3, 3, :], trench[3, :, 3:], dent[0:3, 0:3, 0:3] = False, False, False
    assert filled(pipe).all()
    assert np.array_equal(filled(trench), trench)
    assert np.array_equal(filled(dent), dent)
    by_plane = blobs
    for axis in range(3):
        planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(by_plane, axis, 0)]
        by_plane = np.moveaxis(np.array(planes), 0, axis)
    assert np.array_equal(filled(blobs), by_plane)
