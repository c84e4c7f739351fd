"""Was the face cut off before? Skin fades into the air over a voxel or two, a cut ends at once in plain background."""

from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int, Num

from dpmed.ingest.faces.grid import Coarse
from dpmed.ingest.faces.zone import Sides

TISSUE_SHARE = 0.1
"""Of the head's typical brightness: noise in the air is below."""
DEEP = 3
"""Voxels of background before a surface, and of tissue behind it: less is noise."""
SKIN_CM2 = 4.0
"""Skin in one piece within a cut face; a nose alone has twice that."""
FADING = 0.85
"""Of the back of the head: where less of it fades, sharp edges say nothing."""


def was_cut(
    voxels: Num[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    coarse: Coarse,
    body: Bool[np.ndarray, "x y z"],
    sides: Sides,
) -> bool:
    """Whether no piece of skin is left where a face must be, while the back of the head has its own.

    What begins at the edge of the field counts as skin: nobody can tell whether it was cut.
    """
    axis, is_ahead = _line_of_sight(affine, sides.pose.axes[1])
    seen = np.moveaxis(voxels, axis, 0)
    if len(seen) <= 2 * DEEP:
        return False
    ahead = seen[::-1] if is_ahead else seen
    low = float(voxels.min())
    tissue = low + TISSUE_SHARE * (float(np.median(coarse.values[body])) - low)
    front, back = _surface(ahead, low, tissue), _surface(ahead[::-1], low, tissue)
    depth = len(seen) - 1 - front.first if is_ahead else front.first
    is_skin = front.is_met & ~front.is_sharp & _in_face(depth, axis, coarse, sides)
    spacing = np.delete(np.linalg.norm(affine[:3, :3], axis=0), axis)
    is_back_skin = bool(np.mean(~back.is_sharp[back.is_met]) >= FADING) if back.is_met.any() else False
    return is_back_skin and _largest(is_skin) * float(np.prod(spacing)) / 100 < SKIN_CM2


@dataclass(frozen=True)
class _Surface:
    """What lines of sight meet first: where, and whether it begins at once after plain background."""

    first: Int[np.ndarray, "u v"]
    is_met: Bool[np.ndarray, "u v"]
    is_sharp: Bool[np.ndarray, "u v"]


def _surface(ahead: Num[np.ndarray, "depth u v"], low: float, tissue: float) -> _Surface:
    bright, plain = ahead > tissue, ahead <= low
    lasting = np.logical_and.reduce([bright[number : len(ahead) - DEEP + number] for number in range(DEEP)])
    first = lasting.argmax(axis=0)
    before = [np.take_along_axis(plain, np.maximum(first - back, 0)[None], 0)[0] for back in range(1, DEEP + 1)]
    return _Surface(first, lasting.any(axis=0), (first >= DEEP) & np.logical_and.reduce(before))


def _line_of_sight(affine: Float[np.ndarray, "4 4"], anterior: Float[np.ndarray, "3"]) -> tuple[int, bool]:
    """The voxel axis nearest to where the head looks, and whether it grows that way."""
    along = anterior @ (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    axis = int(np.argmax(np.abs(along)))
    return axis, bool(along[axis] > 0)


def _in_face(depth: Int[np.ndarray, "u v"], axis: int, coarse: Coarse, sides: Sides) -> Bool[np.ndarray, "u v"]:
    """Whether the voxel at `depth` of each line of sight lies where eyes, nose and mouth are."""
    across = np.indices(depth.shape)
    places = np.stack((*across[:axis], depth, *across[axis:])).reshape(3, -1)
    to_cells = np.linalg.inv(coarse.to_scan)
    cells = to_cells[:3, :3] @ places + to_cells[:3, 3:]
    inside = scipy.ndimage.map_coordinates(sides.face().astype(np.uint8), cells, order=0)
    return np.asarray(inside.reshape(depth.shape) > 0)


def _largest(mask: Bool[np.ndarray, "u v"]) -> int:
    """Pixels of the largest piece."""
    labels, count = scipy.ndimage.label(mask)
    return int(np.bincount(labels.ravel())[1:].max()) if count else 0
