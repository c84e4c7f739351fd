"""What a network is trained to make small: one number per patient, the mean over that patient's draws."""

from collections.abc import Callable

from jaxtyping import Float
from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dpmed.core.specs import TaskSpec

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits and 0/1 targets of one patient's draws to a scalar, without branches that depend on the data."""

# One voxel in numerator and denominator: a draw without tumour has a finite, gentle gradient towards no tumour.
_dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)


def loss_function(task: TaskSpec) -> LossFunction:
    """The loss of a task, fit for `torch.func.vmap` and `grad`."""
    return _classification if task.kind == "classification" else _segmentation


def _classification(logits: Float[Tensor, "draw 1"], targets: Float[Tensor, "draw"]) -> Float[Tensor, ""]:
    """Cross-entropy of one logit per draw."""
    return binary_cross_entropy_with_logits(logits.squeeze(-1), targets)


def _segmentation(
    logits: Float[Tensor, "draw region *space"], targets: Float[Tensor, "draw region *space"]
) -> Float[Tensor, ""]:
    """Dice plus cross-entropy, region by region, since regions overlap."""
    dice: Tensor = _dice(logits, targets)
    return dice + binary_cross_entropy_with_logits(logits, targets)
