"""Per-patient clipping, weight by weight too, in a program that trains nothing: the backward pass is written out.

Where PopTorch's own clip knows one norm over all weights only, this computes each patient's gradient with operators
that run forward (`gradients.py`), clips it, and adds it to buffers that stay on the device from patient to patient.
"""

from __future__ import annotations

import math
from typing import Any, Callable, ContextManager

import torch
from gradients import BACKWARD, added, patient_gradient
from network import IMAGE, Node, Passed, layers, patient_loss
from torch import Tensor, nn

STABILITY = 0.01
"""What automatic clipping adds to a norm, here as in dpmed."""


class Explicit(nn.Module):
    """The network of `nodes`, its gradient and the sum of clipped ones; weights by number."""

    def __init__(
        self, asked: dict[str, Any], weights: dict[str, Tensor], place: Callable[[str, int], ContextManager[object]]
    ) -> None:
        super().__init__()
        self._nodes, self._place = asked["nodes"], place
        self._kind, self._mode, self._bound = asked["kind"], asked["clipping"], float(asked["clip_norm"])
        self._scale, self._half = float(asked["loss_scale"]), asked["half"]
        self._numbers = {name: number for number, name in enumerate(weights)}
        self._trained = {name: number for name, number in self._numbers.items() if name in asked["trained"]}
        self._first = _first_trained(self._nodes, self._trained)
        for number, weight in enumerate(weights.values()):
            self.register_buffer(f"frozen_{number}", weight.clone())
        for name, number in self._trained.items():
            self.register_buffer(f"sum_{number}", torch.zeros_like(weights[name]))

    def forward(self, images: Tensor, targets: Tensor, factor: Tensor) -> Tensor:
        """The loss of one patient, times `factor` [1], which is 0 for padding; the gradient goes to the sums."""
        passed = layers(self._nodes, self._weight, self._cast(images), lambda node: self._place("forward", node["ipu"]))
        with self._place("forward", self._nodes[-1]["ipu"]):
            logits = passed[-1].output.float()
            loss = torch.sum(patient_loss(self._kind, logits, targets) * factor) * self._scale
            first = self._cast(patient_gradient(self._kind, logits, targets) * (factor * self._scale))
        waiting = {self._nodes[-1]["name"]: [first]}
        found = {}
        for layer in reversed(passed[self._first :]):
            with self._place("backward", layer.node["ipu"]):
                inputs, own = BACKWARD[layer.node["layer"]](layer, added(waiting.pop(layer.node["name"])))
                for name, gradient in zip(layer.node["inputs"], inputs):
                    if name != IMAGE:
                        waiting.setdefault(name, []).append(gradient)
                for role, name in self._trained_of(layer):
                    found[name] = own[role] / self._scale
                    if self._mode == "per-layer":
                        self._add(name, found.pop(name), self._factor_of_one)
        if self._mode != "per-layer":
            self._add_whole(found)
        return loss

    def _trained_of(self, layer: Passed) -> list[tuple[str, str]]:
        return [(role, name) for role, name in layer.node["weights"].items() if name in self._trained]

    def _add_whole(self, gradients: dict[str, Tensor]) -> None:
        """One factor for all weights: nothing can be added before the last gradient is known."""
        homes = {name: node["ipu"] for node in self._nodes for name in node["weights"].values()}
        squares = []
        for name, gradient in gradients.items():
            with self._place("sum", homes[name]):
                squares.append(torch.sum(gradient * gradient))
        with self._place("sum", homes[next(iter(gradients))]):
            factor = self._factor(torch.sqrt(added(squares)))
        for name, gradient in gradients.items():
            with self._place("sum", homes[name]):
                self._add(name, gradient, lambda _: factor)

    def _add(self, name: str, gradient: Tensor, factor: Callable[[Tensor], Tensor]) -> None:
        getattr(self, f"sum_{self._trained[name]}").add_(gradient * factor(gradient))

    def _factor(self, norm: Tensor) -> Tensor:
        if self._mode == "automatic":
            return self._bound / (norm + STABILITY)
        return self._bound / torch.clamp(norm, min=self._bound)

    def _factor_of_one(self, gradient: Tensor) -> Tensor:
        """Every weight has an equal share of the bound. A norm past all numbers spoils the patient, not one weight."""
        share, norm = self._bound / math.sqrt(len(self._trained)), torch.sqrt(torch.sum(gradient * gradient))
        return share / torch.clamp(norm, min=share) + norm * 0.0

    def _weight(self, name: str) -> Tensor:
        return self._cast(getattr(self, f"frozen_{self._numbers[name]}"))

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.half() if self._half else tensor

    def replace(self, weights: dict[str, Tensor]) -> None:
        """New weights on the host; they reach the device with the next copy."""
        for name, number in self._numbers.items():
            getattr(self, f"frozen_{number}").copy_(weights[name])

    def take(self) -> dict[str, Any]:
        """The sum of clipped gradients, by name; the sums are zero afterwards, on the host."""
        taken = {}
        for name, number in self._trained.items():
            total = getattr(self, f"sum_{number}")
            taken[name] = total.cpu().numpy().copy()
            total.zero_()
        return taken


def _first_trained(nodes: list[Node], trained: dict[str, int]) -> int:
    """The number of the first layer with a trained weight: no gradient is taken below it."""
    return next(number for number, node in enumerate(nodes) if trained.keys() & set(node["weights"].values()))
