"""A network as a JSON graph of plain layers, and the loss of one patient. Runs unchanged in dpmed and under Python 3.8.

Each node is `{"name", "layer", "inputs": [names], "weights": {role: name}, "options": {...}}`; the input of the network
is called `image`, and the last node is its output. Weights are given apart, by name, so that the caller decides what
they are: stored values, or values that a gradient passes through.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Callable, ContextManager, Dict, NamedTuple, Sequence

import torch
from torch import Tensor
from torch.nn import functional

VERSION = 2
IMAGE = "image"

Node = Dict[str, Any]
Weights = Dict[str, Tensor]
Place = Callable[[Node], ContextManager[object]]
"""Around all that a layer computes: on which of several IPUs."""


class Passed(NamedTuple):
    """A layer that has run: its own weights by role, what went in, in order, and what came out."""

    node: Node
    own: Weights
    inputs: list[Tensor]
    output: Tensor


def here(_: Node) -> ContextManager[object]:
    """No other place."""
    return nullcontext()


def run(nodes: Sequence[Node], weights: Weights, image: Tensor, place: Place = here) -> Tensor:
    """The network's output for `image` [batch, channel, *space]."""
    return layers(nodes, weights.__getitem__, image, place)[-1].output


def layers(nodes: Sequence[Node], weight: Callable[[str], Tensor], image: Tensor, place: Place = here) -> list[Passed]:
    """All layers, run one after the other. A weight is asked for where its layer runs."""
    values = {IMAGE: image}
    passed = []
    for node in nodes:
        with place(node):
            own = {role: weight(name) for role, name in node["weights"].items()}
            inputs = [values[name] for name in node["inputs"]]
            output = LAYERS[node["layer"]](inputs, own, node["options"])
        values[node["name"]] = output
        passed.append(Passed(node, own, inputs, output))
    return passed


def patient_loss(kind: str, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss over the images of one patient, as a scalar.

    Classification: cross-entropy of one logit per image. Segmentation: Dice, one voxel added to either side of the
    fraction, plus cross-entropy; regions apart, since they overlap.
    """
    if kind == "classification":
        return functional.binary_cross_entropy_with_logits(logits.squeeze(-1), targets)
    space = tuple(range(2, logits.dim()))
    shares = torch.sigmoid(logits)
    overlap = torch.sum(shares * targets, space)
    dice = 1.0 - (2.0 * overlap + 1.0) / (torch.sum(shares, space) + torch.sum(targets, space) + 1.0)
    return torch.mean(dice) + functional.binary_cross_entropy_with_logits(logits, targets)


def _convolution(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return torch.convolution(
        inputs[0],
        own["weight"],
        own.get("bias"),
        options["stride"],
        options["padding"],
        options["dilation"],
        options["transposed"],
        options["output_padding"],
        options["groups"],
    )


def _group_norm(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return functional.group_norm(inputs[0], options["groups"], own["weight"], own["bias"], options["eps"])


def _max_pool(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    pool = functional.max_pool2d if inputs[0].dim() == 4 else functional.max_pool3d
    return pool(inputs[0], options["size"], options["stride"], options["padding"])


def _average_pool(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    pool = functional.avg_pool2d if inputs[0].dim() == 4 else functional.avg_pool3d
    return pool(inputs[0], options["size"], options["stride"], options["padding"])


def _mean_of_space(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return torch.mean(inputs[0], tuple(range(2, inputs[0].dim())), keepdim=True)


def _relu(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return torch.relu(inputs[0])


def _prelu(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return functional.prelu(inputs[0], own["weight"])


def _linear(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return functional.linear(inputs[0], own["weight"], own.get("bias"))


def _flatten(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return torch.flatten(inputs[0], 1)


def _add(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return inputs[0] + inputs[1]


def _concatenate(inputs: list[Tensor], own: Weights, options: Node) -> Tensor:
    return torch.cat(inputs, 1)


LAYERS: dict[str, Callable[[list[Tensor], Weights, Node], Tensor]] = {
    "convolution": _convolution,
    "group-norm": _group_norm,
    "max-pool": _max_pool,
    "average-pool": _average_pool,
    "mean-of-space": _mean_of_space,
    "relu": _relu,
    "prelu": _prelu,
    "linear": _linear,
    "flatten": _flatten,
    "add": _add,
    "concatenate": _concatenate,
}
