"""The slices of a volume as pictures a person would look at: letters that are mirrored are not read."""

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

AS_SHOWN = ("L", "P", "I")
"""Ends of the axes in pictures: the patient's left is on the right, the face or the head on top."""


def slices_of(voxels: np.ndarray, affine: np.ndarray) -> tuple[list[np.ndarray], ...]:
    """Views of a volume's slices, [row, column], across its thickest voxels: as they are shown, and as they are stored.

    One way is enough where both are the same, and where axes were turned on purpose: what writes a scanner's pictures
    as NIfTI keeps track of how they lay. Axes to the right, the front and the top may be those of anybody's array.
    """
    axis = _across(affine)
    ways = [_across_slices(_as_shown(voxels, affine), _axis_as_shown(axis, affine))]
    if nib.orientations.aff2axcodes(affine) == ("R", "A", "S"):
        ways.append(_across_slices(voxels, axis))
    return tuple(ways)


def _across(affine: np.ndarray) -> int:
    """The axis of the largest spacing; of several the last, as scanners have it."""
    spacing = np.round(np.linalg.norm(affine[:3, :3], axis=0), 3)
    return int(2 - np.argmax(spacing[::-1]))


def _as_shown(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(AS_SHOWN))
    return np.asarray(nib.orientations.apply_orientation(voxels, turn))


def _axis_as_shown(axis: int, affine: np.ndarray) -> int:
    return int(io_orientation(affine)[axis, 0])


def _across_slices(voxels: np.ndarray, axis: int) -> list[np.ndarray]:
    """Of the two axes left, the second goes down: columns run to the left or the back, rows to the back or the feet."""
    return [plane.T for plane in np.moveaxis(voxels, axis, 0)]
