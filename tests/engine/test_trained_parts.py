"""A run that trains a part: the rest is released as it came, no noise is spent on it, and the release is ordinary."""

import dataclasses
import json

import pytest
import torch

from dpmed.core.errors import InterruptedRun
from dpmed.core.events import Note, StepDone
from dpmed.core.folders import RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ModelSpec
from dpmed.engine import TrainDone, train
from dpmed.engine.checkpoint import load_tensors, save_tensors
from dpmed.engine.plan import Plan
from dpmed.models import build, trained_weights

NETWORK = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=4)


@pytest.fixture
def init(tmp_path):
    torch.manual_seed(5)
    path = tmp_path / "init.safetensors"
    save_tensors(path, build(NETWORK).state_dict())
    return path


def part(request, trained, **optimizer):
    recipe = request.recipe
    changed = {
        "model": recipe.model.model_copy(update={"trained": trained}),
        "optimizer": recipe.optimizer.model_copy(update=optimizer),
    }
    return dataclasses.replace(request, recipe=recipe.model_copy(update=changed))


def finish(request) -> TrainDone:
    *_, done = train(request)
    return done


@pytest.mark.parametrize(("trained", "ema_decay"), [("head", 0.0), ("norms", 0.9)])
def test_frozen_weights_are_released_to_the_bit(tiny_request, init, trained, ema_decay):
    request = dataclasses.replace(part(tiny_request, trained, weight_decay=0.1, ema_decay=ema_decay), init=init)
    finish(request)
    before, after = load_tensors(init)[0], load_tensors(request.run.model)[0]
    own = trained_weights(build(NETWORK.model_copy(update={"trained": trained})))
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(own)


def test_a_low_rank_run_releases_the_ordinary_network(tiny_request, init):
    request = dataclasses.replace(part(tiny_request, "low-rank"), init=init)
    finish(request)
    model = build(RunConfig.load(request.run).model)
    after = load_tensors(request.run.model)[0]
    model.load_state_dict(after)
    before = load_tensors(init)[0]
    moved = after["layer4.0.conv2.weight"] - before["layer4.0.conv2.weight"]
    assert moved.any()
    assert torch.linalg.matrix_rank(moved.flatten(1)) == 4
    assert torch.equal(after["bn1.weight"], before["bn1.weight"])


@pytest.mark.parametrize("trained", ["head", "low-rank"])
def test_noise_is_drawn_for_trained_numbers_only(tiny_request, monkeypatch, trained):
    asked, draw = [], Plan.noise

    def noise(self, step, count):
        asked.append(count)
        return draw(self, step, count)

    monkeypatch.setattr(Plan, "noise", noise)
    request = part(tiny_request, trained)
    finish(request)
    model = build(NETWORK.model_copy(update={"trained": trained}))
    wanted = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert set(asked) == {wanted}


@pytest.mark.parametrize("trained", ["last-1", "low-rank"])
def test_a_stopped_run_of_a_part_goes_on_to_the_same_end(tiny_request, init, tmp_path, trained):
    """With fixed noise: stopped and resumed, or in one go, the released weights are the same to the bit."""
    once = dataclasses.replace(part(tiny_request, trained), init=init, demo_seed=1)
    finish(once)
    twice = dataclasses.replace(once, run=RunFolder(tmp_path / "twice"))
    seen = []

    def stop_after_three() -> bool:
        return len(seen) >= 3

    with pytest.raises(InterruptedRun, match="stopped after step"):
        for event in train(twice, should_stop=stop_after_three):
            if isinstance(event, StepDone):
                seen.append(event.step)
    finish(dataclasses.replace(twice, resume=True))
    straight, resumed = load_tensors(once.run.model)[0], load_tensors(twice.run.model)[0]
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_frozen_part_that_is_random_is_said_so(tiny_request, init, tmp_path):
    def said(request):
        return [event.text for event in train(request) if isinstance(event, Note) and "random" in event.text]

    assert said(part(tiny_request, "head"))
    begun = dataclasses.replace(part(tiny_request, "head"), init=init, run=RunFolder(tmp_path / "other"))
    assert not said(begun)


def test_a_configuration_from_before_parts_is_read(tiny_request):
    finish(tiny_request)
    written = json.loads(tiny_request.run.config.read_text())
    for key in ("trained", "rank"):
        written["model"].pop(key), written["recipe"]["model"].pop(key)
    tiny_request.run.config.write_text(json.dumps(written))
    assert RunConfig.load(tiny_request.run).model.trained == "all"


def test_features_seen_once_train_the_same_head_as_images_seen_again(tiny_request, init, tmp_path, monkeypatch):
    request = dataclasses.replace(part(tiny_request, "head"), init=init, demo_seed=1)
    data = request.recipe.data.model_copy(update={"augment": False})
    hardware = request.recipe.hardware.model_copy(update={"precision": "float64"})
    request = dataclasses.replace(
        request, recipe=request.recipe.model_copy(update={"data": data, "hardware": hardware})
    )
    finish(request)
    assert len(list(request.data.glob("cache/*/features-*/*.safetensors"))) == 12
    monkeypatch.setattr("dpmed.engine.part._head_alone", lambda prepared, weights: None)
    slowly = dataclasses.replace(request, run=RunFolder(tmp_path / "slowly"))
    finish(slowly)
    fast, slow = load_tensors(request.run.model)[0], load_tensors(slowly.run.model)[0]
    assert fast.keys() == slow.keys()
    for name, value in slow.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-6, atol=1e-7)
    assert not torch.equal(fast["fc.weight"], load_tensors(init)[0]["fc.weight"])
