"""The brain, found in the scan itself: what lies in the skull, loosened from the rest by shrinking and grown back.

Bone and its marrow separate brain from scalp in CT (brighter) and MR (darker) alike, but for the openings at the base:
the eye sockets, the ear canals and the hole to the spine. Shrinking closes those, and the largest deep part is brain.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dpmed.ingest.faces.grid import STEP_MM, Coarse
from dpmed.ingest.faces.head import is_hounsfield
from dpmed.ingest.faces.morphology import distance, filled, grown, largest, litres, shrunk

SOFT_HU = (-30.0, 100.0)
CONTRAST_HU = 130.0
BONE_SHARE = 0.6
"""Of the brightest value in a CT that is not in Hounsfield units."""
MR_SHARES = (0.45, 0.6, 0.72, 0.8)
"""Of the brain's typical value: below is bone, air and (on most sequences) fluid."""
BRIDGES_MM = (5.0, 7.5, 10.0, 12.5)
"""Half the width of what may tie the brain to scalp, eyes and neck: the narrowest that loosens it is taken."""
DEEP_MM = 30.0
SKIN_MM = 5.0
SULCI_MM = 7.5
LITRES = (0.25, 2.3)
"""From a newborn's brain or a slab of an adult's to the largest."""
LEAST_SHARE = 0.22
"""Of the head: a part smaller than this is a piece of a brain."""
LOOSE = 0.01
"""Of the surface of the brain: how little of it may lie directly under the skin."""


@dataclass(frozen=True)
class Brain:
    """The brain's cells, and the share of their surface that lies directly under the surface of the body."""

    cells: Bool[np.ndarray, "x y z"]
    bare: float


def brain(
    coarse: Coarse, body: Bool[np.ndarray, "x y z"], depth: Float[np.ndarray, "x y z"], *, is_ct: bool
) -> Brain | None:
    """The brain in `body`, None where nothing like one comes loose. `depth` is each cell's depth under the skin."""
    least = max(LITRES[0], LEAST_SHARE * litres(body))
    best: Brain | None = None
    for part in _parts(coarse, body, depth, is_ct=is_ct):
        if least < litres(part.cells) < LITRES[1] and (best is None or part.bare < best.bare):
            best = part
            if part.bare <= LOOSE:
                break
    return best and Brain(filled(shrunk(grown(best.cells, SULCI_MM), SULCI_MM)) & body, best.bare)


def _parts(
    coarse: Coarse, body: Bool[np.ndarray, "x y z"], depth: Float[np.ndarray, "x y z"], *, is_ct: bool
) -> Iterator[Brain]:
    """What may be the brain, the most generous first."""
    for tissue in _tissues(coarse, body, depth, is_ct=is_ct):
        to_edge = distance(tissue)
        for bridge in BRIDGES_MM:
            core = largest((to_edge > bridge) & (depth > bridge))
            if not core.any():
                break
            part = tissue & grown(core, bridge + STEP_MM)
            surface = part & (to_edge <= STEP_MM)
            yield Brain(part, float((part & (depth <= SKIN_MM)).sum() / max(1, surface.sum())))


def _tissues(
    coarse: Coarse, body: Bool[np.ndarray, "x y z"], depth: Float[np.ndarray, "x y z"], *, is_ct: bool
) -> Iterator[Bool[np.ndarray, "x y z"]]:
    values = coarse.values
    if is_ct and is_hounsfield(coarse):
        yield body & (values > SOFT_HU[0]) & (values < CONTRAST_HU)
        yield body & (values > SOFT_HU[0]) & (values < SOFT_HU[1])
        yield body & (values < CONTRAST_HU)
    elif is_ct:
        yield body & (values < BONE_SHARE * np.percentile(values[body], 99))
    else:
        deep = body & (depth > DEEP_MM)
        low, typical = float(values[coarse.inside].min()), float(np.median(values[deep if deep.any() else body]))
        for share in MR_SHARES:
            yield body & (values > low + share * (typical - low))
