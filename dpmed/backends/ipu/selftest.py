"""Before a patient is seen: does the compiled program clip patients one by one? On the device, in the run's shapes.

PopTorch's clipping is DP-SGD only without accumulation and replicas, and an option that slipped would not be noticed
otherwise. The factor with which a patient's loss is multiplied makes a gradient as large or as small as a check needs.

| check | what would fail it |
|---|---|
| N copies of one patient with a large gradient sum to norm N times the bound | clipping once for all |
| that sum is N times the sum of one copy, to float32 | updates that are rounded or lost |
| two patients agree with the plain loop, the second with a gradient below the bound | a wrong gradient or factor |
| a place that is multiplied by zero adds nothing | padding that counts |
| the first call, made again, gives the same | probes that were not emptied, weights that moved |
| every loss is that of the plain loop | weights that moved between patients, patients that were exchanged |
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dpmed.backends.conformance import plain_gradient
from dpmed.core.errors import DeviceError
from dpmed.core.specs import TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import loss_function

LARGE, SMALL = 4.0, 0.5
"""Gradient norms of the checks, in clip norms."""
EXACT = 2e-5
"""Of a clip norm a patient: what float32 loses where no other machine is compared with."""
Sums = Mapping[str, np.ndarray]
Call = Callable[[Sequence[PatientTensors], Sequence[float]], tuple[Sums, np.ndarray]]
"""Patients and the factors of their losses, at most as many as one call takes: clipped sum and losses."""


@dataclass(frozen=True)
class _Case:
    """Who is in a call, by number, and the gradient norm that each is brought to, in clip norms."""

    name: str
    who: Sequence[int]
    sizes: Sequence[float]


def _cases(places: int) -> list[_Case]:
    one, copies = _Case("one patient", [0], [LARGE]), _Case("copies of one patient", [0] * places, [LARGE] * places)
    mixed = _Case("two patients", [1, 0][:places], [SMALL, LARGE][:places])
    padding = _Case("padding", [0, 1][:places], [0.0, LARGE][:places])
    return [copies, mixed, padding, one]


def self_test(
    call: Call,
    model: nn.Module,
    task: TaskSpec,
    patients: Sequence[PatientTensors],
    *,
    clip_norm: float | None,
    places: int,
    tolerance: float,
) -> None:
    """Raise `DeviceError` for the first check that fails. `model` holds the weights that the device was given.

    Without a `clip_norm`, for the non-private comparison, all gradients must come through as they are.
    """
    gradients = [plain_gradient(model, task, patient) for patient in patients]
    norms = [_norm(gradient.values()) for gradient in gradients]
    with torch.no_grad():
        values = [float(loss_function(task)(model(patient.inputs), patient.targets)) for patient in patients]
    unit, most = clip_norm or 1.0, 1.0 if clip_norm else LARGE
    sums: dict[str, dict[str, Tensor]] = {}
    for case in _cases(places):
        factors = [size * unit / norms[n] for n, size in zip(case.who, case.sizes, strict=True)]
        shares = [min(size, most) * unit / norms[n] for n, size in zip(case.who, case.sizes, strict=True)]
        got, losses = call([patients[n] for n in case.who], factors)
        sums[case.name] = {name: torch.tensor(value) for name, value in got.items()}
        error = _norm(
            sums[case.name][name] - sum(share * gradients[n][name] for n, share in zip(case.who, shares, strict=True))
            for name in gradients[0]
        )
        expected = [factor * values[n] for n, factor in zip(case.who, factors, strict=True)]
        has_losses = np.allclose(losses, expected, rtol=tolerance, atol=tolerance * max(map(abs, expected)))
        if not error <= tolerance * unit * len(case.who) or not has_losses:
            raise _failed(case.name, error / unit)
    one, copies = sums["one patient"], sums["copies of one patient"]
    error = _norm(copies[name] - places * one[name] for name in one)
    if clip_norm:
        error = max(error, abs(_norm(copies.values()) - places * clip_norm))
    if not error <= EXACT * most * unit * places:
        raise _failed("exactness", error / unit)


def _failed(case: str, error: float) -> DeviceError:
    return DeviceError(
        f"the IPU failed its self-test on {case} (off by {error:.1e} clip norms): "
        "patients would not be clipped one by one, so nothing is trained",
        hint="report this with the versions of the SDK; --device cpu or cuda trains with the same guarantee",
    )


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())
