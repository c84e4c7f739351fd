"""What a network is trained to make small: one number per patient, the mean over that patient's draws."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from monai.losses.dice import DiceLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dpmed.core.specs import LossSpec, TaskSpec

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Logits and 0/1 targets of one patient's draws to a scalar, without branches that depend on the data."""

# One voxel in numerator and denominator: a draw without tumour has a finite, gentle gradient towards no tumour.
_dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)
_dice_of_each = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0, reduction="none")


def loss_function(task: TaskSpec) -> LossFunction:
    """The loss of a task, fit for `torch.func.vmap` and `grad`."""
    return _Classification(task.loss) if task.kind == "classification" else _Segmentation(task.loss)


def loss_of_each(
    loss: LossFunction, logits: Float[Tensor, "patient draw *output"], targets: Float[Tensor, "patient draw *target"]
) -> Float[Tensor, "patient"]:
    """Every patient's loss: one of ours is made for all at once, any other for one after another."""
    if isinstance(loss, _Segmentation | _Classification):
        return loss.of_each(logits, targets)
    return torch.stack([loss(*one) for one in zip(logits.unbind(), targets.unbind(), strict=True)])


@dataclass(frozen=True)
class _Classification:
    """Cross-entropy of one logit per draw."""

    weights: LossSpec

    def __call__(self, logits: Float[Tensor, "draw 1"], targets: Float[Tensor, "draw"]) -> Float[Tensor, ""]:
        return _entropies(self.weights, logits.squeeze(-1), targets).mean()

    def of_each(
        self, logits: Float[Tensor, "patient draw 1"], targets: Float[Tensor, "patient draw"]
    ) -> Float[Tensor, "patient"]:
        """Of all patients at once."""
        return _mean_of_each(_entropies(self.weights, logits.squeeze(-1), targets))


@dataclass(frozen=True)
class _Segmentation:
    """Dice plus cross-entropy, region by region, since regions overlap."""

    weights: LossSpec

    def __call__(
        self, logits: Float[Tensor, "draw region *space"], targets: Float[Tensor, "draw region *space"]
    ) -> Float[Tensor, ""]:
        dice: Tensor = _dice(logits, targets)
        return self.weights.dice * dice + _entropies(self.weights, logits, targets).mean()

    def of_each(
        self,
        logits: Float[Tensor, "patient draw region *space"],
        targets: Float[Tensor, "patient draw region *space"],
    ) -> Float[Tensor, "patient"]:
        """Of all patients at once."""
        dice = _dice_of_each(logits.flatten(0, 1), targets.flatten(0, 1)).unflatten(0, logits.shape[:2])
        return self.weights.dice * _mean_of_each(dice) + _mean_of_each(_entropies(self.weights, logits, targets))


def _entropies(weights: LossSpec, logits: Tensor, targets: Tensor) -> Tensor:
    """Weighted cross-entropies, one for each target."""
    entropies = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if weights.positive_weight != 1:
        entropies = entropies * (1 + (weights.positive_weight - 1) * targets)
    return weights.cross_entropy * entropies


def _mean_of_each(values: Float[Tensor, "patient *value"]) -> Float[Tensor, "patient"]:
    return values.flatten(1).mean(1)
