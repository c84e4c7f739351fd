"""A whole case to be judged or predicted on."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.core.manifest import Case
from dpmed.core.recipe import DataRecipe
from dpmed.data.pipeline import BACKGROUND
from dpmed.data.prepared import PreparedCase
from dpmed.data.tensors import WholeCase


def whole_case(case: Case, ready: PreparedCase, recipe: DataRecipe) -> WholeCase:
    """A prepared case, neither cropped nor augmented. Without masks the target is its label, 0 where it has none."""
    image, regions = ready.image.float(), ready.regions
    if recipe.spatial_dims == 3:
        image, regions = image[None], regions[None] if regions is not None else None
    target = regions.float() if regions is not None else torch.tensor([float(case.label or 0)])
    shown = image[:, 0] if recipe.spatial_dims == 2 else image[0, 0]
    judged = ready.tissue[:, 0] if recipe.slices == "content" else None
    return WholeCase(case, image, target, ready.spacing_mm, _grey(shown, BACKGROUND[case.intensity]), judged)


def _grey(image: Float[Tensor, "slice h w"], background: float) -> Float[np.ndarray, "slice height width"]:
    """Grey values from 0 to 1: air black, the brightest thousandth saturated."""
    values = image.numpy()
    low, high = np.quantile(values, (0, 0.999))
    grey: np.ndarray = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    grey[values == background] = 0
    return grey
