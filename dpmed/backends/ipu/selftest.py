"""Before a patient is seen: does the compiled program clip patients one by one? On the device, in the run's shapes.

PopTorch's clipping is DP-SGD only without accumulation and replicas, and an option that slipped would not be noticed
otherwise. The factor with which a patient's loss is multiplied makes a gradient as large or as small as a check needs.

| check | what would fail it |
|---|---|
| N copies of one patient with a large gradient sum to norm N times the bound | clipping once for all |
| a small gradient comes through unclipped, a padded place adds nothing | a wrong factor, padding that counts |
| two different patients agree with the plain loop | a wrong gradient |
| the same call again gives the same | probes that were not emptied, weights that moved |
| N copies have N equal losses | weights that moved between patients |
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

LARGE, SMALL = 4.0, 0.5
"""Gradient norms of the checks, in clip norms."""
Sums = Mapping[str, np.ndarray]
Call = Callable[[Sequence[PatientTensors], Sequence[float]], tuple[Sums, np.ndarray]]
"""Patients and the factors of their losses, at most as many as one call takes: clipped sum and losses."""


@dataclass(frozen=True)
class _Case:
    name: str
    patients: Sequence[PatientTensors]
    sizes: Sequence[float]
    """Gradient norms to bring the patients to, in clip norms."""


def self_test(
    call: Call,
    model: nn.Module,
    task: TaskSpec,
    patients: Sequence[PatientTensors],
    *,
    clip_norm: float,
    places: int,
    tolerance: float,
) -> None:
    """Raise `DeviceError` for the first check that fails. `model` holds the weights that the device was given."""
    gradients = [plain_gradient(model, task, patient) for patient in patients]
    norms = [_norm(gradient.values()) for gradient in gradients]
    one = _Case("copies of one patient", [patients[0]] * places, [LARGE] * places)
    two = _Case("two patients", patients[:2], [LARGE, SMALL])
    for case in (one, two, two, one) if places > 1 else (_Case(one.name, patients[:1], [LARGE]),) * 2:
        which = [patients.index(patient) if patient in patients else 0 for patient in case.patients]
        factors = [size * clip_norm / norms[number] for number, size in zip(which, case.sizes, strict=True)]
        got, losses = call(case.patients, factors)
        shares = [clip_norm / norms[n] * min(size, 1.0) for n, size in zip(which, case.sizes, strict=True)]
        wanted = {
            name: torch.stack([share * gradients[n][name] for n, share in zip(which, shares, strict=True)]).sum(0)
            for name in gradients[0]
        }
        error = _norm(torch.from_numpy(np.array(got[name])) - wanted[name] for name in wanted) / _norm(wanted.values())
        is_even = case is two or float(np.ptp(losses[: len(which)])) <= tolerance * float(np.abs(losses).max())
        if not error <= tolerance or not is_even:
            raise DeviceError(
                f"the IPU failed its self-test on {case.name} (relative error {error:.1e}): patients would not be "
                "clipped one by one, so nothing is trained",
                hint="report this with the versions of the SDK; --device cpu or cuda trains with the same guarantee",
            )


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())
