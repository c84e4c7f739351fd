"""What all engines share: the weights that train, sums of them, and patients in chunks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor, nn

from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction
from dpmed.privacy.gradients import ClippedSum

Total = dict[str, Tensor]
Engine = Callable[[nn.Module, LossFunction, Iterable[PatientTensors], ClippingSpec, int], ClippedSum]
"""Network, loss, patients, clipping and how many patients at a time, to the clipped sum."""


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def zeros(weights: Mapping[str, Tensor]) -> Total:
    """A sum of nothing, for every weight."""
    return {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}


def chunks(patients: Iterable[PatientTensors], size: int) -> Iterator[list[PatientTensors]]:
    """`size` patients at a time, the last time perhaps fewer."""
    stream = iter(patients)
    while chunk := list(islice(stream, size)):
        yield chunk
