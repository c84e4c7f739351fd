"""Before a patient is seen: does the compiled program clip patients one by one? On the device, in the run's shapes.

PopTorch's clipping is DP-SGD only without accumulation and replicas, and sums that stay on the device from patient to
patient could be lost or kept too long; neither would be noticed otherwise. The factor with which a patient's loss is
multiplied makes a gradient as large or as small as a check needs. What is expected comes from the vault's own `clip`.

| check | what would fail it |
|---|---|
| N copies of one patient with a large gradient sum to norm N times the bound | clipping once for all |
| the same for each weight that is past its own bound, where weights are clipped alone | a clip over all weights |
| that sum is N times the sum of one copy, to float32 | updates that are rounded or lost |
| two patients agree with the plain loop, the second with a gradient below the bound | a wrong gradient or factor |
| a place that is multiplied by zero adds nothing | padding that counts |
| the first call, made again, gives the same | probes that were not emptied, weights that moved |
| every loss is that of the plain loop | weights that moved between patients, patients that were exchanged |
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dpmed.backends.conformance import plain_gradient
from dpmed.core.errors import DeviceError
from dpmed.core.specs import ClippingSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import loss_function
from dpmed.privacy.clipping import clip, l2_bound
from dpmed.privacy.gradients import Named

LARGE, SMALL = 4.0, 0.5
"""Gradient norms of the checks, in clip norms."""
PAST = 1.5
"""How many times its bound a weight's gradient must be for its clipped norm to be known: no rounding brings it back."""
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
    clipping: ClippingSpec,
    places: int,
    tolerance: float,
) -> None:
    """Raise `DeviceError` for the first check that fails. `model` holds the weights that the device was given.

    Without a bound, for the non-private comparison, all gradients must come through as they are.
    """
    gradients = [plain_gradient(model, task, patient) for patient in patients]
    norms = [_norm(gradient.values()) for gradient in gradients]
    with torch.no_grad():
        values = [float(loss_function(task)(model(patient.inputs), patient.targets)) for patient in patients]
    unit = l2_bound(clipping) or 1.0
    sums: dict[str, Named] = {}
    for case in _cases(places):
        factors = [size * unit / norms[n] for n, size in zip(case.who, case.sizes, strict=True)]
        scaled = [_times(factor, gradients[n]) for n, factor in zip(case.who, factors, strict=True)]
        wanted = [clip(gradient, clipping)[0] for gradient in scaled]
        got, losses = call([patients[n] for n in case.who], factors)
        sums[case.name] = {name: torch.tensor(value) for name, value in got.items()}
        error = _norm(sums[case.name][name] - sum(one[name] for one in wanted) for name in gradients[0])
        expected = [factor * values[n] for n, factor in zip(case.who, factors, strict=True)]
        has_losses = np.allclose(losses, expected, rtol=tolerance, atol=tolerance * max(map(abs, expected)))
        if not error <= tolerance * unit * len(case.who) or not has_losses:
            raise _failed(case.name, error / unit)
    large = _times(LARGE * unit / norms[0], gradients[0])
    one, copies = sums["one patient"], sums["copies of one patient"]
    error = max(
        _norm(copies[name] - places * one[name] for name in one),
        *[abs(_norm(copies[name] for name in names) - places * bound) for names, bound in _bounded(large, clipping)],
    )
    most = 1.0 if l2_bound(clipping) else LARGE
    if not error <= EXACT * most * unit * places:
        raise _failed("exactness", error / unit)


def _bounded(gradient: Named, clipping: ClippingSpec) -> Iterator[tuple[list[str], float]]:
    """What has a bound that this gradient is well past, and the bound: all weights together, or some of them alone."""
    bound = l2_bound(clipping)
    if (
        bound is None or clipping.mode == "automatic"
    ):  # which scales to less than the bound, by a norm known here roughly
        yield [], 0.0
    elif clipping.mode == "flat":
        yield list(gradient), bound
    else:
        share = bound / math.sqrt(len(gradient))
        past = [name for name, value in gradient.items() if _norm([value]) > PAST * share]
        yield from (([name], share) for name in past)


def _times(factor: float, gradient: Named) -> Named:
    return {name: factor * value for name, value in gradient.items()}


def _failed(case: str, error: float) -> DeviceError:
    return DeviceError(
        f"the IPU failed its self-test on {case} (off by {error:.1e} clip norms): "
        "patients would not be clipped one by one, so nothing is trained",
        hint="report this with the versions of the SDK; --device cpu or cuda trains with the same guarantee",
    )


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors))
