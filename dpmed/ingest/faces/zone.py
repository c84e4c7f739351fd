"""Where a face must be if there is one: in front of and below everything that the brain reaches."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from dpmed.ingest.faces.pose import Pose

CUTS = tuple(math.radians(degrees) for degrees in (25.0, 32.0, 39.0, 46.0, 53.0, 60.0))
"""Directions from straight ahead down towards the chin along which tissue beyond the brain is face."""
FACE_CUT = math.radians(35.0)
FACE_MM = 15.0
"""Nose, eyes and mouth stand out further than this beyond the brain; skull base and cut surfaces do not."""
FOREHEAD_MM = 12.0
"""Scalp and skull of the forehead are thicker than this; deeper may be brain, whatever was taken for brain."""
FRONTAL_MM = 20.0
"""From the frontal poles back: no other lobe comes so far forward."""
FACE_HALF_WIDTH_MM = 50.0
FACE_DEPTH_MM = 45.0


@dataclass(frozen=True)
class Sides:
    """A head's brain and pose: what lies beyond the brain in the face's directions."""

    brain: Bool[np.ndarray, "x y z"]
    pose: Pose
    depth: Float[np.ndarray, "x y z"]

    def beyond(self, cut: float) -> Float[np.ndarray, "x y z"]:
        """Millimetres past the brain's last cell in a direction `cut` radians below straight ahead; negative before."""
        far = self.pose.along(self.brain.shape, np.array([0.0, math.cos(cut), -math.sin(cut)]))
        return np.asarray(far - far[self.brain].max())

    def removable(self, margin_mm: float) -> Bool[np.ndarray, "x y z"]:
        """What the brain and everything between its parts stay clear of by `margin_mm`: outside their convex hull.

        A second guard does not rest on the brain that was found: above the eye sockets nothing deep is removed.
        """
        beyond = np.max([self.beyond(cut) for cut in CUTS], axis=0) > margin_mm
        return np.asarray(beyond & ~self._deep_in_forehead())

    def _deep_in_forehead(self) -> Bool[np.ndarray, "x y z"]:
        """Deeper than any skull, and higher than the lowest of the frontal lobes, which lie on the eye sockets."""
        up = self.pose.along(self.brain.shape, np.array([0.0, 0.0, 1.0]))
        frontal = self.brain & (self.beyond(0.0) > -FRONTAL_MM)
        return np.asarray((up > up[frontal].min()) & (self.depth > FOREHEAD_MM))

    def face(self) -> Bool[np.ndarray, "x y z"]:
        """Where eyes, nose and mouth are."""
        across = self.pose.along(self.brain.shape, np.array([1.0, 0.0, 0.0]))
        ahead = self.beyond(0.0)
        in_front = (self.beyond(FACE_CUT) > FACE_MM) & (ahead > -FACE_DEPTH_MM)
        return np.asarray(in_front & (np.abs(across) < FACE_HALF_WIDTH_MM))
