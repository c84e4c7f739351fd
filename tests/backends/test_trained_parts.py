"""Frozen weights are left out of gradient, clipping and sum by every engine, and cost no backward."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from dpmed.backends import open_backend
from dpmed.backends.capacity import most_at_once
from dpmed.backends.conformance import check_conformance, plain_gradient, synthetic_patients
from dpmed.backends.torch_backend import TorchBackend
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, loss_function, trained_weights

COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole_tumour", "enhancing_tumour"))
NETWORKS = [("resnet10-gn", 2, COVID), ("densenet-gn", 2, COVID), ("unet", 2, TUMOUR), ("unet", 3, TUMOUR)]
KINDS = ["head", "norms", "last-2", "low-rank"]
SIDES = {2: (32, 32), 3: (16, 16, 16)}


def spec(name, dims, task, trained):
    outputs = len(task.outputs)
    return ModelSpec(name=name, spatial_dims=dims, in_channels=1, out_channels=outputs, width=8, trained=trained)


def patients(task, dims, *, count=3, draws=2):
    return synthetic_patients(task, channels=1, size=SIDES[dims], draws=draws, patients=count)


def weights(model):
    """None of them zero, so that no gradient is zero by chance of the start."""
    torch.manual_seed(1)
    made = build(model).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return made.state_dict()


def clipped_sum(engine, model, task, cohort, clipping):
    flags = HardwareFlags(engine=engine, precision="float64", nano_batch=2)
    backend = open_backend("cpu", model=model, task=task, clipping=clipping, flags=flags)
    backend.load(weights(model))
    return backend.clipped_sum(cohort)


def distance(one, other):
    assert one.keys() == other.keys()
    return float(
        torch.stack([(one[name] - other[name]).square().sum() for name in one]).sum().sqrt()
        / torch.stack([value.square().sum() for value in other.values()]).sum().sqrt()
    )


@pytest.mark.parametrize(("name", "dims", "task"), NETWORKS)
@pytest.mark.parametrize("trained", KINDS)
@pytest.mark.parametrize("mode", ["flat", "per-layer", "automatic"])
def test_every_engine_agrees_with_nano_in_float64_whatever_is_trained(name, dims, task, trained, mode):
    model, clipping = spec(name, dims, task, trained), ClippingSpec(mode=mode, l2_clip_norm=0.1)
    wanted = clipped_sum("nano", model, task, patients(task, dims), clipping)
    assert tuple(wanted.values) == trained_weights(build(model))
    for engine in ("vmap", "fused", "auto"):
        found = clipped_sum(engine, model, task, patients(task, dims), clipping)
        assert distance(found.values, wanted.values) < 1e-9
        assert found.notes.clipped == wanted.notes.clipped


@pytest.mark.parametrize("trained", KINDS)
def test_a_part_has_the_gradient_that_it_has_in_the_whole_network(trained):
    model = spec("resnet10-gn", 2, COVID, trained)
    cohort = [PatientTensors(p.inputs.double(), p.targets.double()) for p in patients(COVID, 2)]
    total = clipped_sum("fused", model, COVID, cohort, ClippingSpec(l2_clip_norm=None)).values
    reference = build(model).double()
    reference.load_state_dict(weights(model))
    reference.requires_grad_(True)
    grads = [plain_gradient(reference, COVID, patient) for patient in cohort]
    for name, value in total.items():
        torch.testing.assert_close(value, sum(grad[name] for grad in grads), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("engine", ["nano", "vmap", "fused"])
def test_the_norm_that_is_clipped_is_that_of_the_trained_weights_alone(engine):
    model = spec("resnet10-gn", 2, COVID, "head")
    (patient,) = patients(COVID, 2, count=1)
    free = clipped_sum(engine, model, COVID, [patient], ClippingSpec(l2_clip_norm=None)).values
    norm = float(torch.stack([value.square().sum() for value in free.values()]).sum().sqrt())
    unmoved = clipped_sum(engine, model, COVID, [patient], ClippingSpec(l2_clip_norm=1.01 * norm))
    assert unmoved.notes.clipped == 0
    assert distance(unmoved.values, free) < 1e-9


@pytest.mark.parametrize("trained", KINDS)
@pytest.mark.parametrize("engine", ["vmap", "fused"])
def test_the_check_before_training_knows_parts(trained, engine):
    check_conformance(
        TorchBackend("cpu"),
        model=spec("unet", 2, TUMOUR, trained),
        task=TUMOUR,
        flags=HardwareFlags(engine=engine),
        patients=patients(TUMOUR, 2, count=2),
    )


@pytest.mark.parametrize("engine", ["nano", "fused"])
def test_nothing_is_kept_for_a_backward_below_the_first_trained_layer(engine):
    """Every tensor that autograd saves belongs to the head: features and logits, never an image or a feature map."""
    saved = []

    def keep(one):
        saved.append(one.dim())
        return one

    flags, cohort = HardwareFlags(engine=engine), patients(COVID, 2, draws=1)
    backend = open_backend("cpu", model=spec("resnet10-gn", 2, COVID, "head"), task=COVID, flags=flags)
    backend.clipped_sum(cohort)
    with saved_tensors_hooks(keep, lambda one: one):
        backend.clipped_sum(cohort)
    assert saved and max(saved) <= 2


def test_more_patients_fit_where_little_is_kept():
    (patient,) = patients(COVID, 2, count=1)
    head, everything = (
        most_at_once(build(spec("resnet10-gn", 2, COVID, trained)), patient.inputs, limit_bytes=1 << 24, asked=999)
        for trained in ("head", "all")
    )
    assert head > 2 * everything


def test_a_loss_is_still_that_of_the_whole_network():
    model = spec("resnet10-gn", 2, COVID, "norms")
    cohort = patients(COVID, 2)
    found = clipped_sum("fused", model, COVID, cohort, ClippingSpec(l2_clip_norm=0.1)).notes.loss_sum
    reference = build(model).double()
    reference.load_state_dict(weights(model))
    with torch.no_grad():
        each = [loss_function(COVID)(reference(p.inputs.double()), p.targets.double()) for p in cohort]
    assert found == pytest.approx(float(sum(each)), rel=1e-9)
