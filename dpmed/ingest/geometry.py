"""From slices in any order to a volume: which slice lies where, and the affine that says so.

DICOM PS3.3 C.7.6.2.1.1 gives a slice's place by ImagePositionPatient and ImageOrientationPatient in LPS millimetres;
NIfTI wants RAS. Arrays are indexed [column, row, slice], the slice axis along the normal of the slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from jaxtyping import Float

from dpmed.core.manifest import Geometry
from dpmed.ingest.reasons import Reason, Refused

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ANGLE_TOLERANCE = 1e-3
SPACING_TOLERANCE = 1e-3
SAME_PLACE_MM = 1e-2
STEP_TOLERANCE = 0.05
"""Of the slice distance: rounding in headers stays far below, a lost slice far above."""


@dataclass(frozen=True)
class Plane:
    """Where one slice lies. `spacing` is (between rows, between columns) as DICOM has it; `thickness` in mm."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float


@dataclass(frozen=True)
class Stack:
    """Slices in order: `layers[k]` lists the indices of the slices at place k (several only if duplicates)."""

    layers: tuple[tuple[int, ...], ...]
    affine: tuple[tuple[float, ...], ...]

    @property
    def duplicates(self) -> int:
        """Slices beyond the first at their place."""
        return sum(len(layer) - 1 for layer in self.layers)


def stack(planes: Sequence[Plane]) -> Stack:
    """Order slices along their normal. Raises `Refused` if they do not make one regular volume."""
    first = planes[0]
    row, column = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    _require_axes(row, column)
    if not all(is_parallel(first, plane) for plane in planes):
        raise Refused(Reason.MIXED_ORIENTATION)
    if not all(is_spaced_alike(first, plane) for plane in planes):
        raise Refused(Reason.MIXED_SIZE)
    normal = np.cross(row, column)
    positions = np.array([plane.position for plane in planes])
    layers = _layers(positions @ normal)
    places = np.array([positions[layer[0]] for layer in layers])
    _require_shared_places(positions, layers)
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = _step(places, normal, thickness=first.thickness)
    affine[:3, 3] = places[0]
    return Stack(layers, tuple(tuple(float(x) for x in line) for line in LPS_TO_RAS @ affine))


def is_parallel(one: Plane, other: Plane) -> bool:
    """Whether two slices have the same orientation, but for rounding."""
    return all(abs(a - b) <= ANGLE_TOLERANCE for a, b in zip(one.orientation, other.orientation, strict=True))


def is_spaced_alike(one: Plane, other: Plane) -> bool:
    """Whether two slices have pixels of the same size, but for rounding."""
    return all(abs(a - b) <= SPACING_TOLERANCE * abs(a) for a, b in zip(one.spacing, other.spacing, strict=True))


def _require_axes(row: Float[np.ndarray, "3"], column: Float[np.ndarray, "3"]) -> None:
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if not np.isfinite(lengths).all() or np.abs(lengths - 1).max() > 1e-2 or abs(row @ column) > 1e-2:
        raise Refused(Reason.NO_GEOMETRY)


def _layers(heights: Float[np.ndarray, " slice"]) -> tuple[tuple[int, ...], ...]:
    """Indices grouped by height along the normal, lowest first; ties keep the input's order."""
    layers: list[list[int]] = []
    for index in np.argsort(heights, kind="stable"):
        if layers and heights[index] - heights[layers[-1][0]] < SAME_PLACE_MM:
            layers[-1].append(int(index))
        else:
            layers.append([int(index)])
    return tuple(tuple(sorted(layer)) for layer in layers)


def _require_shared_places(positions: Float[np.ndarray, "slice 3"], layers: Sequence[Sequence[int]]) -> None:
    for layer in layers:
        if len(layer) > 1 and np.abs(positions[list(layer)] - positions[layer[0]]).max() > SAME_PLACE_MM:
            raise Refused(Reason.OVERLAPPING)


def _step(
    places: Float[np.ndarray, "layer 3"], normal: Float[np.ndarray, "3"], *, thickness: float
) -> Float[np.ndarray, "3"]:
    """The vector from one slice to the next. Not along the normal where the gantry was tilted."""
    if len(places) == 1:
        return np.asarray(normal * thickness)
    gaps = np.diff(places @ normal)
    typical = float(np.median(gaps))
    if np.abs(gaps - typical).max() > STEP_TOLERANCE * typical:
        multiples = gaps / float(gaps.min())
        lost = np.abs(multiples - np.round(multiples)).max() < 2 * STEP_TOLERANCE
        raise Refused(Reason.MISSING_SLICES if lost else Reason.UNEVEN_SPACING)
    step = (places[-1] - places[0]) / (len(places) - 1)
    line = places[0] + np.arange(len(places))[:, None] * step
    if np.abs(places - line).max() > max(STEP_TOLERANCE * typical, SAME_PLACE_MM) * 2:
        raise Refused(Reason.CROOKED)
    return np.asarray(step)


def require_grid(affine: Float[np.ndarray, "4 4"]) -> None:
    """Refuse an affine that is not finite, not invertible, or without size or direction along some axis."""
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise Refused(Reason.BAD_AFFINE)
    # Where two axes run the same way, to the last digit, the second has no direction of its own.
    if not np.isfinite(nib.orientations.io_orientation(affine)).all():
        raise Refused(Reason.BAD_AFFINE)


def geometry(shape: Sequence[int], affine: Float[np.ndarray, "4 4"]) -> Geometry:
    """The manifest's description of a grid."""
    spacing = nib.affines.voxel_sizes(affine)
    return Geometry(
        shape=tuple(int(n) for n in shape),
        spacing_mm=tuple(round(float(mm), 6) for mm in spacing),
        orientation="".join(str(code) for code in nib.orientations.aff2axcodes(affine)),
    )
