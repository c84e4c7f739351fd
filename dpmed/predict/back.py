"""From the network's grid back onto the voxels of the input."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import affine_transform

from dpmed.core.labels import LabelScheme

THRESHOLD = 0.5
SLAB = 16
"""Slices of the input at once: what is in memory beside the answer is so many slices, whatever the scan."""


def onto_input(
    probabilities: Float[np.ndarray, "region slice row column"],
    network: Float[np.ndarray, "4 4"],
    shape: Sequence[int],
    grid: Float[np.ndarray, "4 4"],
) -> Bool[np.ndarray, "region x y z"]:
    """Where each region's probability, interpolated linearly at the input's voxel centres, exceeds one half.

    `network` and `grid` lead from indices to the same millimetres. Voxels of the input that lie outside what the
    network saw (cut off by the recipe's image size) belong to no region.
    """
    # A voxel of margin, since the centres of the outermost voxels of a finer grid lie outside those of a coarser one.
    framed = np.pad(probabilities, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge")
    lead = np.linalg.inv(network) @ grid
    matrix, offset = lead[:3, :3], lead[:3, 3] + 1
    regions = np.zeros((len(framed), *shape), dtype=bool)
    for start in range(0, shape[2], SLAB):
        depth = min(SLAB, shape[2] - start)
        for region, volume in zip(regions, framed, strict=True):
            slab = affine_transform(
                volume, matrix, offset + matrix[:, 2] * start, (*shape[:2], depth), np.float32, order=1, cval=0.0
            )
            region[..., start : start + depth] = slab > THRESHOLD
    return regions


def labelled(regions: Bool[np.ndarray, "region x y z"], scheme: LabelScheme) -> UInt8[np.ndarray, "x y z"]:
    """One map of the scheme's labels: at each voxel the label that lies in just the regions found there.

    Where no label does (a core outside the whole tumour), the one that differs in the fewest; of several, the smallest.
    """
    labels = np.array(sorted(scheme.labels))
    belongs = np.array([[label in found for found in scheme.regions.values()] for label in labels])
    codes = np.arange(2 ** len(regions))
    patterns = (codes[:, None] >> np.arange(len(regions))) & 1 == 1
    of_code = labels[(patterns[:, None] != belongs).sum(2).argmin(1)]
    code = np.zeros(regions.shape[1:], np.uint16)
    for number, region in enumerate(regions):
        code |= region.astype(np.uint16) << number
    found: np.ndarray = of_code.astype(np.uint8 if labels.max() < 256 else np.int16)[code]
    return found
