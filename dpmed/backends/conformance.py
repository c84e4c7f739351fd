"""Before each training: does this backend do what the plain loop does? A wrong one must not see a patient.

The check runs on synthetic patients, so nothing about the cohort can be learned from its outcome.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from dpmed.backends.base import Backend
from dpmed.backends.streams import trainable
from dpmed.core.errors import DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, Precision, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, loss_function

TOLERANCES: dict[Precision, float] = {"float64": 1e-9, "float32": 1e-2, "bfloat16": 0.1, "float16": 0.1}
"""Relative L2 distance allowed. Rounding alone stays near 1e-7 in float32, but can push an activation across the kink
of a ReLU, which moves a small network's gradient by up to 1e-3; clipping patients jointly moves it by about 1. In
bfloat16 a U-Net stays below 0.05; a network whose last layers normalise few values does not, and is refused."""

REPORT = "use --set hardware.engine=nano, and report this with the output of dpmed doctor"
CURES: dict[Precision, str] = {
    "float64": REPORT,
    "float32": REPORT,
    "bfloat16": "this network needs more digits: --set hardware.precision=float32",
    "float16": "this network needs more digits: --set hardware.precision=float32",
}

SMALL = 0.1
LARGEST_SIDE = 32
"""The check needs no larger image than this."""


def synthetic_patients(
    task: TaskSpec, *, channels: int, size: Sequence[int], draws: int, patients: int
) -> tuple[PatientTensors, ...]:
    """Random patients of the shape that training will use; half of the targets are positive."""
    generator = torch.Generator().manual_seed(0)

    def one(index: int) -> PatientTensors:
        inputs = torch.rand((draws, channels, *size), generator=generator)
        if task.kind == "classification":
            return PatientTensors(inputs, torch.full((draws,), float(index % 2)))
        shape = (draws, len(task.outputs), *size)
        return PatientTensors(inputs, (torch.rand(shape, generator=generator) > 0.5).float())

    return tuple(one(index) for index in range(patients))


def plain_gradient(model: torch.nn.Module, task: TaskSpec, patient: PatientTensors) -> dict[str, Tensor]:
    """One patient's gradient by textbook PyTorch."""
    model.zero_grad()
    loss_function(task)(model(patient.inputs), patient.targets).backward()  # type: ignore[no-untyped-call]
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def check_conformance(
    backend: Backend, *, model: ModelSpec, task: TaskSpec, flags: HardwareFlags, patients: tuple[PatientTensors, ...]
) -> None:
    """Compare the backend with the plain loop on two patients, in float64 and in the precision of `flags`.

    The clip norm of the check is half of the smaller gradient norm, so that both patients are clipped and joint
    clipping (the micro-batch fault) would show. A third patient with an infinite pixel must contribute nothing, and
    no patient at all must give zeros. An IPU has no float64, and is not asked for it. Raises `DeviceError`
    otherwise; leaves the backend closed.
    """
    has_doubles = flags.device != "ipu"
    reference = _everywhere(build(model).double())
    doubled = [PatientTensors(patient.inputs.double(), patient.targets.double()) for patient in patients[:2]]
    gradients = [plain_gradient(reference, task, patient) for patient in doubled]
    norms = [_norm(gradient.values()) for gradient in gradients]
    limit = max(min(norms) / 2, 1e-6)
    expected = {
        name: torch.stack([g[name] * (limit / n) for g, n in zip(gradients, norms, strict=True)]).sum(0)
        for name in gradients[0]
    }
    spoiled = PatientTensors(torch.full_like(patients[0].inputs, torch.inf), patients[0].targets)
    precisions: set[Precision] = {flags.precision, "float64"} if has_doubles else {flags.precision}
    for precision in sorted(precisions):
        in_precision = flags.model_copy(update={"precision": precision})
        backend.open(model, task, ClippingSpec(l2_clip_norm=limit), in_precision)
        backend.load(reference.state_dict())
        got = backend.clipped_sum((*patients[:2], spoiled)).values
        empty = backend.clipped_sum(()).values
        backend.close()
        error = _norm(got[name].double() - value for name, value in expected.items()) / _norm(expected.values())
        if not error <= TOLERANCES[precision] or got.keys() != expected.keys() or _norm(empty.values()) != 0:
            raise DeviceError(
                f"the {flags.engine} engine failed its self-check against the plain loop "
                f"(relative error {error:.1e} in {precision})",
                hint=CURES[precision],
            )


@torch.no_grad()
def _everywhere(model: torch.nn.Module) -> torch.nn.Module:
    """Without a trained weight that is zero all over: behind it no gradient would be seen, nor a fault in it."""
    for weight in trainable(model).values():
        if not weight.any():
            weight.uniform_(-SMALL, SMALL)
    return model


def _norm(tensors: Iterable[Tensor]) -> float:
    return float(torch.stack([tensor.double().square().sum() for tensor in tensors]).sum().sqrt())
