"""`--device ipu` against the stand-in: the sums of the plain loop, or no training at all."""

import os
import sys
from pathlib import Path

import pytest
import torch

from dpmed.backends import open_backend
from dpmed.backends.conformance import check_conformance, synthetic_patients
from dpmed.backends.ipu_backend import IpuBackend
from dpmed.core.errors import ConfigError, DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, LossSpec, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors

STANDIN = Path(__file__).parent / "standin"
PYTHON = os.environ.get("DPMED_IPU_PYTHON", sys.executable)
"""That of the worker: `make test-ipu-env` names one that PopTorch could be installed in."""
COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole", "core"))
SMALL = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=2)
TINY_UNET = ModelSpec(name="unet", spatial_dims=2, in_channels=1, out_channels=2, width=4)
CLIP = ClippingSpec(l2_clip_norm=0.05)
FLAGS = HardwareFlags(device="ipu", ipu_python=PYTHON, ipu_device_iterations=4, ipu_model=True)
REFUSED = (
    "clip-after-accumulation", "reduce-before-clip", "sums-before-clip", "replicas", "no-clip", "clip-per-tensor",
    "clip-twice-as-far", "clip-by-value", "normalizes", "clip-without-last", "keeps-momentum", "weight-decay",
    "wrong-sign", "mean-over-iterations", "drops-last-iteration", "runs-first-twice", "repeats-first", "inner-loss",
    "half-updates", "noisy-forward", "noisy-gradient", "dropped-output-mode", "shuffled-outputs", "stale-weights",
    "stale-device", "stale-parameters", "stale-buffers", "swapped-weights", "clip-a-hair-loose", "half-norm",
    "carries-gradient", "nan", "eight-iterations",
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("trapped_standin")


def _opened(model=SMALL, task=COVID, clipping=CLIP, flags=FLAGS):
    torch.manual_seed(0)
    backend = IpuBackend()
    backend.open(model, task, clipping, flags)
    return backend


def _patients(task, model, draws, count, side=32):
    size = [side] * model.spatial_dims
    return synthetic_patients(task, channels=model.in_channels, size=size, draws=draws, patients=count)


def _plain(backend, patients, model, task, clipping=CLIP):
    plain = open_backend("cpu", model=model, task=task, clipping=clipping, flags=HardwareFlags(engine="nano"))
    plain.load(backend._model.state_dict())
    return plain.clipped_sum(patients)


def _distance(got, want):
    square = sum(float((got.values[name] - value).double().square().sum()) for name, value in want.values.items())
    return square**0.5 / sum(float(value.double().square().sum()) for value in want.values.values()) ** 0.5


@pytest.mark.parametrize(
    ("name", "dims", "task", "draws"),
    [("resnet10-gn", 2, COVID, 4), ("densenet-gn", 2, COVID, 1), ("unet", 2, TUMOUR, 4), ("unet", 3, TUMOUR, 1)],
)
def test_sums_are_those_of_the_plain_loop(name, dims, task, draws):
    model = ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=len(task.outputs), width=4)
    backend = _opened(model, task)
    for count in (5, 0, 1):
        patients = _patients(task, model, draws, count, side=32 if dims == 2 else 16)
        got = backend.clipped_sum(patients)
        assert got.notes.patients == count
        assert got.l2_bound == CLIP.l2_clip_norm
        if count:
            assert _distance(got, _plain(backend, patients, model, task)) < 1e-5
        else:
            assert not any(value.any() for value in got.values.values())
    backend.close()


def test_a_batch_of_many_more_patients_than_places_is_whole():
    backend = _opened(TINY_UNET, TUMOUR)
    patients = _patients(TUMOUR, TINY_UNET, 1, 101)
    # Gradients of so many random patients cancel, so that float32 leaves the plain loop itself no more digits.
    assert _distance(backend.clipped_sum(patients), _plain(backend, patients, TINY_UNET, TUMOUR)) < 1e-4
    backend.close()


def test_a_patient_who_is_not_finite_contributes_nothing():
    backend = _opened()
    good = _patients(COVID, SMALL, 1, 3)
    bad = [PatientTensors(torch.full_like(good[0].inputs, value), good[0].targets) for value in (torch.inf, 3e38)]
    assert _distance(backend.clipped_sum((*good[:2], *bad, good[2])), backend.clipped_sum(good)) < 1e-6
    backend.close()


def test_without_a_bound_the_sum_is_the_plain_gradient():
    clipping = ClippingSpec(l2_clip_norm=None)
    backend = _opened(TINY_UNET, TUMOUR, clipping)
    patients = _patients(TUMOUR, TINY_UNET, 2, 3)
    assert _distance(backend.clipped_sum(patients), _plain(backend, patients, TINY_UNET, TUMOUR, clipping)) < 1e-5
    backend.close()


@pytest.mark.skipif("DPMED_IPU_PYTHON" in os.environ, reason="torch 2.0.1 has no half precision on a CPU")
def test_half_precision_is_near():
    backend = _opened(TINY_UNET, TUMOUR, flags=FLAGS.model_copy(update={"precision": "float16"}))
    patients = _patients(TUMOUR, TINY_UNET, 1, 3)
    assert 1e-6 < _distance(backend.clipped_sum(patients), _plain(backend, patients, TINY_UNET, TUMOUR)) < 0.05
    backend.close()


@pytest.mark.parametrize("mutant", REFUSED)
def test_a_poptorch_that_does_otherwise_is_refused_before_a_patient_is_seen(monkeypatch, mutant):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", mutant)
    places = 9 if mutant == "eight-iterations" else 4  # it stops after eight
    backend = _opened(flags=FLAGS.model_copy(update={"ipu_device_iterations": places}))
    with pytest.raises(DeviceError, match="self-test"):
        backend.clipped_sum(_patients(COVID, SMALL, 1, 1))
    backend.close()


def test_a_poptorch_that_clips_no_more_after_a_while_is_stopped_at_the_first_impossible_sum(monkeypatch):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "no-clip-later")
    backend = _opened()
    patients = _patients(COVID, SMALL, 1, 4)
    with pytest.raises(DeviceError, match="cannot have"):
        for _ in range(60):
            backend.clipped_sum(patients)
    backend.close()


@pytest.mark.parametrize(
    ("mutant", "words"), [("no-sdk", "ended"), ("out-of-memory", "memory"), ("dies", "ended"), ("no-device", "refused")]
)
def test_what_goes_wrong_there_is_told_here(monkeypatch, mutant, words):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", mutant)
    with pytest.raises(DeviceError, match=words) as told:
        _opened().clipped_sum(_patients(COVID, SMALL, 1, 1))
    assert told.value.hint


def test_a_worker_that_hangs_is_ended(monkeypatch):
    monkeypatch.setenv("DPMED_STANDIN_MUTANT", "hangs-at-compile")
    monkeypatch.setattr("dpmed.backends.ipu.program.COMPILE_SECONDS", 5.0)
    with pytest.raises(DeviceError, match="did not answer"):
        _opened().clipped_sum(_patients(COVID, SMALL, 1, 1))


def test_the_check_before_training_passes():
    patients = _patients(COVID, SMALL, 2, 2)
    check_conformance(IpuBackend(), model=SMALL, task=COVID, flags=FLAGS, patients=patients)


def test_another_precision_is_refused_not_replaced():
    with pytest.raises(ConfigError, match="no bfloat16"):
        _opened(flags=FLAGS.model_copy(update={"precision": "bfloat16"}))


def test_another_loss_is_refused_not_replaced():
    with pytest.raises(ConfigError, match="loss of weights 1"):
        _opened(task=COVID.model_copy(update={"loss": LossSpec(positive_weight=2)}))
