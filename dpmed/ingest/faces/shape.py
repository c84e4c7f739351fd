"""Whether a body has the size and shape of a head, before anything slower is tried."""

import numpy as np
import scipy
from jaxtyping import Bool, Float, Num

from dpmed.ingest.faces.grid import STEP_MM, coarse
from dpmed.ingest.faces.head import solid
from dpmed.ingest.faces.morphology import filled, largest

WIDTH_MM = (90.0, 250.0)
"""From a newborn's head to more than the widest with ears, and less than shoulders."""
LENGTH_MM = (105.0, 300.0)
LONGER_THAN_WIDE = 0.95
"""Length over width: heads are longer than wide, trunks wider than long."""
HEIGHT_MM = 40.0
"""Of a slab: less from top to bottom cannot be rendered as a face."""
WHOLE_HEAD_MM, LEAST_SLICES = 150.0, 8
"""From top to bottom, where a scan of the brain is meant to cover it, and in how many slices at least."""
THIN_FIELD_MM = 100.0
"""A field narrower than this (a few sagittal slices) cannot show how wide the head is."""
TALL_MM = 330.0
"""From the top of a body down: no head is looked for below."""
GLANCE_MM = 8.0


def floor_of_head(voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], *, is_ct: bool) -> float | None:
    """The height in millimetres above which a head may lie, from a glance at few voxels; None where none can."""
    grid = coarse(voxels, affine, step_mm=GLANCE_MM)
    if grid is None:
        return None
    body = largest(scipy.ndimage.binary_opening(filled(scipy.ndimage.binary_closing(solid(grid, is_ct=is_ct)))))
    levels = head_slices(body, grid.inside, step_mm=GLANCE_MM, slack_mm=2 * GLANCE_MM)
    if levels is None:
        return None
    to_world = np.asarray(affine, np.float64) @ grid.to_scan
    return float(to_world[2, 3] + to_world[2, 2] * (levels.start - 2))


def taller(affine: Float[np.ndarray, "4 4"], shape: tuple[int, ...]) -> Float[np.ndarray, "4 4"] | None:
    """The affine with its slices as far apart as in a scan of a whole head, for a scan too thin to show one."""
    height = float(np.abs(affine[2, :3]) @ shape)
    if not 0 < height < HEIGHT_MM or min(shape) < LEAST_SLICES:
        return None
    return np.asarray(np.diag([1.0, 1.0, WHOLE_HEAD_MM / height, 1.0]) @ affine)


def head_slices(
    body: Bool[np.ndarray, "x y z"],
    inside: Bool[np.ndarray, "x y z"],
    *,
    step_mm: float = STEP_MM,
    slack_mm: float = 0.0,
) -> slice | None:
    """The slices, from the top of the body down to the shoulders, that look like a head; None where too few do."""
    levels = np.flatnonzero(body.any(axis=(0, 1)))
    if not levels.size:
        return None
    is_thin = float(np.ptp(np.flatnonzero(inside.any(axis=(1, 2))))) * step_mm < THIN_FIELD_MM
    top = int(levels[-1])
    sections = [_section(body[:, :, k], step_mm) for k in range(top, max(-1, top - int(TALL_MM / step_mm)), -1)]
    narrow = [width <= WIDTH_MM[1] + slack_mm and length <= LENGTH_MM[1] + slack_mm for width, length in sections]
    count = narrow.index(False) if False in narrow else len(narrow)
    heads = sum(_is_head(width, length + slack_mm, slack_mm, is_thin=is_thin) for width, length in sections[:count])
    is_high = count * step_mm + slack_mm >= HEIGHT_MM and heads * step_mm + slack_mm >= HEIGHT_MM / 2
    return slice(top - count + 1, top + 1) if is_high else None


def _section(plane: Bool[np.ndarray, "x y"], step_mm: float) -> tuple[float, float]:
    """Width and length of the largest part of one slice: raised arms beside a head are other parts."""
    labels, count = scipy.ndimage.label(plane)
    if not count:
        return 0.0, 0.0
    boxes = scipy.ndimage.find_objects(labels)
    x, y = boxes[int(np.argmax(np.bincount(labels.ravel())[1:]))]
    return (x.stop - x.start) * step_mm, (y.stop - y.start) * step_mm


def _is_head(width: float, length: float, slack_mm: float, *, is_thin: bool) -> bool:
    if is_thin:
        return LENGTH_MM[0] <= length
    return WIDTH_MM[0] - slack_mm <= width and max(LENGTH_MM[0], LONGER_THAN_WIDE * width) <= length
