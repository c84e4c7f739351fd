"""From a noisy gradient to new weights: post-processing, so it costs no privacy."""

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from dpmed.core.recipe import OptimizerRecipe
from dpmed.privacy.gradients import NoisyGradient


def learning_rate(recipe: OptimizerRecipe, step: int, steps: int) -> float:
    """The rate at a step: linear warm-up, then constant, or down to zero by a half cosine or by a straight line.

    Half a cosine is Loshchilov and Hutter's (2017). For the last weights of SGD on gradients of any kind, a line is the
    best that holds in general (Defazio et al. 2023, arXiv:2310.07831); noise makes gradients such.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps)
    if recipe.schedule == "linear":
        return recipe.learning_rate * (1 - done)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class Optimizer:
    """torch's SGD or Adam over the `trained` of named weights (None: all); accepts `NoisyGradient` and nothing else.

    Frozen weights are handed on as they came: neither decay nor average touches them. The average (`ema_decay`)
    starts fast, min(decay, (1 + t) / (10 + t)), so that it forgets the random start.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], recipe: OptimizerRecipe, *, trained: Collection[str] | None = None
    ) -> None:
        self._recipe = recipe
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._trained = [name for name in self.weights if trained is None or name in trained]
        self._average = {name: self.weights[name].clone() for name in self._trained} if recipe.ema_decay else {}
        self._torch = self._build()

    def apply(self, gradient: NoisyGradient, *, step: int, steps: int) -> None:
        """One update of `weights`."""
        for group in self._torch.param_groups:
            group["lr"] = learning_rate(self._recipe, step, steps)
        for name, weight in self.trained.items():
            weight.grad = gradient.values.get(name)
        self._torch.step()
        if self._average:
            decay = min(self._recipe.ema_decay, (1 + step) / (10 + step))
            new = [self.weights[name] for name in self._average]
            torch._foreach_lerp_(list(self._average.values()), new, 1 - decay)

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights that updates change."""
        return {name: self.weights[name] for name in self._trained}

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return float(self._torch.param_groups[0]["lr"])

    @property
    def released(self) -> dict[str, Tensor]:
        """The weights that are worth releasing: the moving average where there is one."""
        return self.weights | self._average

    def state(self) -> dict[str, Tensor]:
        """Everything needed to go on, as flat named tensors."""
        flat = {f"weights/{name}": tensor for name, tensor in self.weights.items()}
        flat |= {f"average/{name}": tensor for name, tensor in self._average.items()}
        for index, name in enumerate(self._trained):
            for key, value in self._torch.state_dict()["state"].get(index, {}).items():
                flat[f"optimizer/{key}/{name}"] = value
        return flat

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.weights = {name: state[f"weights/{name}"].clone() for name in self.weights}
        self._average = {name: state[f"average/{name}"].clone() for name in self._average}
        self._torch = self._build()
        for name, weight in self.trained.items():
            slots = {key.split("/")[1]: value.clone() for key, value in state.items() if _is_slot(key, name)}
            if slots:
                self._torch.state[weight] = slots

    def _build(self) -> torch.optim.Optimizer:
        weights = list(self.trained.values())
        recipe = self._recipe
        if recipe.name == "sgd":
            return torch.optim.SGD(
                weights, lr=recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
            )
        return torch.optim.Adam(weights, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def _is_slot(key: str, name: str) -> bool:
    return key.startswith("optimizer/") and key.split("/", 2)[2] == name
