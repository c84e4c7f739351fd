"""Take the face off a head, and prove before returning that the face is gone and the brain is whole.

The cut follows the brain of the scan itself: everything is removed that lies beyond the brain in any direction from
straight ahead to steeply down, seen along the head's own axes: eyes, brows, nose, cheeks, mouth and jaw. What stays is
the brain's convex hull in those directions, so nothing between two parts of the brain is lost either. This is the idea
of QuickShear (Schimke and Hale 2011) with many planes in place of one and a head's pose in place of the scanner's.
A template of the face, fitted by affine registration, was the alternative; it knows nothing of this patient's frontal
lobe, and the symmetry of the brain gives the pose of a turned head to about one degree without it.

The ears stay: they lie beside the brain, not before it, and recognition from photographs rests on the face.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from dpmed.ingest.faces.grid import sampled
from dpmed.ingest.faces.head import HOUNSFIELD_BELOW
from dpmed.ingest.faces.morphology import grown
from dpmed.ingest.faces.state import FaceState, look
from dpmed.ingest.reasons import Reason, Refused

MARGIN_MM = 6.0
"""Between the brain's hull and the cut."""
BRAIN_RIM_MM = 4.0
"""Around the brain: never removed."""
AIR_HU = -1000


@dataclass(frozen=True)
class Defaced:
    """A head without its face. `removed` marks the voxels filled with background; all others are as they were."""

    voxels: Num[np.ndarray, "i j k"]
    removed: Bool[np.ndarray, "i j k"]

    @property
    def removed_fraction(self) -> float:
        """Of all voxels, air included."""
        return float(self.removed.mean())


def remove_face(voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], *, modality: str) -> Defaced:
    """Fill what lies before and below the brain with background. For scans whose `face_state` is FACE.

    Guarantees, checked on the result: no voxel of the brain or of a rim around it is changed; every voxel outside
    `removed` keeps its bits; `face_state` of the result is DEFACED. Raises `Refused(FACE_STAYS)` where that cannot be
    had: no brain was found, or the face cannot be told from it.
    """
    before = look(voxels, affine, modality=modality)
    if before.state is not FaceState.FACE or before.sides is None or before.coarse is None:
        raise Refused(Reason.FACE_STAYS)
    to_cells = np.linalg.inv(before.coarse.to_scan)
    cells = before.sides.removable(MARGIN_MM) & ~grown(before.sides.brain, BRAIN_RIM_MM)
    removed = sampled(cells.astype(np.float32), to_cells, voxels.shape, outside="nearest") > 0.5
    result = Defaced(_filled(voxels, removed, is_ct=modality.upper().startswith("CT")), removed)
    if not face_is_gone(result, affine, modality=modality):
        raise Refused(Reason.FACE_STAYS)
    return result


def face_is_gone(result: Defaced, affine: Float[np.ndarray, "4 4"], *, modality: str) -> bool:
    """Whether what is left is seen as a head without a face, by the same eye that saw the face."""
    return look(result.voxels, affine, modality=modality).state is FaceState.DEFACED


def _filled(
    voxels: Num[np.ndarray, "i j k"], removed: Bool[np.ndarray, "i j k"], *, is_ct: bool
) -> Num[np.ndarray, "i j k"]:
    """Air for CT in Hounsfield units, the lowest value of all others."""
    low = voxels.min()
    fill = max(low, AIR_HU) if is_ct and low < HOUNSFIELD_BELOW else low
    return np.where(removed, voxels.dtype.type(fill), voxels)
