import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.ingest.geometry import Plane, geometry, require_grid, stack
from dpmed.ingest.reasons import Reason, Refused

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def planes(heights, **changes):
    settings = {"orientation": AXIAL, "spacing": (0.8, 0.5), "thickness": 2.5} | changes
    return [Plane(position=(-10.0, -20.0, height), **settings) for height in heights]


def reason_of(slices):
    with pytest.raises(Refused) as refusal:
        stack(slices)
    return refusal.value.reason


def rotation(angles):
    (a, b, c), eye = angles, np.eye(3)
    for axis, angle in zip(((0, 1), (1, 2), (0, 2)), (a, b, c), strict=True):
        turn = np.eye(3)
        turn[np.ix_(axis, axis)] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        eye = eye @ turn
    return eye


def test_slices_are_ordered_by_position_not_by_arrival():
    assert stack(planes([5.0, 0.0, 7.5, 2.5])).layers == ((1,), (3,), (0,), (2,))


def test_affine_by_hand():
    # Columns 0.5 mm apart along +x, rows 0.8 mm along +y, slices 2.5 mm along +z, first at (-10, -20, 0), all LPS.
    # RAS turns x and y round.
    expected = [[-0.5, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(stack(planes([0.0, 2.5, 5.0])).affine, expected, atol=1e-12)


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.permutations(range(5)), st.integers(0, 3), st.integers(0, 4))
def test_every_pixel_lands_where_the_standard_says(angles, order, row, column):
    # PS3.3 equation C.7.6.2.1-1, in LPS: position + column * dx * row cosines + row * dy * column cosines.
    turned = rotation(angles)
    slices = [
        Plane(tuple(turned @ [3.0, 4.0, 2.5 * k]), (*turned[:, 0], *turned[:, 1]), (0.8, 0.5), 2.5) for k in order
    ]
    placed = stack(slices)
    for k, (index,) in enumerate(placed.layers):
        expected = slices[index].position + turned[:, 0] * column * 0.5 + turned[:, 1] * row * 0.8
        found = np.array(placed.affine) @ [column, row, k, 1]
        np.testing.assert_allclose(found[:3], expected * [-1, -1, 1], atol=1e-6)


def test_a_tilted_gantry_is_kept_as_shear():
    tilted = [Plane((0.0, 0.5 * k, 2.0 * k), AXIAL, (1.0, 1.0), 2.0) for k in range(4)]
    np.testing.assert_allclose(np.array(stack(tilted).affine)[:3, 2], [0, -0.5, 2.0], atol=1e-9)


def test_a_single_slice_is_a_volume_of_its_thickness():
    placed = stack(planes([7.0]))
    assert geometry((5, 4, 1), np.array(placed.affine)).spacing_mm == (0.5, 0.8, 2.5)


def test_rounding_in_headers_is_forgiven():
    assert len(stack(planes([0.0, 2.51, 4.99, 7.5])).layers) == 4


def test_missing_slices_are_told_from_uneven_ones():
    assert reason_of(planes([0.0, 2.5, 7.5, 10.0])) is Reason.MISSING_SLICES
    assert reason_of(planes([0.0, 2.5, 6.1, 10.0])) is Reason.UNEVEN_SPACING


def test_localisers_are_refused():
    sagittal = Plane((0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (0.8, 0.5), 2.5)
    assert reason_of([*planes([0.0]), sagittal]) is Reason.MIXED_ORIENTATION


def test_slices_side_by_side_at_one_height_are_refused():
    aside = Plane((50.0, -20.0, 0.0), AXIAL, (0.8, 0.5), 2.5)
    assert reason_of([*planes([0.0, 2.5]), aside]) is Reason.OVERLAPPING


def test_slices_off_the_line_are_refused():
    bent = [Plane((x, 0.0, 2.0 * k), AXIAL, (1.0, 1.0), 2.0) for k, x in enumerate([0.0, 6.0, 0.0])]
    assert reason_of(bent) is Reason.CROOKED


def test_different_pixel_spacing_is_refused():
    assert reason_of([*planes([0.0]), *planes([2.5], spacing=(0.9, 0.5))]) is Reason.MIXED_SIZE


@pytest.mark.parametrize("orientation", [(0.0,) * 6, (1.0, 0, 0, 1.0, 0, 0), (2.0, 0, 0, 0, 1.0, 0), (np.nan,) * 6])
def test_axes_that_are_no_axes_are_refused(orientation):
    assert reason_of(planes([0.0], orientation=orientation)) is Reason.NO_GEOMETRY


def test_duplicates_share_a_layer():
    placed = stack(planes([0.0, 2.5, 2.5, 5.0]))
    assert placed.layers == ((0,), (1, 2), (3,))
    assert placed.duplicates == 1


@pytest.mark.parametrize(
    "columns",
    [
        [[np.nan, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [1, 0, 0], [0, 0, 1]],
        [[1e9, 0, 0], [1e9, 1e-8, 0], [0, 0, 1]],  # invertible by its determinant, but for no digit that a float has
    ],
)
def test_an_affine_with_an_axis_of_no_direction_is_refused(columns):
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns, float).T
    with pytest.raises(Refused) as refusal:
        require_grid(affine)
    assert refusal.value.reason is Reason.BAD_AFFINE
