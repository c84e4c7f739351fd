"""Optimizers are torch's own, resume exactly, and take nothing but a noisy gradient."""

import itertools

import pytest
import torch

from dpmed.core.recipe import OptimizerRecipe
from dpmed.engine.optimizer import Optimizer, learning_rate
from dpmed.privacy.gradients import NoisyGradient

WEIGHTS = {"a": torch.arange(4.0), "b": torch.ones(2, 3)}


def _gradient(seed: int) -> NoisyGradient:
    generator = torch.Generator().manual_seed(seed)
    return NoisyGradient({name: torch.randn(w.shape, generator=generator) for name, w in WEIGHTS.items()})


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_updates_equal_plain_torch(name):
    recipe = OptimizerRecipe(name=name, learning_rate=0.1, schedule="constant", weight_decay=0.01)
    ours = Optimizer(WEIGHTS, recipe)
    theirs = [w.clone().requires_grad_() for w in WEIGHTS.values()]
    plain = (
        torch.optim.SGD(theirs, lr=0.1, momentum=0.9, weight_decay=0.01)
        if name == "sgd"
        else torch.optim.Adam(theirs, lr=0.1, weight_decay=0.01)
    )
    for step in range(5):
        gradient = _gradient(step)
        ours.apply(gradient, step=step, steps=5)
        for weight, key in zip(theirs, WEIGHTS, strict=True):
            weight.grad = gradient.values[key].clone()
        plain.step()
    for weight, key in zip(theirs, WEIGHTS, strict=True):
        torch.testing.assert_close(ours.weights[key], weight.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_a_resumed_optimizer_goes_on_exactly(name):
    recipe = OptimizerRecipe(name=name, ema_decay=0.9)
    straight, first, second = (Optimizer(WEIGHTS, recipe) for _ in range(3))
    for step in range(3):
        straight.apply(_gradient(step), step=step, steps=6)
        first.apply(_gradient(step), step=step, steps=6)
    second.load(first.state())
    for step in range(3, 6):
        straight.apply(_gradient(step), step=step, steps=6)
        second.apply(_gradient(step), step=step, steps=6)
    assert all(torch.equal(straight.weights[key], second.weights[key]) for key in WEIGHTS)
    assert all(torch.equal(straight.released[key], second.released[key]) for key in WEIGHTS)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_learning_rate_warms_up_then_falls_to_zero(schedule):
    recipe = OptimizerRecipe(learning_rate=1.0, warmup_steps=4, schedule=schedule)
    rates = [learning_rate(recipe, step, 20) for step in range(21)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and all(a >= b for a, b in itertools.pairwise(rates[4:]))
    assert rates[20] == pytest.approx(0.0)


def test_a_linear_schedule_falls_by_equal_steps():
    recipe = OptimizerRecipe(learning_rate=1.0, warmup_steps=4, schedule="linear")
    rates = [learning_rate(recipe, step, 20) for step in range(4, 21)]
    assert {round(a - b, 9) for a, b in itertools.pairwise(rates)} == {1 / 16}


def test_the_average_follows_the_weights():
    optimizer = Optimizer({"w": torch.zeros(1)}, OptimizerRecipe(learning_rate=1.0, momentum=0.0, ema_decay=0.99))
    optimizer.apply(NoisyGradient({"w": torch.full((1,), -1.0)}), step=0, steps=10)
    # decay = min(0.99, 1/10): the average moves nine tenths of the way from 0 to the new weight 1.
    assert optimizer.released["w"].item() == pytest.approx(0.9)
