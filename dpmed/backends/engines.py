"""Three ways to get the sum of clipped patient gradients out of PyTorch. Same numbers, different speed.

`nano` is the paper's loop (Lee, Krell et al., arXiv 2109.12191) with the patient as the example: one in flight,
clipped, added. It is the oracle for everything faster. `vmap` holds several patients in flight with `torch.func`,
`fused` with one ordinary forward and backward; each patient is still clipped alone.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from dpmed.backends.auto import Auto
from dpmed.backends.fused import Fused
from dpmed.backends.streams import Engine, Total, chunks, trainable, zeros
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction
from dpmed.privacy.clipping import clip, clip_batch, l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes


def nano(
    model: nn.Module, loss: LossFunction, patients: Iterable[PatientTensors], clipping: ClippingSpec, _: int
) -> ClippedSum:
    """One patient at a time: gradient of the mean loss over all its draws, clipped, added."""
    weights = trainable(model)
    total = zeros(weights)
    count = clipped = 0
    loss_sum = 0.0
    for patient in patients:
        value = loss(model(patient.inputs), patient.targets)
        gradients = torch.autograd.grad(value, list(weights.values()))
        bounded, was_clipped = clip(dict(zip(weights, gradients, strict=True)), clipping)
        _add(total, bounded)
        count += 1
        clipped += was_clipped
        loss_sum += float(value.detach())
    return ClippedSum(total, l2_bound(clipping), CuratorNotes(patients=count, loss_sum=loss_sum, clipped=clipped))


def vmapped(
    model: nn.Module,
    loss: LossFunction,
    patients: Iterable[PatientTensors],
    clipping: ClippingSpec,
    nano_batch: int,
) -> ClippedSum:
    """`nano_batch` patients at a time: one vectorised backward gives each its own gradient."""
    weights = {name: weight.detach() for name, weight in trainable(model).items()}
    frozen = {name: tensor for name, tensor in model.state_dict().items() if name not in weights}
    per_patient = vmap(grad_and_value(_loss_of_weights(model, loss, frozen)), in_dims=(None, 0, 0))
    total = zeros(weights)
    count = clipped = 0
    loss_sum = 0.0
    for chunk in chunks(patients, nano_batch):
        inputs = torch.stack([patient.inputs for patient in chunk])
        targets = torch.stack([patient.targets for patient in chunk])
        gradients, losses = per_patient(weights, inputs, targets)
        bounded, how_many = clip_batch(gradients, clipping)
        _add(total, bounded)
        count += len(chunk)
        clipped += how_many
        loss_sum += float(losses.sum())
    return ClippedSum(total, l2_bound(clipping), CuratorNotes(patients=count, loss_sum=loss_sum, clipped=clipped))


PLAIN: dict[str, Engine] = {"nano": nano, "vmap": vmapped}


def engine(name: str) -> Engine:
    """An engine by name, new: some remember what they measured."""
    if name == "auto":
        return Auto(PLAIN)
    return Fused() if name == "fused" else PLAIN[name]


def _loss_of_weights(
    model: nn.Module, loss: LossFunction, frozen: Mapping[str, Tensor]
) -> Callable[[Total, Tensor, Tensor], Tensor]:
    def compute(weights: Total, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(functional_call(model, {**weights, **frozen}, (inputs,)), targets)

    return compute


def _add(total: Total, gradient: Mapping[str, Tensor]) -> None:
    torch._foreach_add_(list(total.values()), [gradient[name] for name in total])
