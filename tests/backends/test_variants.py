"""Variants of networks: every engine still agrees with the one-patient loop."""

import pytest
import torch

from dpmed.backends import open_backend
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.engines import nano
from dpmed.backends.fused import Fused, room
from dpmed.backends.fused.choice import Chooser
from dpmed.core.specs import ClippingSpec, HardwareFlags, LossSpec, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, loss_function

COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole_tumour", "enhancing_tumour"))
STANDARD, NORM_FREE = {"weight_standardization": True}, {"weight_standardization": True, "norm": "none"}
VARIANTS = [
    ("resnet10-gn", 2, STANDARD),
    ("resnet10-gn", 3, STANDARD),
    ("densenet-gn", 2, STANDARD),
    ("unet", 2, STANDARD),
    ("unet", 3, STANDARD),
    ("resnet10-gn", 2, NORM_FREE),
    ("resnet10-gn", 3, NORM_FREE),
    ("scattering", 2, {}),
    ("scattering", 3, {}),
]


class Forced(Chooser):
    """Always the same way, where a layer has it."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way

    def fastest(self, case, ways):
        self.chosen[case] = self.way if self.way in ways else next(iter(ways))
        return self.chosen[case]


def task_of(name: str) -> TaskSpec:
    return TUMOUR if name == "unet" else COVID


def spec_of(name: str, dims: int, variant: dict[str, object]) -> ModelSpec:
    outputs = len(task_of(name).outputs)
    return ModelSpec(name=name, spatial_dims=dims, in_channels=1, out_channels=outputs, width=4, **variant)


def patients(task: TaskSpec, dims: int, *, draws: int = 2) -> list[PatientTensors]:
    some = synthetic_patients(task, channels=1, size=[32] * dims, draws=draws, patients=3)
    return [PatientTensors(one.inputs.double(), one.targets.double()) for one in some]


def require_agreement(one, other) -> None:
    assert one.values.keys() == other.values.keys()
    scale = sum(value.square().sum() for value in other.values.values()).sqrt()
    error = sum((one.values[name] - value).square().sum() for name, value in other.values.items()).sqrt()
    assert error <= 1e-9 * scale


@pytest.mark.parametrize(("name", "dims", "variant"), VARIANTS)
@pytest.mark.parametrize("mode", ["flat", "per-layer"])
@pytest.mark.parametrize("engine", ["vmap", "fused"])
def test_every_engine_agrees_with_nano_in_float64(name, dims, variant, mode, engine):
    model, task = spec_of(name, dims, variant), task_of(name)
    torch.manual_seed(1)
    weights = build(model).double().state_dict()

    def total(way: str):
        flags = HardwareFlags(engine=way, precision="float64", nano_batch=2)
        backend = open_backend(
            "cpu", model=model, task=task, clipping=ClippingSpec(mode=mode, l2_clip_norm=0.1), flags=flags
        )
        backend.load(weights)
        return backend.clipped_sum(patients(task, dims)), backend.engine

    (found, told), (expected, _) = total(engine), total("nano")
    require_agreement(found, expected)
    assert "by vmap" not in told


@pytest.mark.parametrize("way", ["by patient", "grouped", "unfolded", "one by one"])
@pytest.mark.parametrize(("name", "dims"), [("unet", 2), ("unet", 3), ("resnet10-gn", 2)])
def test_every_way_of_the_fused_engine_gives_the_stored_weights_gradient(name, dims, way, monkeypatch):
    monkeypatch.setattr(room, "KEPT", 100.0)
    monkeypatch.setattr(room, "LAID_OUT", 100.0)
    torch.manual_seed(1)
    network, loss = build(spec_of(name, dims, STANDARD)).double(), loss_function(task_of(name))
    cohort, clipping = patients(task_of(name), dims), ClippingSpec(l2_clip_norm=0.1)
    fused = Fused(Forced(way))
    require_agreement(fused(network, loss, cohort, clipping, 2), nano(network, loss, cohort, clipping, 1))
    assert way in fused.chooser.chosen.values()


@pytest.mark.parametrize("engine", ["vmap", "fused"])
@pytest.mark.parametrize("name", ["unet", "resnet10-gn"])
def test_every_engine_agrees_on_a_weighted_loss(name, engine):
    loss = LossSpec(dice=0.5, cross_entropy=2.0, positive_weight=3.0)
    model, task = spec_of(name, 2, {}), task_of(name).model_copy(update={"loss": loss})
    torch.manual_seed(1)
    weights = build(model).double().state_dict()

    def total(way: str, task: TaskSpec):
        flags, clipping = HardwareFlags(engine=way, precision="float64", nano_batch=2), ClippingSpec(l2_clip_norm=0.1)
        backend = open_backend("cpu", model=model, task=task, clipping=clipping, flags=flags)
        backend.load(weights)
        return backend.clipped_sum(patients(task, 2))

    require_agreement(total(engine, task), total("nano", task))
    assert total(engine, task).notes.loss_sum != pytest.approx(total(engine, task_of(name)).notes.loss_sum, rel=0.1)


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
@pytest.mark.parametrize(("name", "variant"), [("unet", STANDARD), ("resnet10-gn", NORM_FREE)])
def test_half_precision_moves_the_sum_of_a_variant_by_a_few_per_cent(name, variant, engine):
    model, task = spec_of(name, 2, variant), task_of(name)
    torch.manual_seed(1)
    weights, some = build(model).state_dict(), synthetic_patients(task, channels=1, size=[32, 32], draws=2, patients=3)

    def total(way: str, precision: str):
        flags = HardwareFlags(engine=way, precision=precision)
        backend = open_backend("cpu", model=model, task=task, clipping=ClippingSpec(l2_clip_norm=0.1), flags=flags)
        backend.load(weights)
        return backend.clipped_sum(some).values

    half, full = total(engine, "bfloat16"), total("nano", "float32")
    scale = sum(value.square().sum() for value in full.values()).sqrt()
    error = sum((half[key] - value).square().sum() for key, value in full.items()).sqrt()
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert 1e-4 < float(error / scale) < 0.2
