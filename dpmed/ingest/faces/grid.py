"""A scan of any orientation, spacing and field on one coarse grid: axes right, anterior, superior; even millimetres."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num
from scipy import ndimage

STEP_MM = 2.0
"""Coarse enough for seconds a head, fine enough for the skull, which is all that parts brain from scalp."""
SMOOTH_CELLS = 0.5
"""For voxels much finer than the cells; coarser voxels are left as sharp as they are."""
PAD = 6
"""Cells of background around the field, so that growing, shrinking and depth never meet the edge of the array."""
TALL_MM = 450.0
"""A field taller than this (a trunk, a whole body) is looked at from its top down, where a head would be."""
MAX_CELLS = 2**24


@dataclass(frozen=True)
class Coarse:
    """A scan sampled on cells of `STEP_MM`; `inside` marks the cells that the scan's field covers.

    `to_scan` maps cell indices to voxel indices of the scan.
    """

    values: Float[np.ndarray, "x y z"]
    inside: Bool[np.ndarray, "x y z"]
    to_scan: Float[np.ndarray, "4 4"]

    def cut(self, box: tuple[slice, ...]) -> "Coarse":
        """The part in `box`, with the map that belongs to it."""
        to_scan = np.array(self.to_scan)
        to_scan[:3, 3] += to_scan[:3, :3] @ [part.start for part in box]
        return Coarse(self.values[box], self.inside[box], to_scan)


def coarse(voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]) -> Coarse | None:
    """Bring a scan onto the coarse grid; None where that would be larger than any patient."""
    affine = np.asarray(affine, np.float64)
    corners = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in voxels.shape))).reshape(3, -1)
    places = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = places.min(axis=1), places.max(axis=1)
    low[2] = max(low[2], high[2] - TALL_MM)
    counts = np.ceil((high - low) / STEP_MM) + 2 * PAD
    if np.prod(counts) > MAX_CELLS:
        return None
    shape = tuple(int(n) for n in counts)
    to_world = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    to_world[:3, 3] = low + (0.5 - PAD) * STEP_MM
    to_scan = np.linalg.inv(affine) @ to_world
    values = sampled(voxels, to_scan, shape, outside="nearest")
    inside = sampled(np.ones(voxels.shape, np.uint8), to_scan, shape, outside="grid-constant") > 0.5
    fineness = np.maximum(0.0, 1 - np.abs(affine[:3, :3]).sum(axis=1) / STEP_MM)
    return Coarse(ndimage.gaussian_filter(np.nan_to_num(values), SMOOTH_CELLS * fineness), np.asarray(inside), to_scan)


def sampled(
    values: Num[np.ndarray, "i j k"], matrix: Float[np.ndarray, "4 4"], shape: tuple[int, ...], *, outside: str
) -> Float[np.ndarray, "x y z"]:
    """`values` read at `matrix` times each index of `shape`, between voxels by their distance."""
    return np.asarray(
        ndimage.affine_transform(values, matrix[:3, :3], matrix[:3, 3], shape, output=np.float32, order=1, mode=outside)
    )
