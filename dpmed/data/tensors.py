"""What the pipeline hands to a backend and to the evaluation."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int32
from torch import Tensor

from dpmed.core.manifest import Case


@dataclass(frozen=True)
class PatientTensors:
    """All that one patient contributes to one step; their mean loss gives one gradient, clipped once.

    `targets` are 0/1: one number per draw (classification) or one map per region (segmentation).
    """

    inputs: Float[Tensor, "draw channel *space"]
    targets: Float[Tensor, "draw *target"]


@dataclass(frozen=True)
class WholeCase:
    """A whole case for evaluation, preprocessed like training but neither cropped nor augmented.

    `image` is what a network can be slid over: for 2-D recipes a batch of slices, for 3-D one volume. `target` is
    the 0/1 region masks on the same grid, or the label as a tensor with one element. `spacing_mm` is in array order
    of the last three axes (slice axis first for 2-D recipes of volumes; 1.0 where the source has none). `judged` are
    the slices that a 2-D answer about the whole is the mean of; None: all.
    """

    case: Case
    image: Float[Tensor, "batch channel *space"]
    target: Float[Tensor, "..."]
    spacing_mm: tuple[float, ...]
    display: Float[np.ndarray, "slice height width"]
    judged: Int32[Tensor, "judged"] | None = None
