"""Shrinking, growing and filling in millimetres, on cells of `STEP_MM`."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from dpmed.ingest.faces.grid import STEP_MM


def litres(mask: Bool[np.ndarray, "x y z"]) -> float:
    """Volume."""
    return float(np.count_nonzero(mask)) * STEP_MM**3 / 1e6


def distance(mask: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    """Millimetres from each cell of the mask to the nearest cell outside."""
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=STEP_MM), np.float32)


def shrunk(mask: Bool[np.ndarray, "x y z"], mm: float) -> Bool[np.ndarray, "x y z"]:
    """Without what is nearer than `mm` to the outside."""
    return distance(mask) > mm


def grown(mask: Bool[np.ndarray, "x y z"], mm: float) -> Bool[np.ndarray, "x y z"]:
    """With everything nearer than `mm`."""
    return ~shrunk(~mask, mm) if mask.any() else mask


def largest(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """The largest connected part."""
    labels, count = ndimage.label(mask)
    return np.asarray(labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])) if count else mask


def filled(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Holes filled plane by plane, so that those count too that open at an end of the field (airways, a cut skull)."""
    for axis in range(3):
        in_plane = np.zeros((3, 3, 3), bool)
        in_plane[tuple(1 if a == axis else slice(None) for a in range(3))] = ndimage.generate_binary_structure(2, 1)
        mask = ndimage.binary_fill_holes(mask, structure=in_plane)
    return np.asarray(mask)
