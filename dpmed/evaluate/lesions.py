"""Lesion by lesion, as BraTS 2023 judges adult glioma: a model that misses the small one of two tumours is told so.

A lesion: parts of the reference whose surroundings of 3 mm touch. Every component of the prediction (26 neighbours)
that reaches into those surroundings is compared with the lesion. The score of a case is the mean over lesions, and a
component that reaches no lesion counts as one more.

| what | Dice | HD95 |
|---|---|---|
| lesion that some component reaches | of the lesion and those components | the same |
| lesion that none reaches | 0 | diagonal of the image |
| component that reaches no lesion, of any size | 0 | diagonal of the image |
| lesion of 50 mm3 or less | left out, reached or not | left out |
| nothing to count | 1 | 0 mm |

The definition is that of the challenge's own evaluation (synapse.org, syn51156910), with three differences. It takes
surroundings as three rounds of 18 neighbours, which on its grid of 1 mm are the same; here they are given in mm, for
any grid. It counts 374 mm, the diagonal of its fixed image size. It weights surface distances by area, MONAI does not.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from scipy import ndimage
from torch import Tensor

from dpmed.evaluate.results import LesionCount
from dpmed.evaluate.surfaces import diagonal_mm, hd95

REACH_MM = 3.0
LEAST_MM3 = 50.0
ROUNDING = 1.001
"""Spacings come from affines: 1.0000001 mm is 1 mm."""

NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)


class LesionScore(NamedTuple):
    """One region of one case, lesion by lesion."""

    dice: float
    hd95_mm: float
    lesions: LesionCount


def lesion_score(
    predicted: Bool[Tensor, "slice row column"],
    reference: Bool[Tensor, "slice row column"],
    spacing_mm: Sequence[float],
) -> LesionScore:
    """Judge a region by the table above."""
    components, total = ndimage.label(predicted.numpy(), NEIGHBOURS)
    reach = _reach(spacing_mm)
    lesions = _lesions(reference.numpy(), reach)
    reached: set[int] = set()
    dices, distances, found = [], [], 0
    for number, box in enumerate(ndimage.find_objects(lesions), start=1):
        lesion = lesions == number
        near = _near(lesion, components, _widened(box, reach, lesion.shape), reach)
        reached |= near
        if lesion.sum() * math.prod(spacing_mm) <= LEAST_MM3:
            continue
        met = np.isin(components, list(near))
        found += bool(near)
        dices.append(2 * (met & lesion).sum() / (met.sum() + lesion.sum()))
        distances.append(hd95(torch.from_numpy(met), torch.from_numpy(lesion), spacing_mm))
    false = total - len(reached)
    return LesionScore(
        dice=_mean(dices, false, of_false=0.0, of_nothing=1.0),
        hd95_mm=_mean(distances, false, of_false=diagonal_mm(predicted.shape, spacing_mm), of_nothing=0.0),
        lesions=LesionCount(reference=len(dices), found=found, false=false),
    )


def _lesions(reference: Bool[np.ndarray, "*space"], reach: np.ndarray) -> Int[np.ndarray, "*space"]:
    """Voxels of the reference numbered by lesion. Looks no farther than it must: dilation is slow."""
    numbered = np.zeros(reference.shape, dtype=np.int32)
    for whole in ndimage.find_objects(reference.astype(np.uint8)):
        box = _widened(whole, reach, reference.shape)
        surroundings = ndimage.binary_dilation(reference[box], reach)
        numbered[box] = ndimage.label(surroundings, NEIGHBOURS)[0] * reference[box]
    return numbered


def _reach(spacing_mm: Sequence[float]) -> Bool[np.ndarray, "*offset"]:
    """All steps of at most 3 mm along each axis and 6 mm together: at 1 mm, three rounds of 18 neighbours."""
    most = [int(ROUNDING * REACH_MM / step) for step in spacing_mm]
    offsets = np.meshgrid(*(np.arange(-count, count + 1) for count in most), indexing="ij")
    lengths = [np.abs(offset) * step for offset, step in zip(offsets, spacing_mm, strict=True)]
    within: np.ndarray = np.sum(lengths, axis=0) <= ROUNDING * 2 * REACH_MM
    return within


def _widened(box: tuple[slice, ...], reach: np.ndarray, shape: Sequence[int]) -> tuple[slice, ...]:
    """A box with room for the surroundings, within the image."""
    margins = [count // 2 for count in reach.shape]
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, size))
        for side, margin, size in zip(box, margins, shape, strict=True)
    )


def _near(lesion: np.ndarray, components: np.ndarray, box: tuple[slice, ...], reach: np.ndarray) -> set[int]:
    """The components that reach into the surroundings of a lesion."""
    surroundings = ndimage.binary_dilation(lesion[box], reach)
    return set(np.unique(components[box][surroundings]).tolist()) - {0}


def _mean(of_lesions: Sequence[float], false: int, *, of_false: float, of_nothing: float) -> float:
    count = len(of_lesions) + false
    return float((sum(of_lesions) + false * of_false) / count) if count else of_nothing
