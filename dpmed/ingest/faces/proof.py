"""Pictures of a head's surface before and after, to be looked at by whoever judges the removal.

The picture from before shows a person: it is for tests and for eyes that may see it. The ingest never writes one.
"""

import io

import numpy as np
import scipy
from jaxtyping import Bool, Float, Num
from PIL import Image

from dpmed.ingest.faces.grid import coarse
from dpmed.ingest.faces.head import head

PIXELS_PER_CELL = 3
SMOOTH_CELLS = 0.8
AMBIENT = 0.15
LIGHT = (0.35, 0.45, 0.82)


def before_after(
    before: Num[np.ndarray, "i j k"],
    after: Num[np.ndarray, "i j k"],
    affine: Float[np.ndarray, "4 4"],
    *,
    modality: str,
) -> bytes:
    """A PNG of four views: before above, after below; from the front on the left, from the side on the right."""
    rows = [np.hstack(_views(voxels, affine, is_ct=modality.upper().startswith("CT"))) for voxels in (before, after)]
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, "PNG")
    return buffer.getvalue()


def _views(
    voxels: Num[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"], *, is_ct: bool
) -> list[Num[np.ndarray, "row column"]]:
    grid = coarse(voxels, affine)
    if grid is None:
        raise ValueError("a field larger than a patient")
    body = head(grid, is_ct=is_ct)
    from_front, from_right = body.transpose(0, 2, 1)[:, :, ::-1], body.transpose(1, 2, 0)[:, :, ::-1]
    return [_shaded(side) for side in (from_front, from_right)]


def _shaded(body: Bool[np.ndarray, "across up away"]) -> Num[np.ndarray, "row column"]:
    """The surface as a lamp above the viewer's shoulder shows it; `away` counts from the viewer."""
    seen = body.any(axis=2)
    depth = np.where(seen, body.argmax(axis=2), body.shape[2]).astype(np.float32)
    depth = (
        scipy.ndimage.zoom(scipy.ndimage.gaussian_filter(depth, SMOOTH_CELLS), PIXELS_PER_CELL, order=3)
        * PIXELS_PER_CELL
    )
    across, up = np.gradient(depth)
    normal = np.stack([across, up, np.ones_like(depth)]) / np.sqrt(across**2 + up**2 + 1)
    light = AMBIENT + (1 - AMBIENT) * np.clip(np.tensordot(LIGHT, normal, axes=1), 0, 1)
    shown = np.kron(seen, np.ones((PIXELS_PER_CELL, PIXELS_PER_CELL), bool))
    return np.asarray(np.where(shown, light * 255, 0).astype(np.uint8).T[::-1])
