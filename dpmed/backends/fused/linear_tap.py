"""Fully connected layers."""

from functools import partial

import torch
from torch import Tensor, nn

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import Collector, Later
from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import raised

PAIRED = 3
"""Values for each pair of positions: two inner products, and what they make together."""


class LinearTap:
    """Fully connected layers, over any leading axes."""

    def __init__(self, layer: nn.Linear, names: dict[str, str], chooser: Chooser) -> None:
        self._layer, self._names, self._chooser = layer, names, chooser

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return nn.functional.linear(inputs, self._layer.weight, self._layer.bias), ()  # autocast knows this one

    def backward(self, given: Given) -> Tensor | None:
        """Whole gradients, or norms from inner products where a patient has few positions."""
        inputs, outputs = given.inputs.to(given.outputs.dtype), given.outputs
        self._collect(inputs, outputs, given.collector, once=given.once)
        return outputs @ self._layer.weight.to(outputs.dtype) if given.wants_input else None

    def _collect(self, inputs: Tensor, outputs: Tensor, collector: Collector, *, once: bool) -> None:
        rows = inputs.reshape(collector.patients, -1, inputs.shape[-1])
        made = outputs.reshape(collector.patients, -1, outputs.shape[-1])
        if "bias" in self._names:
            collector.keep(self._names["bias"], made.sum(1))
        if "weight" not in self._names:
            return
        room, weight = collector.room, self._layer.weight
        whole, holding, pairs = (
            room.beside_one(weight.numel()),
            rows.numel() + made.numel(),
            len(rows) * rows.shape[1] ** 2,
        )
        if once and not room.fits(whole) and holding < whole and PAIRED * pairs <= room.spare:
            rows, made = raised(rows), raised(made)  # norms are of what is added, and sums are not rounded to less
            squares = (torch.bmm(rows, rows.transpose(1, 2)) * torch.bmm(made, made.transpose(1, 2))).sum((1, 2))
            collector.put_off(self._names["weight"], Later(squares, partial(_weighted, rows, made)), holding)
        else:
            collector.keep(self._names["weight"], torch.bmm(made.transpose(1, 2), rows))


def _weighted(rows: Tensor, made: Tensor, factors: Tensor, present: Tensor | None) -> Tensor:
    if present is not None:
        rows, made, factors = rows[present], made[present], factors[present]
    scaled = made * factors.view(-1, 1, 1)
    return scaled.flatten(0, 1).transpose(0, 1) @ rows.flatten(0, 1)
