"""Where the patient is: everything that is not air, without the table, the headrest and the noise."""

import numpy as np
from jaxtyping import Bool

from dpmed.ingest.faces.grid import STEP_MM, Coarse
from dpmed.ingest.faces.morphology import filled, grown, largest, shrunk

CT_AIR_HU = -300.0
"""Between foam or hair and skin."""
HOUNSFIELD_BELOW = -500.0
"""Values so low are air in Hounsfield units; a windowed CT has none."""
MR_SHARE = 0.12
"""Of the bright tissue's value: skin in a coil's weak corner is still above it, noise and ghosts are below."""
NOISE_TIMES = 3.0
TABLE_MM = 4.0
"""Half the thickness of what is cut off as table, mask or tube."""
NOSTRIL_MM = 5.0


def is_hounsfield(coarse: Coarse) -> bool:
    """Whether a CT is in Hounsfield units (air near -1000) rather than windowed to some grey scale."""
    return bool(coarse.values[coarse.inside].min() < HOUNSFIELD_BELOW)


def solid(coarse: Coarse, *, is_ct: bool) -> Bool[np.ndarray, "x y z"]:
    """Everything that is not air: the patient, and what is around."""
    return np.asarray((coarse.values > _air(coarse, is_ct=is_ct)) & coarse.inside)


def head(coarse: Coarse, *, is_ct: bool) -> Bool[np.ndarray, "x y z"]:
    """The largest solid body, its holes filled; all False where there is none."""
    closed = filled(shrunk(grown(solid(coarse, is_ct=is_ct), NOSTRIL_MM), NOSTRIL_MM)) & coarse.inside
    core = largest(shrunk(closed, TABLE_MM))
    return filled(closed & grown(core, TABLE_MM + STEP_MM))


def _air(coarse: Coarse, *, is_ct: bool) -> float:
    if is_ct and is_hounsfield(coarse):
        return CT_AIR_HU
    values = coarse.values[coarse.inside]
    low = float(np.percentile(values, 1))
    above = values[values > values.mean()]
    bright = float(np.percentile(above, 75)) if above.size else low
    return max(low + MR_SHARE * (bright - low), NOISE_TIMES * _noise(coarse) + low)


def _noise(coarse: Coarse) -> float:
    """The spread of the darkest tenth: a guess at the background that exact zeros (masked background) make zero."""
    values = coarse.values[coarse.inside]
    return float(np.percentile(values, 10) - np.percentile(values, 1))
