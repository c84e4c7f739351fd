"""Shrinking, growing and filling in millimetres, on cells of `STEP_MM`."""

from itertools import product
from math import sqrt

import numpy as np
import scipy
from jaxtyping import Bool, Float

from dpmed.ingest.faces.grid import STEP_MM


def litres(mask: Bool[np.ndarray, "x y z"]) -> float:
    """Volume."""
    return float(np.count_nonzero(mask)) * STEP_MM**3 / 1e6


def distance(mask: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """Millimetres from each cell of the mask to the nearest cell outside."""
    return np.asarray(scipy.ndimage.distance_transform_edt(mask, sampling=STEP_MM), np.float32)


def shrunk(mask: Bool[np.ndarray, "x y z"], mm: float) -> Bool[np.ndarray, "x y z"]:
    """Without what is `mm` or less from a cell outside; the edge of the array is not outside.

    The mask is met with itself, moved to every place in a ball. For balls of a few cells that takes a twentieth of the
    time of `distance(mask) > mm`, which it equals.
    """
    radius = mm / STEP_MM
    reach = int(radius)
    upright = _upright(np.pad(mask, reach, constant_values=True), reach)
    kept = mask.copy()
    for x, y in product(range(2 * reach + 1), repeat=2):
        height_squared = radius**2 - (x - reach) ** 2 - (y - reach) ** 2
        if height_squared >= 0:
            moved = upright[int(sqrt(height_squared))][x:, y:, reach:]
            kept &= moved[tuple(slice(count) for count in mask.shape)]
    return kept


def _upright(mask: Bool[np.ndarray, "x y z"], reach: int) -> list[Bool[np.ndarray, "x y z"]]:
    """For each height up to `reach`: the cells that have so many of the mask above and below them."""
    found = [mask]
    for height in range(1, reach + 1):
        kept = found[-1].copy()
        kept[:, :, height:] &= mask[:, :, :-height]
        kept[:, :, :-height] &= mask[:, :, height:]
        found.append(kept)
    return found


def grown(mask: Bool[np.ndarray, "x y z"], mm: float) -> Bool[np.ndarray, "x y z"]:
    """With everything that is `mm` or less from it."""
    return ~shrunk(~mask, mm)


def largest(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """The largest connected part."""
    labels, count = scipy.ndimage.label(mask)
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])) if count else mask


def filled(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Holes filled plane by plane, so that those count too that open at an end of the field (airways, a cut skull)."""
    for axis in range(3):
        in_plane = np.zeros((3, 3, 3), bool)
        in_plane[tuple(1 if a == axis else slice(None) for a in range(3))] = scipy.ndimage.generate_binary_structure(
            2, 1
        )
        gaps, count = scipy.ndimage.label(~mask, structure=in_plane)
        is_hole = np.ones(count + 1, bool)
        for other, end in product({0, 1, 2} - {axis}, (0, -1)):
            is_hole[gaps.take(end, axis=other)] = False
        mask = mask | is_hole[gaps]
    return mask
