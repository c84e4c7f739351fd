"""Graphcore IPUs through PopTorch, which has an interpreter of its own: patients go there, sums come back.

Noise, ledger and optimizer stay here. What the device sums is checked before the first patient and after every call.
"""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.backends.base import Weights
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu.graph import graph_of
from dpmed.backends.ipu.process import START_SECONDS, Worker
from dpmed.backends.ipu.sdk import sdk_python
from dpmed.backends.ipu.selftest import self_test
from dpmed.backends.streams import chunks, trainable
from dpmed.core.errors import ConfigError, DeviceError, DpmedError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, check_private
from dpmed.privacy.clipping import l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

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


def check_settings(clipping: ClippingSpec, flags: HardwareFlags) -> None:
    """Raise `ConfigError` for what no IPU is asked to do."""
    if clipping.mode != "flat":
        raise ConfigError(
            f"an IPU clips flat, not {clipping.mode}", hint="--set privacy.clipping=flat, or --device cpu or cuda"
        )
    if flags.precision not in TOLERANCES:
        raise ConfigError(f"an IPU has no {flags.precision}", hint="--set hardware.precision=float32, or float16")


class IpuBackend:
    """The `Backend` of `ipu`; with an `offline` target, one that compiles and runs nothing."""

    def __init__(self, *, offline: int = 0) -> None:
        self._offline = offline

    def open(self, model: ModelSpec, task: TaskSpec, clipping: ClippingSpec, flags: HardwareFlags) -> None:
        """Start the worker and hand it the network. Raises `DeviceError`, or `ConfigError` for clipping."""
        check_settings(clipping, flags)
        if flags.threads:
            torch.set_num_threads(flags.threads)
        self._model = build(model)
        check_private(self._model)
        self._task, self._clipping, self._flags, self._spec = task, clipping, flags, model
        self._places = flags.ipu_device_iterations
        self._is_tested = False
        self._worker = Worker(sdk_python(flags), os.environ)
        try:
            self.versions = self._worker.greet()
            self._worker.ask("open", self._asked(), self._arrays(), seconds=START_SECONDS)
            self._require_same_network(
                synthetic_patients(
                    task, channels=model.in_channels, size=[32] * model.spatial_dims, draws=1, patients=1
                )
            )
        except DpmedError:
            self._worker.close()
            raise

    def load(self, weights: Weights) -> None:
        """Replace all weights, here and on the device."""
        self._model.load_state_dict(dict(weights), strict=True)
        self._worker.ask("load", arrays=self._arrays(), seconds=CALL_SECONDS)

    def clipped_sum(self, patients: Iterable[PatientTensors]) -> ClippedSum:
        """Sum of the patients' clipped gradients. Raises `DeviceError` for a sum that no such patients can have."""
        total = {name: np.zeros(weight.shape, np.float32) for name, weight in trainable(self._model).items()}
        count, loss_sum = 0, 0.0
        for chunk in chunks(patients, self._places):
            if not self._is_tested:
                self._test(chunk[0])
            values, losses = self._sum([patient for patient in chunk if _is_finite(patient)])
            for name, value in values.items():
                total[name] += value
            count += len(chunk)
            loss_sum += float(losses.sum())
        notes = CuratorNotes(patients=count, loss_sum=loss_sum, clipped=None)
        return ClippedSum({name: torch.from_numpy(v) for name, v in total.items()}, l2_bound(self._clipping), notes)

    def compile(self, patient: PatientTensors) -> None:
        """Compile for patients of this one's shape. Raises `DeviceError` where PopTorch refuses, or it does not fit."""
        self._worker.ask("compile", arrays=self._filled([patient], [1.0]), seconds=COMPILE_SECONDS)

    @torch.no_grad()
    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """Logits, on the CPU: a device compiled for training patient by patient has no program for it."""
        self._model.eval()
        logits: Tensor = self._model(image.float())
        return logits

    def close(self) -> None:
        """Let the device go."""
        self._worker.close()

    @property
    def engine(self) -> str:
        """What sums the gradients."""
        is_real = self.versions["has_hardware"] and not self._flags.ipu_model
        where = "an IPU" if is_real else "a simulated IPU"
        return f"nano on {where}, {self._places} patients a call"

    def _asked(self) -> dict[str, object]:
        is_half = self._flags.precision == "float16"
        return {
            "nodes": graph_of(self._model),
            "kind": self._task.kind,
            "clip_norm": self._bound,
            "loss_scale": HALF_SCALE if is_half else 1.0,
            "half": is_half,
            "device_iterations": self._places,
            "ipu_model": self._flags.ipu_model,
            "offline": self._offline,
            "cache": self._flags.ipu_cache,
            "memory_proportion": self._flags.ipu_memory_proportion,
        }

    @property
    def _bound(self) -> float:
        """What the device clips at; without a bound, what nothing reaches."""
        return l2_bound(self._clipping) or float(np.finfo(np.float32).max) / HALF_SCALE**2

    def _arrays(self) -> Arrays:
        return {name: weight.detach().float().numpy() for name, weight in trainable(self._model).items()}

    def _sum(self, patients: Sequence[PatientTensors]) -> tuple[Arrays, np.ndarray]:
        """Of some patients; one who makes it infinite is found by halving, and contributes nothing."""
        if not patients:
            return {}, np.zeros(0, np.float32)
        values, losses = self._call(patients, [1.0] * len(patients))
        norm = float(np.sqrt(sum(np.square(value, dtype=np.float64).sum() for value in values.values())))
        if not np.isfinite(norm):
            if len(patients) == 1:
                return {}, np.zeros(0, np.float32)
            half = len(patients) // 2
            (left, some), (right, others) = self._sum(patients[:half]), self._sum(patients[half:])
            return _added(left, right), np.concatenate([some, others])
        if norm > len(patients) * self._bound * (1 + SLACK):
            raise DeviceError(
                "the IPU returned a sum of gradients that so few patients cannot have; the step was not taken",
                hint="report this with the output of dpmed doctor; --device cpu or cuda goes on with --resume",
            )
        return values, losses

    def _filled(self, patients: Sequence[PatientTensors], factors: Sequence[float]) -> Arrays:
        """What one call takes. A program has a fixed number of places: those left over hold zeros, times zero."""
        first, missing = patients[0], self._places - len(patients)
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

    def _test(self, patient: PatientTensors) -> None:
        """On patients of the same shape as those that come: a program is compiled for one shape."""
        draws, channels, *size = patient.inputs.shape
        some = synthetic_patients(self._task, channels=channels, size=size, draws=draws, patients=2)
        weights = {name: weight.clone() for name, weight in self._model.state_dict().items()}
        # Other weights first: those that a program was compiled with might be all that ever reach the device.
        for share in (0.9, 1.0):
            self.load({name: share * weight for name, weight in weights.items()})
            self_test(
                self._call,
                self._model,
                self._task,
                some,
                clip_norm=l2_bound(self._clipping),
                places=self._places,
                tolerance=TOLERANCES[self._flags.precision],
            )
        self._is_tested = True

    def _require_same_network(self, patients: Sequence[PatientTensors]) -> None:
        image = patients[0].inputs
        _, answer = self._worker.ask("forward", arrays={"image": image.numpy()}, seconds=CALL_SECONDS)
        ours = self.predict(image)
        if not torch.allclose(torch.from_numpy(answer["logits"]), ours, rtol=1e-3, atol=1e-4):
            raise DeviceError(
                "the IPU worker's network is not the recipe's: their outputs differ",
                hint="report this with the versions of the SDK and of dpmed",
            )


def _added(left: Arrays, right: Arrays) -> Arrays:
    if not left or not right:
        return left or right
    return {name: value + right[name] for name, value in left.items()}


def _is_finite(patient: PatientTensors) -> bool:
    return bool(patient.inputs.isfinite().all() and patient.targets.isfinite().all())
