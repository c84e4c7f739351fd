"""A trained network over whole cases, whatever their size, through the same backend that trained it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import sliding_window_inference
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import pad

from dpmed.backends import Backend
from dpmed.core.errors import MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.recipe import DataRecipe
from dpmed.data import WholeCase
from dpmed.data.pipeline import BACKGROUND

OVERLAP = 0.5
SLICES_AT_ONCE = 32
PATCHES_AT_ONCE = 4
NOT_OF_THE_RUN = "restore release/model.safetensors from a copy of this run"


class Predictor(Protocol):
    """The part of a backend that answers."""

    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """Logits for a batch of slices or patches."""
        ...


def load_weights(backend: Backend, run: RunFolder) -> None:
    """Give the released weights to a backend. Raises `MismatchError` if they are missing, damaged or of another run."""
    if not run.model.is_file():
        raise MismatchError("the run has no weights yet: it was not finished", hint="dpmed train ... --resume")
    try:
        backend.load(load_file(run.model))
    except SafetensorError:
        raise MismatchError("model.safetensors is damaged", hint=NOT_OF_THE_RUN) from None
    except RuntimeError:  # torch's answer to names or shapes that differ
        raise MismatchError("model.safetensors does not fit the run's configuration", hint=NOT_OF_THE_RUN) from None


def probabilities(backend: Predictor, case: WholeCase, recipe: DataRecipe) -> Float[Tensor, "view"]:
    """The probability of the positive class in each slice (2-D), or in each patch of a grid half overlapping (3-D)."""
    views = case.image if recipe.spatial_dims == 2 else _patches(case, recipe)
    at_once = SLICES_AT_ONCE if recipe.spatial_dims == 2 else PATCHES_AT_ONCE
    logits = torch.cat([backend.predict(views[start : start + at_once]) for start in range(0, len(views), at_once)])
    return torch.sigmoid(_numbers(logits)).squeeze(1)


def mean_probability(rated: Float[Tensor, "view"], case: WholeCase) -> float:
    """A case's probability: the mean over its slices or patches, or over those slices that training draws from."""
    chosen = rated if case.judged is None else rated[case.judged.long()]
    return min(float(chosen.double().mean()), 1.0)


def regions(backend: Predictor, case: WholeCase, recipe: DataRecipe) -> Bool[Tensor, "region slice row column"]:
    """The voxels that belong to each region by a probability above one half."""
    return region_logits(backend, case, recipe) > 0


def region_logits(backend: Predictor, case: WholeCase, recipe: DataRecipe) -> Float[Tensor, "region slice row column"]:
    """The log odds of each voxel to belong to each region."""
    if recipe.spatial_dims == 3:
        return _numbers(_slid(backend, case, recipe))[0]
    batches = torch.split(case.image, SLICES_AT_ONCE)
    return torch.cat([_numbers(backend.predict(batch)) for batch in batches]).transpose(0, 1)


def views(case: WholeCase, recipe: DataRecipe) -> int:
    """How many slices or patches the network looks at: so many pass through `Backend.predict`."""
    return len(case.image) if recipe.spatial_dims == 2 else len(_places(case.image.shape[2:], recipe.image_size))


def reference(case: WholeCase, recipe: DataRecipe) -> Bool[Tensor, "region slice row column"]:
    """The regions as the experts drew them, laid out like `regions`."""
    return case.target.transpose(0, 1) > 0 if recipe.spatial_dims == 2 else case.target[0] > 0


def _slid(backend: Predictor, case: WholeCase, recipe: DataRecipe) -> Tensor:
    """Patches of the training size, half overlapping, blended with a Gaussian so that seams do not show."""
    logits = sliding_window_inference(
        case.image,
        recipe.image_size,
        PATCHES_AT_ONCE,
        backend.predict,
        overlap=OVERLAP,
        mode="gaussian",
        cval=BACKGROUND[case.case.intensity],
    )
    assert isinstance(logits, Tensor)
    return logits


def _patches(case: WholeCase, recipe: DataRecipe) -> Float[Tensor, "patch channel *space"]:
    """A volume, padded to the patch size where smaller, cut into patches that half overlap."""
    size = recipe.image_size
    missing = [max(wanted - there, 0) for wanted, there in zip(size, case.image.shape[2:], strict=True)]
    margins = [side for lack in reversed(missing) for side in (lack // 2, lack - lack // 2)]
    volume = pad(case.image, margins, value=BACKGROUND[case.case.intensity])[0]
    return torch.stack([volume[(slice(None), *place)] for place in _places(volume.shape[1:], size)])


def _places(shape: Sequence[int], size: Sequence[int]) -> list[tuple[slice, ...]]:
    """A grid of half overlapping patches over a volume, or over what it is padded to."""
    strides = [max(1, int(wanted * (1 - OVERLAP))) for wanted in size]
    return list(dense_patch_slices([max(*pair) for pair in zip(shape, size, strict=True)], size, strides))


def _numbers(logits: Tensor) -> Tensor:
    if not bool(torch.isfinite(logits).all()):
        raise MismatchError(
            "the network answers with values that are not numbers: its training diverged",
            hint="train again with a smaller optimizer.learning_rate",
        )
    return logits
