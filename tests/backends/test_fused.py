"""The fused engine gives the plain loop's numbers for every kind of layer, every way to them, and any mix."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dpmed.backends.engines import engine, nano
from dpmed.backends.fused import Fused, collect, room
from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.convolution import Geometry
from dpmed.backends.fused.room import Room
from dpmed.backends.precision import half_precision
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models.layers import ChannelAffine

SIDES = {1: (9,), 2: (9, 8), 3: (5, 6, 5)}
CLIP = ClippingSpec(l2_clip_norm=0.1)


@pytest.fixture(autouse=True, scope="module")
def room_for_every_way():
    """These networks are so small that hardly a way would fit into a share of what they save."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "KEPT", 100.0)
        patch.setattr(room, "LAID_OUT", 100.0)
        yield


class Forced(Chooser):
    """Always the same way, where a layer has it."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def fastest(self, case, ways):
        name = self.way if self.way in ways else next(iter(ways))
        self.chosen[case] = name
        return name


class Mean(nn.Module):
    """Anything to one logit, each image alone."""

    def forward(self, inputs):
        return inputs.flatten(1).mean(1, keepdim=True)


def loss(logits, targets):
    return nn.functional.binary_cross_entropy_with_logits(4 * logits.squeeze(-1), targets)


def patients(shape, *, count=3, draws=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        PatientTensors(
            torch.randn((draws, *shape), generator=generator, dtype=torch.float64),
            torch.full((draws,), float(index % 2), dtype=torch.float64),
        )
        for index in range(count)
    ]


def network(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers, nn.Tanh(), Mean()).double()


def agree(model, cohort, *, clipping=CLIP, fused=None, chunk=2):
    one = nano(model, loss, cohort, clipping, 1)
    other = (fused or Fused())(model, loss, cohort, clipping, chunk)
    assert other.values.keys() == one.values.keys()
    assert (other.notes.patients, other.notes.clipped) == (one.notes.patients, one.notes.clipped)
    assert other.notes.loss_sum == pytest.approx(one.notes.loss_sum, rel=1e-9, nan_ok=True)
    scale = sum(value.square().sum() for value in one.values.values()).sqrt()
    error = sum((other.values[name] - value).square().sum() for name, value in one.values.items()).sqrt()
    assert error <= 1e-9 * scale + 1e-15
    return other


def convolution(dims, **options):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    return kind(4, 6, 3, **options)


def transposed(dims, **options):
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
    return kind(4, 6, 3, **options)


CONVOLUTIONS = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": 2},
    {"groups": 2, "padding": 1},
    {"bias": False, "stride": 2},
]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("draws", [1, 4])
def test_convolutions(dims, options, draws):
    cohort = patients((4, *SIDES[dims]), draws=draws)
    agree(network(convolution(dims, **options)), cohort)
    agree(network(transposed(dims, **options)), cohort)


@pytest.mark.parametrize("way", ["by patient", "grouped", "unfolded", "one by one", "ghost"])
@pytest.mark.parametrize("layer", [convolution, transposed])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_way_gives_the_same_numbers(way, layer, dims):
    fused = Fused(Forced(way))
    model = network(layer(dims, stride=2, padding=1), nn.Tanh(), convolution_of_six(dims))
    agree(model, patients((4, *SIDES[dims]), draws=2), fused=fused)
    assert way in fused.chooser.chosen.values()


@pytest.mark.parametrize("way", ["stock", "slid back"])
@pytest.mark.parametrize("options", [{"kernel_size": 3}, {"kernel_size": 3, "padding": 1}, {"kernel_size": 1}], ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_way_to_an_input_gradient_gives_the_same_numbers(way, options, dims):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    fused = Fused(Forced(way))
    agree(network(convolution(dims), nn.Tanh(), kind(6, 2, **options)), patients((4, *SIDES[dims])), fused=fused)
    assert way in fused.chooser.chosen.values()


def test_a_kernel_that_does_not_move_in_single_steps_is_not_slid_back():
    fused = Fused(Forced("slid back"))
    for options in ({"stride": 2}, {"padding": 3}, {"dilation": 2}, {"groups": 2}):
        agree(network(convolution(2), nn.Tanh(), nn.Conv2d(6, 2, 3, **options)), patients((4, 9, 8)), fused=fused)
    assert "slid back" not in fused.chooser.chosen.values()


@pytest.mark.parametrize("way", ["stock", "apart"])
@pytest.mark.parametrize("slopes", [1, 6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_way_to_the_gradients_of_a_prelu_gives_the_same_numbers(way, slopes, dtype):
    model = network(nn.Conv1d(6, 6, 3), nn.PReLU(slopes), nn.PReLU(slopes), nn.Conv1d(6, 2, 1)).to(dtype)
    cohort = [PatientTensors(p.inputs.to(dtype), p.targets.to(dtype)) for p in patients((6, 9))]
    one = nano(model, loss, cohort, CLIP, 1).values
    other = Fused(Forced(way))(model, loss, cohort, CLIP, 2).values
    for name, value in one.items():
        close = {"rtol": 1e-9, "atol": 1e-15} if dtype == torch.float64 else {}
        torch.testing.assert_close(other[name], value, **close)


@pytest.mark.parametrize("most", [0, 1 << 20])
@pytest.mark.parametrize("mode", ["flat", "per-layer"])
def test_treating_weights_of_one_size_together_changes_nothing(most, mode, monkeypatch):
    monkeypatch.setattr(collect, "MOST_STACKED", most)
    model = network(nn.GroupNorm(2, 4), convolution(2), nn.GroupNorm(2, 6), convolution_of_six(2), nn.GroupNorm(2, 2))
    agree(model, patients((4, 9, 8)), clipping=ClippingSpec(mode=mode, l2_clip_norm=0.05))


def convolution_of_six(dims):
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](6, 2, 3, padding=1)


def test_output_padding_and_padding_of_other_kinds():
    cohort = patients((4, 7, 6))
    agree(network(nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1)), cohort)
    agree(network(nn.Conv2d(4, 3, 3, padding="same")), cohort)
    agree(network(nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect")), cohort)


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2, bias=False)),
        (nn.GroupNorm(2, 6), nn.Tanh(), nn.Linear(5, 3)),
        (nn.InstanceNorm1d(6, affine=True),),
        (nn.LayerNorm(5), nn.PReLU()),
        (nn.PReLU(6), nn.LayerNorm((6, 5), elementwise_affine=True)),
        (nn.Linear(5, 4), nn.LayerNorm(4, bias=False), nn.PReLU(6), nn.Linear(4, 2)),
        (nn.Flatten(), nn.Linear(30, 4), nn.PReLU(4), nn.LayerNorm(4), nn.Linear(4, 2)),
        (nn.GroupNorm(3, 6, affine=False), nn.Linear(5, 2)),
    ],
    ids=lambda layers: "+".join(type(layer).__name__ for layer in layers),
)
@pytest.mark.parametrize("draws", [1, 4])
def test_other_layers(layers, draws):
    agree(network(*layers), patients((6, 5), draws=draws))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("frozen", [None, "weight", "bias"])
def test_fixed_statistics_have_a_way_of_their_own(dims, frozen):
    model = network(convolution(dims), ChannelAffine(6), nn.ReLU(), convolution_of_six(dims), ChannelAffine(2))
    with torch.no_grad():
        for layer in (model[1], model[4]):
            layer.weight.normal_()
            layer.bias.normal_()
    if frozen is not None:
        getattr(model[1], frozen).requires_grad_(False)
    fused = Fused()
    agree(model, patients((4, *SIDES[dims])), fused=fused)
    assert not fused.by_vmap


@pytest.mark.parametrize("way", ["by patient", "grouped", "unfolded", "one by one", "ghost", "slid back", "apart"])
@pytest.mark.parametrize("middle", [(nn.GroupNorm(2, 6), nn.PReLU()), (nn.LayerNorm((9, 8)), "any"), ()])
def test_half_precision_agrees_whatever_the_way(way, middle):
    layers = [nn.Conv2d(6, 6, 1, padding="same") if layer == "any" else layer for layer in middle]
    model = network(convolution(2, padding=1), *layers, nn.Tanh(), convolution_of_six(2), nn.Linear(8, 3)).float()
    half_precision(model, "cpu")
    cohort = [PatientTensors(p.inputs.float(), p.targets.float()) for p in patients((4, 9, 8))]
    one = nano(model, loss, cohort, CLIP, 1).values
    other = Fused(Forced(way))(model, loss, cohort, CLIP, 2).values
    distance = sum((other[name] - value).square().sum() for name, value in one.items()).sqrt()
    assert distance < 0.02 * sum(value.square().sum() for value in one.values()).sqrt()
    assert {value.dtype for value in other.values()} == {torch.float32}


@pytest.mark.parametrize("way", ["by patient", "grouped", "unfolded", "one by one", "ghost"])
def test_in_half_precision_a_patient_moves_the_sum_by_their_own_gradient_alone(way, monkeypatch):
    """The sum of the others is not rounded anew when one leaves; a linear layer takes its ghost norms here too."""
    linear = nn.Linear(8, 3)
    monkeypatch.setattr(Room, "beside_one", lambda _, values: 10**9 if values == linear.weight.numel() else 0)
    model = network(convolution(2, padding=1), nn.Tanh(), convolution_of_six(2), linear).float()
    half_precision(model, "cpu")
    cohort = [PatientTensors(p.inputs.float(), p.targets.float()) for p in patients((4, 9, 8), count=24)]
    bound = 1e-4
    everyone, others, alone = (
        Fused(Forced(way))(model, loss, some, ClippingSpec(l2_clip_norm=bound), 24).values
        for some in (cohort, cohort[1:], cohort[:1])
    )
    strayed = sum((everyone[name] - others[name] - own).square().sum() for name, own in alone.items()).sqrt()
    assert float(sum(own.square().sum() for own in alone.values()).sqrt()) == pytest.approx(bound, rel=1e-5)
    assert strayed < 1e-3 * bound


def test_words_are_embedded_for_each_patient_alone():
    cohort = [
        PatientTensors(
            torch.randint(0, 9, (2, 5), generator=torch.Generator().manual_seed(n)), torch.ones(2).double() * (n % 2)
        )
        for n in range(3)
    ]
    for options in ({}, {"padding_idx": 3}, {"scale_grad_by_freq": True}):
        agree(network(nn.Embedding(9, 4, **options), nn.Linear(4, 3)), cohort)


def test_layers_without_a_way_of_their_own_are_named():
    fused = Fused()
    agree(network(convolution(2, padding="same"), nn.GroupNorm(2, 6)), patients((4, 9, 8)), fused=fused)
    assert fused.by_vmap == {"Conv2d"}


@pytest.mark.parametrize("layer", [convolution, transposed])
def test_a_lone_volume_in_float32_takes_another_kernel_to_the_same_numbers(layer):
    model = network(layer(3, stride=2, padding=1), nn.PReLU(), convolution_of_six(3)).float()
    cohort = [PatientTensors(p.inputs.float(), p.targets.float()) for p in patients((4, 9, 8, 9), draws=1)]
    one = nano(model, loss, cohort, CLIP, 1).values
    for chunk in (1, 3):
        other = Fused()(model, loss, cohort, CLIP, chunk).values
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["flat", "per-layer", "automatic"])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_clip_and_every_batch(mode, count):
    model = network(convolution(2, padding=1), nn.GroupNorm(2, 6), nn.ReLU(), convolution_of_six(2))
    cohort = patients((4, 9, 8), count=count)
    agree(model, cohort, clipping=ClippingSpec(mode=mode, l2_clip_norm=0.05))
    agree(model, cohort, clipping=ClippingSpec(mode=mode, l2_clip_norm=None))


@given(
    dims=st.integers(1, 3),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    strides=st.lists(st.integers(1, 2), min_size=3, max_size=3),
    kernel=st.integers(1, 3),
    norm=st.sampled_from(["group", "instance", "none"]),
    draws=st.integers(1, 3),
    count=st.integers(1, 4),
    chunk=st.integers(1, 4),
    way=st.sampled_from(["by patient", "grouped", "unfolded", "one by one", "ghost", "slid back"]),
)
@settings(max_examples=40, deadline=None)
def test_random_networks(dims, widths, strides, kernel, norm, draws, count, chunk, way):
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    instance = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[dims - 1]
    layers, channels = [], 2
    for width, stride in zip(widths, strides, strict=False):
        layers.append(kind(channels, width, kernel, stride=stride, padding=kernel // 2))
        if norm != "none":
            layers.append(nn.GroupNorm(1, width) if norm == "group" else instance(width, affine=True))
        layers.append(nn.SiLU())  # smooth: where a channel is the same everywhere, rounding takes a side of a corner
        channels = width
    side = {1: (16,), 2: (12, 10), 3: (8, 9, 8)}[dims]
    agree(network(*layers), patients((2, *side), draws=draws, count=count), fused=Fused(Forced(way)), chunk=chunk)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv1d(4, 4, 3, padding=1), nn.Linear(6, 6)

    def forward(self, inputs):
        return self.head(torch.tanh(self.body(torch.tanh(self.body(inputs)))))


@pytest.mark.parametrize("way", ["ghost", "one by one", "grouped"])
def test_a_layer_used_twice_is_one_weight(way):
    agree(network(Twice()), patients((4, 6)), fused=Fused(Forced(way)))


@pytest.mark.parametrize("way", ["ghost", "one by one", "grouped"])
def test_a_weight_shared_by_two_layers_is_one_weight(way):
    first, second = nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=1)
    second.weight = first.weight
    agree(network(first, nn.Tanh(), second), patients((4, 6)), fused=Fused(Forced(way)))


def test_frozen_weights_stay_out():
    model = network(convolution(2), nn.Tanh(), convolution_of_six(2))
    model[0].weight.requires_grad_(False)
    model[2].requires_grad_(False)
    assert agree(model, patients((4, 9, 8))).values.keys() == {"0.bias"}


@pytest.mark.parametrize("way", ["ghost", "one by one", "grouped", "unfolded", "by patient", "slid back", "apart"])
@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_a_patient_who_is_not_finite_contributes_zero_whatever_the_way(way, value):
    layers = [convolution(2), nn.GroupNorm(2, 6), nn.PReLU(6), nn.PReLU(), convolution_of_six(2)]
    model = network(*layers, nn.Flatten(), nn.Linear(70, 3))
    good, bad, other = patients((4, 9, 7))
    bad.inputs[0, 0, 3, 3] = value
    fused = Fused(Forced(way))
    alone = fused(model, loss, [good, other], CLIP, 3)
    both = fused(model, loss, [good, bad, other], CLIP, 3)
    for name, total in alone.values.items():
        torch.testing.assert_close(both.values[name], total, rtol=1e-9, atol=1e-12)


def test_the_network_is_left_as_it_was():
    model, cohort = network(convolution(2)), patients((4, 9, 8))
    before = model(cohort[0].inputs)
    Fused()(model, loss, cohort, CLIP, 2)
    assert "forward" not in model[0].__dict__ and all(weight.grad is None for weight in model.parameters())
    after = model(cohort[0].inputs)
    assert torch.equal(before, after) and after.requires_grad


def test_the_network_is_left_as_it_was_when_a_patient_does_not_fit():
    model = network(convolution(2))
    with pytest.raises(RuntimeError):
        Fused()(model, loss, patients((3, 9, 8)), CLIP, 2)
    assert "forward" not in model[0].__dict__


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.inner = nn.Parameter(torch.ones(1)), nn.Linear(5, 2)

    def forward(self, inputs):
        return self.scale * self.inner(inputs)


def test_weights_beside_the_layers_are_refused_with_a_cure():
    with pytest.raises(ConfigError, match="Bare") as caught:
        Fused()(network(Bare()), loss, patients((6, 5)), CLIP, 2)
    assert "vmap" in caught.value.hint


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Bilinear(5, 5, 3)

    def forward(self, inputs):
        return self.mix(inputs, inputs)


def test_a_layer_of_two_inputs_is_refused_with_a_cure():
    with pytest.raises(ConfigError, match="one input"):
        Fused()(network(Two()), loss, patients((6, 5)), CLIP, 2)


def test_what_was_measured_is_remembered_from_chunk_to_chunk():
    fused, model, cohort = engine("fused"), network(convolution(2)), patients((4, 9, 8), count=6)
    fused(model, loss, cohort, CLIP, 3)
    first = dict(fused.chooser.chosen)
    assert first
    fused(model, loss, cohort, CLIP, 3)
    assert fused.chooser.chosen == first


def test_what_the_ways_would_lay_out_is_known_before_they_are_tried():
    """A large image has too many pairs of pixels, and too many patches: then those ways are not offered."""
    geometry = Geometry((6, 4, 3, 3), (1, 1), (1, 1), (1, 1), 1)
    assert geometry.positions(torch.empty(2, 4, 64, 32), draws=2) == 2 * 64 * 32
    assert geometry.patch_values(torch.empty(2, 6, 64, 32)) == 2 * 4 * 9 * 64 * 32
    chooser = Chooser()
    chooser.fastest = lambda case, ways: chooser.chosen.setdefault(case, ",".join(ways)) and "grouped"
    Fused(chooser)(network(nn.Conv2d(4, 8, 3)), loss, patients((4, 96, 96), count=8, draws=4), CLIP, 8)
    assert list(chooser.chosen.values()) == ["by patient,grouped,one by one"]
