"""One scan, read and brought through the pipeline of the training, without a file of it left behind."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float

from dpmed.core.manifest import Case
from dpmed.core.recipe import DataRecipe
from dpmed.data import WholeCase
from dpmed.data.grid import AFFINE
from dpmed.data.pipeline import pipeline
from dpmed.data.prepared import prepared
from dpmed.data.whole import whole_case
from dpmed.ingest.convert import Converter
from dpmed.ingest.detect import Kind
from dpmed.ingest.faces.policy import FacePolicy
from dpmed.ingest.jobs import Job
from dpmed.ingest.pixels.inspect import Policy, inspector
from dpmed.ingest.reasons import Refused
from dpmed.predict.inputs import Misfit
from dpmed.predict.request import Unfit


@dataclass(frozen=True)
class Reading:
    """A scan as the network sees it, and the two grids: what the network sees, and what came in.

    `network` leads from slice, row and column to millimetres, `grid` from the voxels of the input, of `shape`.
    """

    whole: WholeCase
    network: Float[np.ndarray, "4 4"]
    grid: Float[np.ndarray, "4 4"]
    shape: tuple[int, ...]


def read(job: Job, kind: Kind, recipe: DataRecipe, scratch: Path) -> Reading:
    """Through the same code as ingest and training. Raises `Refused` or `Misfit`; `scratch` is empty again after."""
    convert = Converter(scratch, kind, None, inspector(Policy.IGNORE), FacePolicy.IGNORE)
    with ExitStack() as left:
        outcome = convert(job)
        for name in outcome.sha256:
            left.callback((scratch / name).unlink)
        if outcome.reason is not None or outcome.geometry is None or outcome.intensity is None:
            assert outcome.reason is not None, "a case is whole or has a reason"
            raise Refused(outcome.reason)
        if outcome.intensity == "arbitrary" and recipe.modalities == ("ct",):
            raise Misfit(Unfit.UNIT)
        if recipe.spatial_dims == 3 and min(outcome.geometry.shape) == 1:
            raise Misfit(Unfit.SINGLE)
        case = Case(
            case=job.case,
            patient=job.patient,
            images=outcome.images,
            split="test",
            intensity=outcome.intensity,
            geometry=outcome.geometry,
            sha256=outcome.sha256,
        )
        item = pipeline(case, scratch, recipe, None)
        ready = prepared(item, recipe, case.intensity)
        grid = _grid(scratch / outcome.images[recipe.modalities[0]])
        return Reading(whole_case(case, ready, recipe), item[AFFINE], grid, case.geometry.shape)


def _grid(image: Path) -> Float[np.ndarray, "4 4"]:
    if image.suffix == ".png":
        return np.eye(4)
    return np.asarray(nib.Nifti1Image.from_filename(image).affine, dtype=np.float64)
