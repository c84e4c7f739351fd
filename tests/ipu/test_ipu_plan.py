"""The plan of a run on IPUs: what was published comes out again, and what it counts is what torch does."""

from itertools import pairwise

import pytest
import torch
from monai.networks.nets.resnet import ResNetBottleneck
from scipy.stats import binom
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.ipu.anatomy import anatomy, taken_apart
from dpmed.backends.ipu.figures import BOW, CHIPS, MEMORY_BYTES, MK2, NANOBATCH_IMAGES, PODS, figures
from dpmed.backends.ipu.memory import Sizes
from dpmed.backends.ipu.pace import Pace, Step
from dpmed.backends.ipu.placement import smallest_placement
from dpmed.backends.ipu.plan_chart import draw
from dpmed.backends.ipu.planner import Asked, ipu_plan
from dpmed.core.specs import ClippingSpec, HardwareFlags, ModelSpec, PrivacySpec, TaskSpec
from dpmed.models import build, loss_function
from dpmed.models.resnet import _ResNet

COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole", "core"))


def _model(name, dims, channels, outputs, width):
    return ModelSpec(name=name, spatial_dims=dims, in_channels=channels, out_channels=outputs, width=width)


NETWORKS = {
    "resnet10-gn": (_model("resnet10-gn", 2, 1, 1, 4), COVID, [64, 64]),
    "densenet-gn": (_model("densenet-gn", 2, 2, 1, 4), COVID, [32, 32]),
    "unet": (_model("unet", 2, 3, 2, 8), TUMOUR, [96, 96]),
    "unet 3-D": (_model("unet", 3, 3, 2, 4), TUMOUR, [32, 32, 32]),
}
LARGE = _model("unet", 3, 3, 2, 16)
GRAPHCORES_WEIGHT = 8
"""Bytes of its ResNet-50: weight, gradient, their sum and momentum in float16."""


class _Bottleneck(ResNetBottleneck):
    def __init__(self, in_planes, planes, spatial_dims, stride=1, downsample=None, norm="group"):
        super().__init__(in_planes, planes, spatial_dims, stride, downsample, norm=("group", {"num_groups": 32}))


@pytest.fixture(scope="module")
def resnet50():
    """The network of the published runs, for some images of 224 by 224."""
    norm = ("group", {"num_groups": 32})
    network = _ResNet(
        _Bottleneck,
        [3, 4, 6, 3],
        [64, 128, 256, 512],
        n_input_channels=3,
        spatial_dims=2,
        conv1_t_stride=2,
        num_classes=1,
        bias_downsample=False,
        norm=norm,
    )
    return lambda images: taken_apart(network, "classification", (images, 3, 224, 224))


def _asked(size=(128, 128, 128), draws=1, model=LARGE, **flags):
    return Asked(model, TUMOUR, size, draws, HardwareFlags(device="ipu", **flags))


def _spec(batch=64, patients=288, steps=120):
    clipping = ClippingSpec(l2_clip_norm=1.0)
    return PrivacySpec(
        epsilon=8.0,
        delta=1e-3,
        clipping=clipping,
        expected_batch_size=batch,
        sample_rate=batch / patients,
        steps=steps,
    )


def test_every_figure_has_a_source():
    assert all(figure.source and figure.unit and figure.value > 0 for figure in figures().values())


@pytest.mark.parametrize(("images", "fits"), [(18, True), (19, True), (20, False)])
def test_graphcores_own_resnet_fills_an_ipu_as_published(resnet50, images, fits):
    load = Sizes(half=True).load(resnet50(images).layers, recompute=True)
    ours = Sizes(half=True).weight * resnet50(1).weights
    total = load.total - ours + GRAPHCORES_WEIGHT * resnet50(1).weights
    assert (total <= MEMORY_BYTES) == fits
    assert total > 0.9 * MEMORY_BYTES


def test_the_published_speed_comes_back_for_the_published_network(resnet50):
    pace = Pace.of(resnet50(1), MK2, half=True, recompute=False)
    assert 1 / pace.seconds == pytest.approx(NANOBATCH_IMAGES.value, rel=0.02)
    assert Pace.of(resnet50(1), BOW, half=True, recompute=False).seconds == pytest.approx(pace.seconds / 1.4, rel=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_and_operations_are_those_of_torch(name):
    model, task, size = NETWORKS[name]
    found = anatomy(model, task, size=size, draws=2)
    network = build(model)
    (patient,) = synthetic_patients(task, channels=model.in_channels, size=size, draws=2, patients=1)
    saved = {}
    own = {weight.data_ptr() for weight in network.parameters()}

    def keep(tensor):
        if tensor.is_floating_point() and tensor.untyped_storage().data_ptr() not in own:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with FlopCounterMode(display=False) as counter:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = network(patient.inputs)
        torch.autograd.backward(loss_function(task)(logits, patient.targets))
    kept = {place: count for layer in found.layers for place, count in layer.kept.items()}
    assert sum(kept.values()) == sum(tensor.numel() for tensor in saved.values())
    assert found.operations == counter.get_total_flops()
    assert found.weights == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_making_activations_again_never_needs_more(name):
    model, task, size = NETWORKS[name]
    layers = anatomy(model, task, size=size, draws=2).layers
    sizes = Sizes(half=False)
    assert sizes.load(layers, recompute=True).total <= sizes.load(layers, recompute=False).total


def test_every_layer_is_on_one_ipu_and_they_keep_their_order():
    found = _asked().anatomy()
    placement = smallest_placement(found.layers, Sizes(half=False), recompute=False)
    assert len(placement.loads) == 2 and placement.fits
    assert [name for load in placement.loads for name in load.layers] == [layer.name for layer in found.layers]
    assert placement.ipus == sorted(placement.ipus) and len(placement.ipus) == len(found.layers)


def test_no_other_cut_leaves_the_fullest_ipu_emptier():
    sizes, layers = Sizes(half=False), _asked().anatomy().layers
    chosen = smallest_placement(layers, sizes, recompute=False).fullest.total
    for cut in range(1, len(layers)):
        halves = [sizes.load(layers[a:b], recompute=False).total for a, b in pairwise((0, cut, len(layers)))]
        assert max(halves) >= chosen


def test_a_recipe_that_does_not_fit_is_told_so_with_settings_that_do():
    plan = ipu_plan(_asked(draws=4), _spec(), host_seconds=0.0)
    assert not plan.placement.fits and not plan.systems and plan.changes
    plan = ipu_plan(_asked(draws=2, precision="float16"), _spec(), host_seconds=0.0)
    assert plan.placement.fits and any(change.setting == "data.draws_per_patient=1" for change in plan.changes)


def test_the_share_of_convolutions_is_the_recipes_where_it_sets_one():
    less = ipu_plan(_asked(ipu_memory_proportion=0.05), _spec(), host_seconds=0.0)
    assert less.placement.fullest.temporary == int(0.05 * MEMORY_BYTES)


def test_a_step_needs_as_many_calls_as_its_patients_do():
    step = Step(patients=40, rate=0.3, steps=1, host=0.0)
    for places in (1, 5, 64):
        by_hand = sum(binom.pmf(count, 40, 0.3) * -(-count // places) for count in range(41))
        assert step.calls(places) == pytest.approx(by_hand)


def test_a_larger_system_is_never_slower_and_no_copy_is_split():
    plan = ipu_plan(_asked(), _spec(), host_seconds=0.001)
    assert [(system.chip, system.ipus) for system in plan.systems] == [
        (chip.name, pod) for chip in CHIPS for pod in PODS
    ]
    for one, next_one in pairwise(plan.systems):
        if one.chip == next_one.chip:
            assert next_one.seconds <= one.seconds
        assert one.copies * len(plan.placement.loads) + one.idle_ipus == one.ipus


def test_the_plan_can_be_drawn(tmp_path):
    for number, plan in enumerate([ipu_plan(_asked(draws=draws), _spec(), host_seconds=0.0) for draws in (1, 4)]):
        draw(plan, tmp_path / f"plan{number}.png")
        assert (tmp_path / f"plan{number}.png").read_bytes().startswith(b"\x89PNG")
