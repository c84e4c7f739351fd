"""Two ways to get the sum of clipped patient gradients out of PyTorch. Same numbers, different speed.

`nano` is the paper's loop (Lee, Krell et al., arXiv 2109.12191) with the patient as the example: one in flight,
clipped, added. It is the oracle for everything faster. `vmap` holds several patients in flight with `torch.func`;
each is still clipped alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction
from dpmed.privacy.clipping import clip, clip_batch, l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

Total = dict[str, Tensor]
Engine = Callable[[nn.Module, LossFunction, Iterable[PatientTensors], ClippingSpec, int], ClippedSum]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def nano(
    model: nn.Module, loss: LossFunction, patients: Iterable[PatientTensors], clipping: ClippingSpec, _: int
) -> ClippedSum:
    """One patient at a time: gradient of the mean loss over all its draws, clipped, added."""
    weights = trainable(model)
    total = _zeros(weights)
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
    per_patient = vmap(grad_and_value(_loss_of_weights(model, loss)), in_dims=(None, 0, 0))
    total = _zeros(weights)
    count = clipped = 0
    loss_sum = 0.0
    for chunk in _chunks(patients, nano_batch):
        inputs = torch.stack([patient.inputs for patient in chunk])
        targets = torch.stack([patient.targets for patient in chunk])
        gradients, losses = per_patient(weights, inputs, targets)
        bounded, how_many = clip_batch(gradients, clipping)
        _add(total, bounded)
        count += len(chunk)
        clipped += how_many
        loss_sum += float(losses.sum())
    return ClippedSum(total, l2_bound(clipping), CuratorNotes(patients=count, loss_sum=loss_sum, clipped=clipped))


ENGINES: dict[str, Engine] = {"nano": nano, "vmap": vmapped}


def _loss_of_weights(model: nn.Module, loss: LossFunction) -> Callable[[Total, Tensor, Tensor], Tensor]:
    frozen = {name: tensor for name, tensor in model.state_dict().items() if name not in trainable(model)}

    def compute(weights: Total, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(functional_call(model, {**weights, **frozen}, (inputs,)), targets)

    return compute


def _zeros(weights: Mapping[str, Tensor]) -> Total:
    return {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}


def _add(total: Total, gradient: Mapping[str, Tensor]) -> None:
    torch._foreach_add_(list(total.values()), [gradient[name] for name in total])


def _chunks(patients: Iterable[PatientTensors], size: int) -> Iterator[list[PatientTensors]]:
    stream = iter(patients)
    while chunk := list(islice(stream, size)):
        yield chunk
