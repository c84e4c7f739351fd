"""What a network is trained to make small: one number per patient, the mean over that patient's draws."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dpmed.core.specs import TaskSpec

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits and 0/1 targets of one patient's draws to a scalar, without branches that depend on the data."""

# One voxel in numerator and denominator: a draw without tumour has a finite, gentle gradient towards no tumour.
_dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)
_dice_of_each = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0, reduction="none")


def loss_function(task: TaskSpec) -> LossFunction:
    """The loss of a task, fit for `torch.func.vmap` and `grad`."""
    return _classification if task.kind == "classification" else _segmentation


def loss_of_each(
    loss: LossFunction, logits: Float[Tensor, "patient draw *output"], targets: Float[Tensor, "patient draw *target"]
) -> Float[Tensor, "patient"]:
    """Every patient's loss: one of ours is made for all at once, any other for one after another."""
    if loss is _segmentation:
        dice, entropy = _dice_of_each(logits.flatten(0, 1), targets.flatten(0, 1)), _entropies(logits, targets)
        return _mean_of_each(dice.unflatten(0, logits.shape[:2])) + _mean_of_each(entropy)
    if loss is _classification:
        return _mean_of_each(_entropies(logits.squeeze(-1), targets))
    return torch.stack([loss(*one) for one in zip(logits.unbind(), targets.unbind(), strict=True)])


def _classification(logits: Float[Tensor, "draw 1"], targets: Float[Tensor, "draw"]) -> Float[Tensor, ""]:
    """Cross-entropy of one logit per draw."""
    return binary_cross_entropy_with_logits(logits.squeeze(-1), targets)


def _segmentation(
    logits: Float[Tensor, "draw region *space"], targets: Float[Tensor, "draw region *space"]
) -> Float[Tensor, ""]:
    """Dice plus cross-entropy, region by region, since regions overlap."""
    dice: Tensor = _dice(logits, targets)
    return dice + binary_cross_entropy_with_logits(logits, targets)


def _entropies(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, targets, reduction="none")


def _mean_of_each(values: Float[Tensor, "patient *value"]) -> Float[Tensor, "patient"]:
    return values.flatten(1).mean(1)
