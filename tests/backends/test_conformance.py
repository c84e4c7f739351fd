"""The self-check before training lets a right backend pass and stops every kind of wrong one."""

from collections.abc import Iterable

import pytest
import torch

from dpmed.backends.conformance import check_conformance, synthetic_patients
from dpmed.backends.torch_backend import TorchBackend
from dpmed.core.errors import DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.privacy.gradients import ClippedSum, CuratorNotes

TASK = TaskSpec(kind="classification", outputs=("covid",))
MODEL = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=4)


class ClipsTheBatch(TorchBackend):
    """The micro-batch fault: patients are clipped jointly."""

    def clipped_sum(self, patients: Iterable[PatientTensors]) -> ClippedSum:
        group = tuple(patients)
        if not group:
            return super().clipped_sum(group)
        joint = PatientTensors(torch.cat([p.inputs for p in group]), torch.cat([p.targets for p in group]))
        return super().clipped_sum((joint,))


class ForgetsToClip(TorchBackend):
    def open(self, model, task, clipping, flags):
        super().open(model, task, ClippingSpec(l2_clip_norm=None), flags)


class DropsAPatient(TorchBackend):
    def clipped_sum(self, patients):
        return super().clipped_sum(tuple(patients)[1:])


class NoisyWhenEmpty(TorchBackend):
    def clipped_sum(self, patients):
        group = tuple(patients)
        total = super().clipped_sum(group)
        if group:
            return total
        values = {name: torch.ones_like(value) for name, value in total.values.items()}
        return ClippedSum(values, total.l2_bound, CuratorNotes(patients=0, loss_sum=0.0, clipped=0))


def _check(backend: TorchBackend, engine: str) -> None:
    patients = synthetic_patients(TASK, channels=1, size=(24, 24), draws=2, patients=2)
    check_conformance(backend, model=MODEL, task=TASK, flags=HardwareFlags(engine=engine), patients=patients)


@pytest.mark.parametrize("engine", ["nano", "vmap"])
def test_a_right_backend_passes(engine):
    _check(TorchBackend("cpu"), engine)


@pytest.mark.parametrize("mutant", [ClipsTheBatch, ForgetsToClip, DropsAPatient, NoisyWhenEmpty])
def test_a_wrong_backend_is_stopped_before_it_sees_a_patient(mutant):
    with pytest.raises(DeviceError, match="self-check"):
        _check(mutant("cpu"), "nano")


def test_a_network_that_needs_more_digits_than_bfloat16_has_is_refused():
    """A ResNet that ends in one voxel: normalising eight values in three digits leaves nothing of the gradient."""
    model = ModelSpec(name="resnet10-gn", spatial_dims=3, in_channels=1, out_channels=1, width=8)
    flags = HardwareFlags(engine="fused", precision="bfloat16")
    patients = synthetic_patients(TASK, channels=1, size=(32, 32, 32), draws=1, patients=2)
    with pytest.raises(DeviceError, match="bfloat16") as caught:
        check_conformance(TorchBackend("cpu"), model=model, task=TASK, flags=flags, patients=patients)
    assert "float32" in caught.value.hint
