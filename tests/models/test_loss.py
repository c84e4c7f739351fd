"""Losses: the mean over a patient's draws, by hand, and calm where there is no tumour."""

import math

import pytest
import torch
from torch import Tensor

from dpmed.core.specs import LossSpec, TaskSpec
from dpmed.models import loss_function, loss_of_each

classification = loss_function(TaskSpec(kind="classification", outputs=("covid",)))
segmentation = loss_function(TaskSpec(kind="segmentation", outputs=("a", "b")))

WEIGHTS = LossSpec(dice=0.5, cross_entropy=2.0, positive_weight=3.0)
weighted = loss_function(TaskSpec(kind="segmentation", outputs=("a", "b"), loss=WEIGHTS))
weighted_classification = loss_function(TaskSpec(kind="classification", outputs=("covid",), loss=WEIGHTS))
CLASSIFIES = (classification, weighted_classification)


def test_weights_scale_dice_and_cross_entropy_and_positives_by_hand() -> None:
    """Two pixels of probability 1/2, one of them tumour: each has entropy log 2, that of the tumour counts thrice."""
    logits, targets = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    dice = 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
    by_hand = 0.5 * dice + 2 * (3 + 1) / 2 * math.log(2)
    assert float(weighted(logits, targets)) == pytest.approx(by_hand, rel=1e-6)
    alone = float(weighted_classification(torch.zeros(2, 1), torch.tensor([1.0, 0.0])))
    assert alone == pytest.approx(2 * (3 + 1) / 2 * math.log(2), rel=1e-6)


def test_the_weight_of_positives_is_that_of_torch() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 1), torch.tensor([1.0, 0, 1, 1, 0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.squeeze(1), targets, pos_weight=torch.tensor(3.0)
    )
    assert float(weighted_classification(logits, targets)) == pytest.approx(2 * float(expected), rel=1e-6)


def test_classification_is_the_mean_cross_entropy_of_the_draws() -> None:
    logits, targets = torch.tensor([[0.0], [2.0]]), torch.tensor([1.0, 0.0])
    by_hand = (math.log(2) + math.log(1 + math.exp(2))) / 2
    assert float(classification(logits, targets)) == pytest.approx(by_hand, rel=1e-6)


def test_segmentation_is_dice_plus_cross_entropy_by_hand() -> None:
    """Two pixels of probability 1/2, one of them tumour: intersection 1/2, sizes 1 and 1, one voxel of smoothing."""
    logits, targets = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    dice = 1 - (2 * 0.5 + 1) / (1 + 1 + 1)
    assert float(segmentation(logits, targets)) == pytest.approx(dice + math.log(2), rel=1e-6)


def test_segmentation_averages_over_draws() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 2, 8, 8), (torch.rand(4, 2, 8, 8) > 0.7).float()
    each = [segmentation(logits[n : n + 1], targets[n : n + 1]) for n in range(4)]
    torch.testing.assert_close(segmentation(logits, targets), torch.stack(each).mean())


def gradient(logits: Tensor, targets: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    return torch.autograd.grad(segmentation(logits, targets), logits)[0]


@pytest.mark.parametrize("level", [-40.0, 0.0, 40.0])
def test_a_draw_without_tumour_has_a_finite_gradient(level: float) -> None:
    logits, nothing = torch.full((2, 2, 8, 8), level), torch.zeros(2, 2, 8, 8)
    assert segmentation(logits, nothing).isfinite()
    assert gradient(logits, nothing).isfinite().all()


def test_a_draw_without_tumour_pushes_towards_no_tumour() -> None:
    assert (gradient(torch.zeros(1, 2, 8, 8), torch.zeros(1, 2, 8, 8)) > 0).all()


def test_a_perfect_answer_costs_nothing() -> None:
    targets = (torch.rand(2, 2, 8, 8) > 0.5).float()
    assert float(segmentation(80 * (targets - 0.5), targets)) < 1e-6


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("space", [(8, 6), (4, 6, 5)])
@pytest.mark.parametrize(
    "loss", [*CLASSIFIES, segmentation, weighted, lambda logits, targets: (logits - targets).abs().max()]
)
def test_losses_of_many_patients_are_those_of_each_alone(loss, space, draws) -> None:
    torch.manual_seed(0)
    shape = (5, draws) if loss in CLASSIFIES else (5, draws, 2, *space)
    targets = (torch.rand(shape) > 0.5).double()
    logits = torch.randn((*shape, 1) if loss in CLASSIFIES else shape, dtype=torch.float64).requires_grad_()
    alone = torch.stack([loss(one, truth) for one, truth in zip(logits, targets, strict=True)])
    together = loss_of_each(loss, logits, targets)
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(losses.sum(), logits)[0] for losses in (together, alone)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-18)


def test_a_patient_who_is_not_finite_spoils_no_other_loss() -> None:
    logits, targets = torch.zeros(3, 2, 2, 8, 8), torch.ones(3, 2, 2, 8, 8)
    logits[1, 0, 0, 0, 0] = torch.nan
    logits.requires_grad_()
    losses = loss_of_each(segmentation, logits, targets)
    (gradients,) = torch.autograd.grad(losses.sum(), logits)
    assert losses.isfinite().tolist() == [True, False, True]
    assert gradients[[0, 2]].isfinite().all()
