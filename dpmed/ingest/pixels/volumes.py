"""The slices of a volume as pictures a person would look at: letters that are mirrored are not read."""

import math

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

AS_SHOWN = ("L", "P", "I")
"""Ends of the axes in pictures: the patient's left is on the right, the face or the head on top."""
SAME = 0.02
"""Relative difference up to which two spacings are taken for one: pictures have square pixels."""


def slices_of(voxels: np.ndarray, affine: np.ndarray) -> tuple[list[np.ndarray], ...]:
    """Views of a volume's slices, [row, column], as they are shown, and as they are stored.

    One way is enough where both are the same, and where axes were turned on purpose: what writes a scanner's pictures
    as NIfTI keeps track of how they lay. Axes to the right, the front and the top may be those of anybody's array.
    """
    axis = _across(voxels.shape, affine)
    ways = [_across_slices(_as_shown(voxels, affine), _axis_as_shown(axis, affine))]
    if nib.orientations.aff2axcodes(affine) == ("R", "A", "S"):
        ways.append(_across_slices(voxels, axis))
    return tuple(ways)


def _across(shape: tuple[int, ...], affine: np.ndarray) -> int:
    """The axis unlike the other two, in spacing or else in length; if none is, the last, as scanners have it."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    for lengths in (spacing, np.array(shape[:3])):
        alike = [math.isclose(lengths[axis - 2], lengths[axis - 1], rel_tol=SAME) for axis in range(3)]
        if sum(alike) == 1:
            return alike.index(True)
    return 2


def _as_shown(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(AS_SHOWN))
    return np.asarray(nib.orientations.apply_orientation(voxels, turn))


def _axis_as_shown(axis: int, affine: np.ndarray) -> int:
    return int(io_orientation(affine)[axis, 0])


def _across_slices(voxels: np.ndarray, axis: int) -> list[np.ndarray]:
    """Of the two axes left, the second goes down: columns run to the left or the back, rows to the back or the feet."""
    return [plane.T for plane in np.moveaxis(voxels, axis, 0)]
