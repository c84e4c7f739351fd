"""Which slices of a volume show most of what is looked for, by a rule that knows one volume alone.

Nothing is fitted to a cohort and nobody's labels are used, so the choice costs no privacy (promise 5).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import label
from torch import Tensor

from dpmed.core.manifest import Intensity
from dpmed.core.recipe import DataRecipe

SHARE = 0.5
"""Of what the fullest slice shows: so much a slice has to show."""
AIR_HU = -400.0
"""Lung is below it, and every soft tissue above."""
IN_PLANE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])
"""Pixels of a slice that share a side belong together; slices do not."""


def fullest(
    image: Float[Tensor, "channel slice row column"], inside: Bool[Tensor, "slice row column"], *, level: float | None
) -> Bool[Tensor, "slice"]:
    """The slices that show at least half of what the fullest one shows.

    With a `level` that is the air which tissue encloses in the plane, such as lung; without one, or where there is no
    such air, all that is `inside`.
    """
    shown = inside.flatten(1).sum(1) if level is None else _enclosed(image[0].numpy() <= level)
    if not shown.any():
        shown = inside.flatten(1).sum(1)
    return shown >= SHARE * shown.max()


def air_level(intensity: Intensity, recipe: DataRecipe) -> float | None:
    """Where air begins in a normalised CT; None for images whose numbers have no such meaning."""
    if intensity != "hounsfield":
        return None
    low, high = recipe.window_hu
    return max(-1.0, min(1.0, 2 * (AIR_HU - low) / (high - low) - 1))


def _enclosed(air: Bool[np.ndarray, "slice row column"]) -> Float[Tensor, "slice"]:
    """How many pixels of air do not reach the edge of their slice."""
    numbers, _ = label(air, structure=IN_PLANE)
    edges = (numbers[:, 0], numbers[:, -1], numbers[:, :, 0], numbers[:, :, -1])
    outside = np.unique(np.concatenate([edge.ravel() for edge in edges]))
    return torch.from_numpy((air & ~np.isin(numbers, outside)).sum((1, 2)))
