"""Graphcore IPUs through PopTorch, which has an interpreter of its own: patients go there, sums come back.

Noise, ledger and optimizer stay here. What the device sums is checked before the first patient and after every call.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dpmed.backends.base import Weights
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu.crew import Crew
from dpmed.backends.ipu.program import TOLERANCES, Job, arrays_of
from dpmed.backends.streams import chunks, trainable
from dpmed.core.errors import ConfigError, DpmedError
from dpmed.core.specs import ClippingSpec, HardwareFlags, LossSpec, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, check_private
from dpmed.privacy.clipping import l2_bound
from dpmed.privacy.gradients import ClippedSum, CuratorNotes


class IpuBackend:
    """The `Backend` of `ipu`; with an `offline` target, one that compiles and runs nothing."""

    def __init__(self, *, offline: int = 0) -> None:
        self._offline = offline

    def open(self, model: ModelSpec, task: TaskSpec, clipping: ClippingSpec, flags: HardwareFlags) -> None:
        """Start the workers and hand them the network. Raises `DeviceError`, or `ConfigError` for flags."""
        check_settings(clipping, flags, task)
        if flags.threads:
            torch.set_num_threads(flags.threads)
        self._model = build(model)
        check_private(self._model)
        self._job = Job(self._model, task, clipping, flags, self._offline)
        self._is_tested = False
        self._crew = Crew(self._job)
        try:
            (patient,) = synthetic_patients(
                task, channels=model.in_channels, size=[32] * model.spatial_dims, draws=1, patients=1
            )
            self._crew.require_same_network(patient)
        except DpmedError:
            self._crew.close()
            raise

    def load(self, weights: Weights) -> None:
        """Replace all weights, here and on the devices."""
        self._model.load_state_dict(dict(weights), strict=True)
        self._crew.load(arrays_of(self._model))

    def clipped_sum(self, patients: Iterable[PatientTensors]) -> ClippedSum:
        """Sum of the patients' clipped gradients. Raises `DeviceError` for a sum that no such patients can have.

        Parts are added in the order of the patients, whichever worker was done first.
        """
        total = {name: np.zeros(weight.shape, np.float32) for name, weight in trainable(self._model).items()}
        count, loss_sum = 0, 0.0
        for chunk in chunks(patients, self._crew.places):
            if not self._is_tested:
                self._crew.test(chunk[0])
                self._is_tested = True
            for values, losses in self._crew.sums([patient for patient in chunk if _is_finite(patient)]):
                for name, value in values.items():
                    total[name] += value
                loss_sum += float(losses.sum())
            count += len(chunk)
        notes = CuratorNotes(patients=count, loss_sum=loss_sum, clipped=None)
        bound = l2_bound(self._job.clipping)
        return ClippedSum({name: torch.from_numpy(value) for name, value in total.items()}, bound, notes)

    def compile(self, patient: PatientTensors) -> None:
        """Compile for patients of this one's shape. Raises `DeviceError` where PopTorch refuses, or it does not fit."""
        self._crew.compile(patient)

    @torch.no_grad()
    def predict(self, image: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch output *space"]:
        """Logits, on the CPU: a device compiled for training patient by patient has no program for it."""
        self._model.eval()
        logits: Tensor = self._model(image.float())
        return logits

    def close(self) -> None:
        """Let the devices go."""
        self._crew.close()

    @property
    def engine(self) -> str:
        """What sums the gradients."""
        flags = self._job.flags
        is_real = self._crew.versions["has_hardware"] and not flags.ipu_model
        count = flags.ipu_count * flags.ipu_workers
        kind = "IPU" if is_real else "simulated IPU"
        where = f"{count} {kind}s" if count > 1 else ("an " if is_real else "a ") + kind
        return f"nano on {where}, {self._crew.places} patients a call"


def check_settings(clipping: ClippingSpec, flags: HardwareFlags, task: TaskSpec) -> None:
    """Raise `ConfigError` for what no IPU is asked to do."""
    if task.loss != LossSpec():
        raise ConfigError("an IPU has the loss of weights 1 alone", hint="leave out [loss], or --device cpu or cuda")
    if flags.precision not in TOLERANCES:
        raise ConfigError(f"an IPU has no {flags.precision}", hint="--set hardware.precision=float32, or float16")
    if flags.ipu_recompute and clipping.mode != "flat" and clipping.l2_clip_norm is not None:
        raise ConfigError(
            f"{clipping.mode} clipping on an IPU keeps all activations: PopART merges what would be computed twice",
            hint="--set privacy.clipping=flat, or --set hardware.ipu_recompute=false with a larger hardware.ipu_count",
        )


def _is_finite(patient: PatientTensors) -> bool:
    return bool(patient.inputs.isfinite().all() and patient.targets.isfinite().all())
