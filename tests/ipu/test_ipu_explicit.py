"""Clipping that PopTorch does not have: written out, it gives the sums of the plain loop, or nothing is trained."""

import os
import sys
from pathlib import Path

import pytest
import torch

from dpmed.backends import open_backend
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.errors import ConfigError, DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole", "core"))
SMALL = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=2)
TINY_UNET = ModelSpec(name="unet", spatial_dims=2, in_channels=1, out_channels=2, width=4)
LAYERS = ClippingSpec(mode="per-layer", l2_clip_norm=0.05)
FLAGS = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_device_iterations=4, ipu_model=True)
REFUSED = (
    "buffers-forget", "buffers-keep-first", "buffers-lose-last", "buffers-eight", "buffers-twice", "buffers-half",
    "buffers-merged", "repeats-first", "noisy-forward", "shuffled-outputs", "stale-weights", "stale-device",
    "stale-buffers", "swapped-weights", "nan",
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("trapped_standin")


def _opened(model=SMALL, task=COVID, clipping=LAYERS, **flags):
    torch.manual_seed(0)
    backend = IpuBackend()
    backend.open(model, task, clipping, FLAGS.model_copy(update=flags))
    return backend


def _patients(task, model, draws, count, side=32):
    size = [side] * model.spatial_dims
    return synthetic_patients(task, channels=model.in_channels, size=size, draws=draws, patients=count)


def _plain(backend, patients, model, task, clipping):
    plain = open_backend("cpu", model=model, task=task, clipping=clipping, flags=HardwareFlags(engine="nano"))
    plain.load(backend._model.state_dict())
    return plain.clipped_sum(patients)


def _distance(got, want):
    square = sum(float((got.values[name] - value).double().square().sum()) for name, value in want.values.items())
    return square**0.5 / sum(float(value.double().square().sum()) for value in want.values.values()) ** 0.5


@pytest.mark.parametrize(
    ("name", "dims", "task", "draws"),
    [("resnet10-gn", 2, COVID, 4), ("unet", 2, TUMOUR, 4), ("unet", 3, TUMOUR, 1)],
)
@pytest.mark.parametrize("mode", ["per-layer", "automatic"])
def test_sums_are_those_of_the_plain_loop(mode, name, dims, task, draws):
    model = ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=len(task.outputs), width=4)
    clipping = ClippingSpec(mode=mode, l2_clip_norm=0.05)
    backend = _opened(model, task, clipping)
    for count in (5, 0, 1):
        patients = _patients(task, model, draws, count, side=32 if dims == 2 else 16)
        got = backend.clipped_sum(patients)
        assert got.notes.patients == count
        assert got.l2_bound == clipping.l2_clip_norm
        if count:
            want = _plain(backend, patients, model, task, clipping)
            assert _distance(got, want) < 1e-5
            assert got.notes.loss_sum == pytest.approx(want.notes.loss_sum, rel=1e-5)
        else:
            assert not any(value.any() for value in got.values.values())
    backend.close()


def test_a_patient_who_is_not_finite_contributes_nothing():
    backend = _opened()
    good = _patients(COVID, SMALL, 1, 3)
    bad = [PatientTensors(torch.full_like(good[0].inputs, value), good[0].targets) for value in (torch.inf, 3e38)]
    assert _distance(backend.clipped_sum((*good[:2], *bad, good[2])), backend.clipped_sum(good)) < 1e-6
    backend.close()


@pytest.mark.skipif("DPMED_IPU_PYTHON" in os.environ, reason="torch 2.0.1 has no half precision on a CPU")
def test_half_precision_is_near():
    backend = _opened(TINY_UNET, TUMOUR, precision="float16")
    patients = _patients(TUMOUR, TINY_UNET, 1, 3)
    assert 1e-6 < _distance(backend.clipped_sum(patients), _plain(backend, patients, TINY_UNET, TUMOUR, LAYERS)) < 0.05
    backend.close()


@pytest.mark.parametrize("mutant", REFUSED)
def test_a_poptorch_that_does_otherwise_is_refused_before_a_patient_is_seen(monkeypatch, mutant):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", mutant)
    backend = _opened(ipu_device_iterations=9 if mutant == "buffers-eight" else 4)
    with pytest.raises(DeviceError, match="self-test"):
        backend.clipped_sum(_patients(COVID, SMALL, 1, 1))
    backend.close()


def test_activations_that_would_not_be_made_again_are_not_promised():
    with pytest.raises(ConfigError, match="keeps all activations"):
        _opened(ipu_recompute=True)
