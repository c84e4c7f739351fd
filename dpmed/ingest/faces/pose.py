"""Which way a head looks: found from the symmetry of brain and skull, which are in every head scan.

Heads lie turned, tilted and nodding in the scanner; faces are sought and removed along the head's own axes.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy
from jaxtyping import Bool, Float

from dpmed.ingest.faces.grid import STEP_MM

SAMPLES = 4000
TURNS = np.radians([-30.0, -15.0, 0.0, 15.0, 30.0])
UPRIGHT_RISE = math.radians(13.0)
"""Of the brain's long axis where the eyes look straight ahead: the cerebellum pulls its rear end down."""
MAX_NOD = math.radians(45.0)
WHOLE_MM = 95.0
"""A brain cut lower than this by the field does not show how the head nods."""


@dataclass(frozen=True)
class Pose:
    """The brain's middle (in cells) and, as rows, the head's own directions right, anterior and superior."""

    middle: Float[np.ndarray, "3"]
    axes: Float[np.ndarray, "3 3"]

    def along(self, shape: tuple[int, ...], direction: Float[np.ndarray, "3"]) -> Float[np.ndarray, "x y z"]:
        """How far each cell lies from the middle along a direction of the head, in millimetres."""
        ahead = self.axes.T @ direction * STEP_MM
        x, y, z = (ahead[a] * (np.arange(shape[a]) - self.middle[a]) for a in range(3))
        return np.asarray(x[:, None, None] + y[None, :, None] + z[None, None, :], np.float32)


def pose(brain: Bool[np.ndarray, "x y z"], body: Bool[np.ndarray, "x y z"]) -> Pose:
    """The axes of a head: left and right from symmetry, ahead and up from the length of the brain."""
    points = _sample(brain)
    middle = points.mean(axis=0)
    vault = body.copy()
    vault[:, :, : int(points[:, 2].min())] = False
    # Either alone may be lopsided: a brain by a tumour or by shading, a head by a headrest or by its ears.
    halves = [
        (part, scipy.ndimage.gaussian_filter(mask.astype(np.float32), 1.5))
        for part, mask in ((points, brain), (_sample(vault), vault))
    ]

    def unlike(turn: Float[np.ndarray, "3"]) -> float:
        normal = _normal(turn[0], turn[1])
        return sum(_unlike(part, soft, normal, float((middle @ normal) + turn[2])) for part, soft in halves)

    start = min(((yaw, roll, 0.0) for yaw in TURNS for roll in TURNS), key=lambda turn: unlike(np.array(turn)))
    steps = np.vstack([start, np.add(start, np.diag([0.15, 0.15, 2.0]))])
    turn = scipy.optimize.minimize(
        unlike, start, method="Nelder-Mead", options={"initial_simplex": steps, "maxfev": 120, "xatol": 1e-3}
    ).x
    right = _normal(turn[0], turn[1])
    level = _unit(np.cross([0.0, 0.0, 1.0], right))
    nod = _nod((points - middle) @ np.vstack([level, np.cross(right, level)]).T)
    anterior = math.cos(nod) * level + math.sin(nod) * np.cross(right, level)
    return Pose(middle + turn[2] * right, np.vstack([right, anterior, np.cross(right, anterior)]))


def _sample(mask: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "point 3"]:
    cells = np.argwhere(mask)
    return np.asarray(cells[:: max(1, len(cells) // SAMPLES)], np.float64)


def _unlike(
    points: Float[np.ndarray, "point 3"],
    soft: Float[np.ndarray, "x y z"],
    normal: Float[np.ndarray, "3"],
    offset: float,
) -> float:
    """Less where more points, mirrored at the plane, fall into the same body again."""
    mirrored = points - 2 * (points @ normal - offset)[:, None] * normal
    return -float(scipy.ndimage.map_coordinates(soft, mirrored.T, order=1).mean())


def _normal(yaw: float, roll: float) -> Float[np.ndarray, "3"]:
    return _unit(np.array([1.0, math.tan(yaw), math.tan(roll)]))


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return np.asarray(vector / np.linalg.norm(vector))


def _nod(sagittal: Float[np.ndarray, "point 2"]) -> float:
    """How far the head's anterior lies above the level of the scanner, in radians."""
    if np.ptp(sagittal[:, 1]) * STEP_MM < WHOLE_MM:
        return 0.0
    vectors = np.linalg.eigh(np.cov(sagittal.T)).eigenvectors
    ahead, up = vectors[:, 1] * np.sign(vectors[0, 1])
    return float(np.clip(math.atan2(up, ahead) - UPRIGHT_RISE, -MAX_NOD, MAX_NOD))
