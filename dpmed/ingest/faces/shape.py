"""Whether a body has the size and shape of a head, before anything slower is tried."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from dpmed.ingest.faces.grid import STEP_MM

WIDTH_MM = (90.0, 250.0)
"""From a newborn's head to more than the widest with ears, and less than shoulders."""
LENGTH_MM = (105.0, 300.0)
LONGER_THAN_WIDE = 0.95
"""Length over width: heads are longer than wide, trunks wider than long."""
HEIGHT_MM = 40.0
"""Of a slab: less from top to bottom cannot be rendered as a face."""
THIN_FIELD_MM = 100.0
"""A field narrower than this (a few sagittal slices) cannot show how wide the head is."""
TALL_MM = 330.0


def head_slices(body: Bool[np.ndarray, "x y z"], inside: Bool[np.ndarray, "x y z"]) -> slice | None:
    """The slices, from the top of the body down to the shoulders, that look like a head; None where too few do."""
    levels = np.flatnonzero(body.any(axis=(0, 1)))
    if not levels.size:
        return None
    field_width = float(np.ptp(np.flatnonzero(inside.any(axis=(1, 2))))) * STEP_MM
    top = int(levels[-1])
    sections = [_section(body[:, :, k]) for k in range(top, max(-1, top - int(TALL_MM / STEP_MM)), -1)]
    narrow = [width <= WIDTH_MM[1] and length <= LENGTH_MM[1] for width, length in sections]
    count = narrow.index(False) if False in narrow else len(narrow)
    heads = sum(_is_head(width, length, is_thin=field_width < THIN_FIELD_MM) for width, length in sections[:count])
    return slice(top - count + 1, top + 1) if heads * STEP_MM >= HEIGHT_MM / 2 <= count * STEP_MM / 2 else None


def _section(plane: Bool[np.ndarray, "x y"]) -> tuple[float, float]:
    """Width and length of the largest part of one slice: raised arms beside a head are other parts."""
    labels, count = ndimage.label(plane)
    if not count:
        return 0.0, 0.0
    boxes = ndimage.find_objects(labels)
    x, y = boxes[int(np.argmax(np.bincount(labels.ravel())[1:]))]
    return (x.stop - x.start) * STEP_MM, (y.stop - y.start) * STEP_MM


def _is_head(width: float, length: float, *, is_thin: bool) -> bool:
    if is_thin:
        return LENGTH_MM[0] <= length
    return WIDTH_MM[0] <= width and max(LENGTH_MM[0], LONGER_THAN_WIDE * width) <= length
