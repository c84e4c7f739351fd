"""One worker with one copy of the network: tested before a patient is seen, checked after every call."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu.anatomy import taken_apart
from dpmed.backends.ipu.graph import check_explicit, graph_of
from dpmed.backends.ipu.memory import Sizes
from dpmed.backends.ipu.placement import placement_on
from dpmed.backends.ipu.process import START_SECONDS, Worker
from dpmed.backends.ipu.selftest import self_test
from dpmed.backends.streams import trainable
from dpmed.core.errors import DeviceError
from dpmed.core.sdk import sdk_python
from dpmed.core.specs import ClippingSpec, HardwareFlags, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.privacy.clipping import l2_bound

Arrays = dict[str, np.ndarray]
LOSSES = "losses/"
COMPILE_SECONDS, CALL_SECONDS = 7200.0, 600.0
TOLERANCES = {"float32": 1e-2, "float16": 0.1}
"""Of the self-test against this machine, in clip norms a patient: rounding may push a value across the kink of a ReLU.

Clipping patients together is off by about one."""
SLACK = 1e-4
"""By how much rounding may carry a sum past the number of patients times the bound."""
HALF_SCALE = 1024.0
"""Of the loss in float16, so that small gradients do not vanish; the bound is scaled with it."""


@dataclass(frozen=True)
class Job:
    """What all workers of a run are to do."""

    model: nn.Module
    """Here, with the weights that the devices have."""
    task: TaskSpec
    clipping: ClippingSpec
    flags: HardwareFlags
    offline: int = 0
    """PopTorch's number of an architecture to compile for and never run on; none for a device or the simulator."""

    @property
    def bound(self) -> float:
        """What the device clips at; without a bound, what nothing reaches."""
        return l2_bound(self.clipping) or float(np.finfo(np.float32).max) / HALF_SCALE**2

    @property
    def mode(self) -> str:
        """How the device clips; without a bound all ways are the same."""
        return self.clipping.mode if l2_bound(self.clipping) else "flat"

    def plan(self, ipus: Sequence[int]) -> dict[str, Any]:
        """All that decides what is compiled, apart from shapes."""
        is_half = self.flags.precision == "float16"
        return {
            "kind": self.task.kind,
            "trained": list(trainable(self.model)),
            "clipping": self.mode,
            "clip_norm": self.bound,
            "loss_scale": HALF_SCALE if is_half else 1.0,
            "half": is_half,
            "ipus": list(ipus),
            "ipu_count": self.flags.ipu_count,
            "recompute": self.flags.ipu_recompute,
            "device_iterations": self.flags.ipu_device_iterations,
            "ipu_model": self.flags.ipu_model,
            "offline": self.offline,
            "cache": self.flags.ipu_cache,
            "memory_proportion": self.flags.ipu_memory_proportion,
        }


class Program:
    """The worker, the network that it has, and what its device sums."""

    def __init__(self, job: Job) -> None:
        self._job, self._nodes = job, graph_of(job.model)
        if job.mode != "flat":
            check_explicit(self._nodes)
        self._worker = Worker(sdk_python(job.flags), os.environ)
        self._is_tested = False

    def open(self) -> dict[str, Any]:
        """Hand the network over; the versions on the other side."""
        versions = self._worker.greet()
        self._worker.ask("open", {"nodes": self._nodes}, arrays_of(self._job.model), seconds=START_SECONDS)
        return versions

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace all weights."""
        self._worker.ask("load", arrays=arrays, seconds=CALL_SECONDS)

    def require_same_network(self, patient: PatientTensors) -> None:
        """Raise `DeviceError` where the worker's network is not the one here."""
        _, answer = self._worker.ask("forward", arrays={"image": patient.inputs.numpy()}, seconds=CALL_SECONDS)
        with torch.no_grad():
            ours = self._job.model(patient.inputs)
        if not torch.allclose(torch.from_numpy(answer["logits"]), ours, rtol=1e-3, atol=1e-4):
            raise DeviceError(
                "the IPU worker's network is not the recipe's: their outputs differ",
                hint="report this with the versions of the SDK and of dpmed",
            )

    def test(self, patient: PatientTensors) -> None:
        """Compile for patients of this one's shape, and test on others of that shape. Raises `DeviceError`."""
        job = self._job
        self._plan(patient)
        draws, channels, *size = patient.inputs.shape
        some = synthetic_patients(job.task, channels=channels, size=size, draws=draws, patients=2)
        # Other weights first: those that a program was compiled with might be all that ever reach the device.
        for share in (0.9, 1.0):
            model = copy.deepcopy(job.model)
            torch._foreach_mul_([weight.data for weight in trainable(model).values()], share)
            self.load(arrays_of(model))
            self_test(
                self._call,
                model,
                job.task,
                some,
                clipping=job.clipping,
                places=job.flags.ipu_device_iterations,
                tolerance=TOLERANCES[job.flags.precision],
            )
        self._is_tested = True

    def compile(self, patient: PatientTensors) -> None:
        """Compile for patients of this one's shape, and run nothing."""
        self._plan(patient)
        self._worker.ask("compile", arrays=self._filled([patient], [1.0]), seconds=COMPILE_SECONDS)

    def _plan(self, patient: PatientTensors) -> None:
        flags = self._job.flags
        layers = taken_apart(self._job.model, self._job.task.kind, patient.inputs.shape, nodes=self._nodes).layers
        sizes = Sizes(half=flags.precision == "float16")
        placed = placement_on(layers, sizes, ipus=flags.ipu_count, recompute=flags.ipu_recompute)
        self._worker.ask("plan", self._job.plan(placed.ipus), seconds=CALL_SECONDS)

    def sum(self, patients: Sequence[PatientTensors]) -> tuple[Arrays, np.ndarray]:
        """Of some patients; one who makes it infinite is found by halving, and contributes nothing."""
        if not patients:
            return {}, np.zeros(0, np.float32)
        values, losses = self._call(patients, [1.0] * len(patients))
        if not np.isfinite(_norm(values.values())):
            if len(patients) == 1:
                return {}, np.zeros(0, np.float32)
            half = len(patients) // 2
            (left, some), (right, others) = self.sum(patients[:half]), self.sum(patients[half:])
            return added(left, right), np.concatenate([some, others])
        self._require_possible(values, len(patients))
        return values, losses

    def close(self) -> None:
        """Let the device go."""
        self._worker.close()

    def kill(self) -> None:
        """End the worker at once, whatever it does; who waits for an answer gets a `DeviceError`."""
        self._worker.kill()

    def _require_possible(self, values: Arrays, count: int) -> None:
        """No sum of so many clipped patients is longer than that; where weights are clipped alone, none of theirs."""
        share = 1 / np.sqrt(len(values)) if self._job.mode == "per-layer" else 1.0
        parts = [[value] for value in values.values()] if self._job.mode == "per-layer" else [values.values()]
        if max(map(_norm, parts)) > count * self._job.bound * share * (1 + SLACK):
            raise DeviceError(
                "the IPU returned a sum of gradients that so few patients cannot have; the step was not taken",
                hint="report this with the output of dpmed doctor; --device cpu or cuda goes on with --resume",
            )

    def _filled(self, patients: Sequence[PatientTensors], factors: Sequence[float]) -> Arrays:
        """What one call takes. A program has a fixed number of places: those left over hold zeros, times zero."""
        first, missing = patients[0], self._job.flags.ipu_device_iterations - len(patients)
        none = PatientTensors(torch.zeros_like(first.inputs), torch.zeros_like(first.targets))
        filled = [*patients, *[none] * missing]
        return {
            "images": torch.cat([patient.inputs for patient in filled]).float().numpy(),
            "targets": torch.cat([patient.targets for patient in filled]).float().numpy(),
            "factor": np.array([*factors, *[0.0] * missing], np.float32),
        }

    def _call(self, patients: Sequence[PatientTensors], factors: Sequence[float]) -> tuple[Arrays, np.ndarray]:
        """One call of the device."""
        arrays = self._filled(patients, factors)
        seconds = CALL_SECONDS if self._is_tested else COMPILE_SECONDS
        _, answer = self._worker.ask("sum", arrays=arrays, seconds=seconds)
        losses = answer.pop(LOSSES)[: len(patients)]
        return answer, losses


def arrays_of(model: nn.Module) -> Arrays:
    """All weights, by name."""
    return {name: weight.detach().float().numpy() for name, weight in model.named_parameters()}


def added(left: Arrays, right: Arrays) -> Arrays:
    """The sum of two, either of which may be of nobody."""
    if not left or not right:
        return left or right
    return {name: value + right[name] for name, value in left.items()}


def _norm(values: Any) -> float:
    return float(np.sqrt(sum(np.square(value, dtype=np.float64).sum() for value in values)))
