"""Which weights are trained, by name; a low-rank update is worth what it is merged into."""

import pytest
import torch
from torch import nn

from dpmed.core.errors import ConfigError
from dpmed.core.specs import ModelSpec
from dpmed.models import build, catalogue, plain_weights, split, trained_weights
from dpmed.models.parts import head, stages

KINDS = ("all", "head", "norms", "last-1", "last-2", "low-rank")
LEARNING = [name for name in catalogue() if name != "scattering"]
"""Networks that learn more than a head."""
HEADS = {"resnet10-gn": "fc", "resnet18-gn": "fc", "densenet-gn": "class_layers.out", "unet": "head.conv"}


def spec(name: str, trained: str = "all", *, dims: int = 2, rank: int | None = None) -> ModelSpec:
    return ModelSpec(name=name, spatial_dims=dims, in_channels=1, out_channels=2, width=8, trained=trained, rank=rank)


@pytest.mark.parametrize("name", catalogue())
def test_the_head_makes_the_logits(name):
    model = build(spec(name))
    assert head(model) == HEADS.get(name, head(model))
    weight = model.get_submodule(head(model)).weight
    assert weight.shape[0] == 2
    assert {f"{head(model)}.weight", f"{head(model)}.bias"} >= set(trained_weights(build(spec(name, "head"))))


@pytest.mark.parametrize("name", LEARNING)
@pytest.mark.parametrize("trained", KINDS[1:])
def test_less_is_trained_than_all_and_the_head_always_is(name, trained):
    everything = set(trained_weights(build(spec(name))))
    found = set(trained_weights(build(spec(name, trained))))
    assert set(trained_weights(build(spec(name, "head")))) <= found
    if trained != "low-rank":
        assert found < everything


@pytest.mark.parametrize("name", catalogue())
def test_stages_hold_every_weight_but_the_heads_once_and_in_order(name):
    model = build(spec(name))
    found = [module for stage in stages(model) for module in stage]
    held = [f"{module}.{own}" for module in found for own, _ in model.get_submodule(module).named_parameters()]
    assert held == [weight for weight, _ in model.named_parameters() if not weight.startswith(f"{head(model)}.")]


def test_last_stages_are_the_nearest_to_the_head():
    resnet = trained_weights(build(spec("resnet10-gn", "last-2")))
    assert {name.split(".")[0] for name in resnet} == {"layer3", "layer4", "fc"}
    densenet = trained_weights(build(spec("densenet-gn", "last-1")))
    assert {name.split(".")[1] for name in densenet} == {"denseblock4", "norm5", "out"}
    unet = trained_weights(build(spec("unet", "last-2")))
    assert {name.rsplit(".", 2)[0] for name in unet} == {
        "body.model.1.submodule.2",
        "body.model.1.submodule.2.adn",
        "body.model.2",
        "settle",
        "head",
    }


def test_norms_are_scales_and_shifts_and_the_head():
    model = build(spec("unet", "norms"))
    trained = {name.rpartition(".")[0] for name in trained_weights(model)}
    kinds = {type(model.get_submodule(name)) for name in trained}
    assert kinds == {nn.GroupNorm, nn.Conv2d}
    assert len(trained) == 1 + sum(isinstance(layer, nn.GroupNorm) for layer in model.modules())


def test_more_stages_than_there_are_are_refused_with_the_most():
    with pytest.raises(ConfigError, match="5 stages") as refusal:
        build(spec("resnet10-gn", "last-5"))
    assert "last-4" in refusal.value.hint


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", LEARNING)
def test_merged_updates_give_the_plain_network_with_the_same_answers(name, dims):
    torch.manual_seed(0)
    adapted = build(spec(name, "low-rank", dims=dims, rank=2)).double()
    plain = build(spec(name, dims=dims)).double()
    with torch.no_grad():
        for weight in adapted.parameters():
            weight.uniform_(-0.1, 0.1)
    images = torch.rand(2, 1, *[32] * dims, dtype=torch.float64)
    wanted = adapted(images)
    plain.load_state_dict(plain_weights(adapted, {k: v.clone() for k, v in adapted.state_dict().items()}))
    torch.testing.assert_close(plain(images), wanted, rtol=1e-9, atol=1e-9)


def test_a_new_update_changes_nothing():
    torch.manual_seed(3)
    plain = build(spec("unet"))
    torch.manual_seed(3)
    adapted = build(spec("unet", "low-rank"))
    images = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(adapted(images), plain(images))
    assert sum(w.numel() for w in adapted.parameters() if w.requires_grad) < sum(w.numel() for w in plain.parameters())


@pytest.mark.parametrize("name", [name for name in catalogue() if name != "unet"])
def test_a_classifier_is_what_comes_before_its_head_and_the_head(name):
    images = torch.rand(3, 1, 32, 32)
    model = build(spec(name))
    whole = model(images)
    body, last = split(model, images)
    torch.testing.assert_close(last(body(images)), whole)


def test_what_ends_in_no_linear_layer_is_not_split_and_left_as_it_was():
    model, images = build(spec("unet")), torch.rand(1, 1, 32, 32)
    whole = model(images)
    assert split(model, images) is None
    assert torch.equal(model(images), whole)
