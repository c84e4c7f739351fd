"""Every gradient engine agrees with the one-patient loop, whatever the network, the clip and the batch."""

import pytest
import torch

from dpmed.backends import open_backend
from dpmed.backends.conformance import plain_gradient, synthetic_patients
from dpmed.backends.torch_backend import DTYPES
from dpmed.core.errors import DeviceError
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build
from dpmed.privacy.gradients import ClippedSum

COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole_tumour", "enhancing_tumour"))
NETWORKS = [
    ("resnet10-gn", 2, COVID),
    ("resnet10-gn", 3, COVID),
    ("densenet-gn", 2, COVID),
    ("unet", 2, TUMOUR),
    ("unet", 3, TUMOUR),
]
SIZES = {2: (32, 32), 3: (32, 32, 32)}


def _spec(name: str, dims: int, task: TaskSpec) -> ModelSpec:
    return ModelSpec(name=name, spatial_dims=dims, in_channels=1, out_channels=len(task.outputs), width=8)


def _sum(engine: str, model: ModelSpec, task: TaskSpec, patients, clipping, **flags) -> ClippedSum:
    backend = open_backend(
        "cpu", model=model, task=task, clipping=clipping, flags=HardwareFlags(engine=engine, **flags)
    )
    backend.load(_weights(model, flags.get("precision", "float32")))
    return backend.clipped_sum(patients)


def _weights(model: ModelSpec, precision: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {name: tensor.to(DTYPES[precision]) for name, tensor in build(model).state_dict().items()}


def _patients(task: TaskSpec, dims: int, *, draws: int, patients: int) -> tuple[PatientTensors, ...]:
    return synthetic_patients(task, channels=1, size=SIZES[dims], draws=draws, patients=patients)


def _distance(one: ClippedSum, other: ClippedSum) -> float:
    assert one.values.keys() == other.values.keys()
    squared = sum((one.values[name] - other.values[name]).square().sum() for name in one.values)
    return float((squared / sum(value.square().sum() for value in other.values.values())).sqrt())


@pytest.mark.parametrize(("name", "dims", "task"), NETWORKS)
@pytest.mark.parametrize("mode", ["flat", "per-layer", "automatic"])
@pytest.mark.parametrize("engine", ["vmap", "fused"])
def test_every_engine_agrees_with_nano_in_float64(name, dims, task, mode, engine):
    patients = _patients(task, dims, draws=2, patients=3)
    clipping = ClippingSpec(mode=mode, l2_clip_norm=0.1)
    model = _spec(name, dims, task)
    both = [_sum(e, model, task, patients, clipping, precision="float64", nano_batch=2) for e in (engine, "nano")]
    assert _distance(*both) < 1e-9
    assert both[0].notes.patients == both[1].notes.patients == 3
    assert both[0].notes.clipped == both[1].notes.clipped


@pytest.mark.parametrize(("name", "dims", "task"), NETWORKS)
@pytest.mark.parametrize("engine", ["vmap", "fused"])
@pytest.mark.parametrize("draws", [1, 4])
def test_every_engine_agrees_with_nano_in_float32(name, dims, task, engine, draws):
    patients = _patients(task, dims, draws=draws, patients=2)
    clipping = ClippingSpec(l2_clip_norm=0.1)
    both = [_sum(e, _spec(name, dims, task), task, patients, clipping) for e in (engine, "nano")]
    assert _distance(*both) < 1e-4


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
@pytest.mark.parametrize("draws", [1, 3])
def test_half_precision_moves_the_sum_of_a_unet_by_a_few_per_cent(dims, engine, draws):
    patients = _patients(TUMOUR, dims, draws=draws, patients=3)
    clipping, model = ClippingSpec(l2_clip_norm=0.1), _spec("unet", dims, TUMOUR)
    half = _sum(engine, model, TUMOUR, patients, clipping, precision="bfloat16")
    full = _sum("nano", model, TUMOUR, patients, clipping)
    assert {value.dtype for value in half.values.values()} == {torch.float32}
    assert 1e-4 < _distance(half, full) < 0.1


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_half_precision_clips_to_the_same_bound(engine):
    """Norms are taken in float32 of what is added up, so rounding cannot lift a patient over the bound."""
    model, clipping = _spec("unet", 2, TUMOUR), ClippingSpec(l2_clip_norm=0.05)
    for patient in _patients(TUMOUR, 2, draws=2, patients=3):
        alone = _sum(engine, model, TUMOUR, [patient], clipping, precision="bfloat16")
        norm = sum(value.double().square().sum() for value in alone.values.values()).sqrt()
        assert float(norm) <= 0.05 * (1 + 1e-5)


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_no_patient_gives_zeros_of_every_weight(engine):
    model = _spec("resnet10-gn", 2, COVID)
    total = _sum(engine, model, COVID, (), ClippingSpec(l2_clip_norm=1.0))
    assert total.values.keys() == dict(build(model).named_parameters()).keys()
    assert all(not value.any() for value in total.values.values())
    assert total.l2_bound == 1.0


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_the_sum_moves_by_at_most_its_bound_when_a_patient_joins(engine):
    model, clipping = _spec("unet", 2, TUMOUR), ClippingSpec(l2_clip_norm=0.05)
    patients = _patients(TUMOUR, 2, draws=2, patients=3)
    with_all, without = (_sum(engine, model, TUMOUR, group, clipping) for group in (patients, patients[:2]))
    moved = sum((with_all.values[n] - without.values[n]).square().sum() for n in with_all.values)
    assert 0 < float(moved.sqrt()) <= 0.05 * (1 + 1e-4)


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_a_patient_with_an_infinite_pixel_contributes_zero(engine):
    model, clipping = _spec("resnet10-gn", 2, COVID), ClippingSpec(l2_clip_norm=1.0)
    good, bad = _patients(COVID, 2, draws=2, patients=2)
    bad.inputs[0, 0, 3, 3] = torch.inf
    both = _sum(engine, model, COVID, (good, bad), clipping, nano_batch=2)
    alone = _sum(engine, model, COVID, (good,), clipping)
    assert _distance(both, alone) < 1e-5


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_without_a_clip_the_sum_is_the_plain_gradient(engine):
    model = _spec("resnet10-gn", 2, COVID)
    patients = _patients(COVID, 2, draws=3, patients=3)
    total = _sum(engine, model, COVID, patients, ClippingSpec(l2_clip_norm=None), precision="float64")
    reference = build(model).double()
    reference.load_state_dict(_weights(model, "float64"))
    doubled = [PatientTensors(p.inputs.double(), p.targets.double()) for p in patients]
    grads = [plain_gradient(reference, COVID, patient) for patient in doubled]
    for name, value in total.values.items():
        torch.testing.assert_close(value, sum(grad[name] for grad in grads), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("nano_batch", [1, 2, 7])
@pytest.mark.parametrize("engine", ["vmap", "fused"])
def test_nano_batch_never_changes_the_sum(nano_batch, engine):
    model, clipping = _spec("resnet10-gn", 2, COVID), ClippingSpec(l2_clip_norm=0.1)
    patients = _patients(COVID, 2, draws=2, patients=5)
    many, one = (
        _sum(engine, model, COVID, patients, clipping, nano_batch=n, precision="float64") for n in (nano_batch, 1)
    )
    assert _distance(many, one) < 1e-12


def test_a_missing_device_is_refused_not_replaced():
    model = _spec("resnet10-gn", 2, COVID)
    with pytest.raises(DeviceError, match="IPU"):
        open_backend("ipu", model=model, task=COVID)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="CUDA"):
            open_backend("cuda", model=model, task=COVID)
