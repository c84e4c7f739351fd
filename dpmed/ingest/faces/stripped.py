"""Whether the skull has been taken off already, as research sets (BraTS) come: a brain on an empty background."""

import numpy as np
from jaxtyping import Bool, Float

from dpmed.ingest.faces.grid import STEP_MM, Coarse
from dpmed.ingest.faces.head import is_hounsfield
from dpmed.ingest.faces.morphology import grown, litres

MOST_LITRES = 2.2
"""Brain, its fluid and what a generous mask leaves on it: a grown head is larger."""
EMPTY = 0.9
DARK_SHARE = 0.45
"""Of the brain's typical value: bone in MR is darker on every sequence."""
SCALP_MM = (4.0, 6.0)
SKULL_MM = (8.0, 16.0)
MOST_DARK = 0.35
"""Of the cells just under the surface: a brain's furrows are dark, but not more than this."""
BONE_HU = 300.0
BONE_SHARE = 0.002


def is_stripped(
    coarse: Coarse, body: Bool[np.ndarray, "x y z"], depth: Float[np.ndarray, "x y z"], *, is_ct: bool
) -> bool:
    """Whether `body` is a brain alone: its size, nothing at all around it, and no bone below its surface."""
    if litres(body) > MOST_LITRES:
        return False
    around = coarse.values[coarse.inside & ~grown(body, 2 * STEP_MM)]
    low = float(coarse.values[coarse.inside].min())
    if not around.size or np.mean(around <= low) < EMPTY:
        return False
    if is_ct:
        return is_hounsfield(coarse) and bool(np.mean(coarse.values[body] > BONE_HU) < BONE_SHARE)
    return not _has_skull(coarse.values - low, body, depth)


def _has_skull(
    values: Float[np.ndarray, "x y z"], body: Bool[np.ndarray, "x y z"], depth: Float[np.ndarray, "x y z"]
) -> bool:
    """Whether it is darker below the surface than at it, as bone under scalp is; a bare brain is darkest outside."""
    deep = body & (depth > SKULL_MM[1])
    if not deep.any():
        return True
    dark = body & (values < DARK_SHARE * np.median(values[deep]))
    outer = _share(dark, body & (depth > SCALP_MM[0]) & (depth <= SCALP_MM[1]))
    levels = np.arange(*SKULL_MM, STEP_MM)
    inner = max(_share(dark, body & (depth > level) & (depth <= level + STEP_MM)) for level in levels)
    return inner > outer or outer > MOST_DARK


def _share(mask: Bool[np.ndarray, "x y z"], among: Bool[np.ndarray, "x y z"]) -> float:
    return float(mask[among].mean()) if among.any() else 0.0
