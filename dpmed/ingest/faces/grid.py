"""A scan of any orientation, spacing and field on one coarse grid: axes right, anterior, superior; even millimetres."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float, Num

STEP_MM = 2.0
"""Coarse enough for seconds a head, fine enough for the skull, which is all that parts brain from scalp."""
SMOOTH_CELLS = 0.5
"""For voxels much finer than the cells; coarser voxels are left as sharp as they are."""
PAD = 6
"""Cells of background around the field, so that growing, shrinking and depth never meet the edge of the array."""
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


def coarse(
    voxels: Num[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    *,
    step_mm: float = STEP_MM,
    floor_mm: float = -np.inf,
) -> Coarse | None:
    """Bring a scan onto a coarse grid, from `floor_mm` up; None for a field too thin or too large."""
    affine = np.asarray(affine, np.float64)
    corners = np.array(np.meshgrid(*([-0.5, n - 0.5] for n in voxels.shape))).reshape(3, -1)
    places = affine[:3, :3] @ corners + affine[:3, 3:]
    low, high = places.min(axis=1), places.max(axis=1)
    low[2] = min(max(low[2], floor_mm), high[2])
    counts = np.ceil((high - low) / step_mm) + 2 * PAD
    if np.prod(counts) > MAX_CELLS:
        return None
    shape = tuple(int(n) for n in counts)
    to_world = np.diag([step_mm, step_mm, step_mm, 1.0])
    to_world[:3, 3] = low + (0.5 - PAD) * step_mm
    to_scan = np.linalg.inv(affine) @ to_world
    values = sampled(voxels, to_scan, shape, outside="nearest")
    # Between voxels of ones everything is one: half a voxel past the last is where a field ends.
    inside = sampled(np.broadcast_to(np.uint8(1), voxels.shape), to_scan, shape, outside="grid-constant") > 0.5
    inside[:, :, :PAD] = False
    if not inside.any():
        return None
    fineness = np.maximum(0.0, 1 - np.abs(affine[:3, :3]).sum(axis=1) / step_mm)
    return Coarse(
        scipy.ndimage.gaussian_filter(np.nan_to_num(values), SMOOTH_CELLS * fineness), np.asarray(inside), to_scan
    )


def sampled(
    values: Num[np.ndarray, "i j k"], matrix: Float[np.ndarray, "4 4"], shape: tuple[int, ...], *, outside: str
) -> Float[np.ndarray, "x y z"]:
    """`values` read at `matrix` times each index of `shape`, between voxels by their distance."""
    return np.asarray(
        scipy.ndimage.affine_transform(
            values, matrix[:3, :3], matrix[:3, 3], shape, output=np.float32, order=1, mode=outside
        )
    )
