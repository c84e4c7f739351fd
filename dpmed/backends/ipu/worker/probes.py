"""Per-patient clipping out of PopTorch's public parts: the weights stay, and probes beside them collect gradients.

PopTorch has no hook on the gradient of one micro-batch. Its `max_grad_norm` clips right before a weight is updated;
with a micro-batch that is one patient, and without accumulation or replicas, that is each patient's own gradient. So
every weight is `frozen + (probe - detached probe)`: its value is that of `frozen` for good, its gradient goes to the
probe, and after N updates with learning rate 1 the probe is minus the sum of N clipped gradients.
"""

from __future__ import annotations

from typing import Any, Callable, ContextManager

import torch
from network import layers, patient_loss
from torch import Tensor, nn


class Probed(nn.Module):
    """The network of `nodes`; weights by number, as names of buffers hold no dots. Trained ones have probes."""

    def __init__(
        self,
        asked: dict[str, Any],
        weights: dict[str, Tensor],
        place: Callable[[str, int], ContextManager[object]],
        mark: Callable[..., Tensor],
    ) -> None:
        super().__init__()
        self._nodes, self._kind, self._place, self._mark = asked["nodes"], asked["kind"], place, mark
        self._scale, self._half = float(asked["loss_scale"]), asked["half"]
        self._numbers = {name: number for number, name in enumerate(weights)}
        self._trained = {name: number for name, number in self._numbers.items() if name in asked["trained"]}
        for number, weight in enumerate(weights.values()):
            self.register_buffer(f"frozen_{number}", weight.clone())
        for name, number in self._trained.items():
            self.register_parameter(f"probe_{number}", nn.Parameter(torch.zeros_like(weights[name])))

    def forward(self, images: Tensor, targets: Tensor, factor: Tensor) -> Tensor:
        """The loss of one patient, times `factor` [1], which is 0 for padding."""
        passed = layers(self._nodes, self._weight, self._cast(images), lambda node: self._place("forward", node["ipu"]))
        with self._place("forward", self._nodes[-1]["ipu"]):
            loss = patient_loss(self._kind, passed[-1].output.float(), targets)
            return self._mark(torch.sum(loss * factor) * self._scale, reduction="none")

    def _weight(self, name: str) -> Tensor:
        number = self._numbers[name]
        frozen = getattr(self, f"frozen_{number}")  # type: Tensor
        if name not in self._trained:
            return self._cast(frozen)
        probe = getattr(self, f"probe_{number}")
        return self._cast(frozen + (probe - probe.detach()))

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.half() if self._half else tensor

    def replace(self, weights: dict[str, Tensor]) -> None:
        """New weights on the host; they reach the device with the next copy."""
        with torch.no_grad():
            for name, number in self._numbers.items():
                getattr(self, f"frozen_{number}").copy_(weights[name])

    def take(self) -> dict[str, Any]:
        """The sum of clipped gradients, by name; the probes are zero afterwards, on the host."""
        taken = {}
        with torch.no_grad():
            for name, number in self._trained.items():
                probe = getattr(self, f"probe_{number}")
                taken[name] = (-probe / self._scale).detach().float().cpu().numpy().copy()
                probe.zero_()
        return taken
