"""What each layer of a network costs for one patient: found by running it without memory, on torch's meta device.

What must be kept for the backward pass is what autograd asks to keep; operations are counted by torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from dpmed.backends.ipu.graph import graph_of
from dpmed.backends.ipu.worker.network import IMAGE, LAYERS, Node, patient_loss
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.models import build

PRODUCTS = ("convolution", "linear")
"""The layers that multiply, and hold sums in float32 while they do."""


@dataclass(frozen=True)
class LayerCost:
    """Of one layer and one patient, in numbers rather than bytes. Tensors are told apart by whole numbers.

    `place` is the tensor that it makes, of `made` numbers; `takes` are those that it reads and `kept` those that its
    backward pass needs, each with its size; `gradients` are those of what it makes and reads, together.
    """

    name: str
    layer: str
    weights: int
    place: int
    made: int
    gradients: int
    takes: Mapping[int, int]
    kept: Mapping[int, int]
    operations: int


@dataclass(frozen=True)
class Anatomy:
    """The layers in order, and the operations of forward and backward together."""

    layers: tuple[LayerCost, ...]
    operations: int
    patient_numbers: int

    @property
    def weights(self) -> int:
        """How many the network has."""
        return sum(layer.weights for layer in self.layers)

    @property
    def products(self) -> int:
        """How many layers multiply."""
        return sum(layer.layer in PRODUCTS for layer in self.layers)


def anatomy(model: ModelSpec, task: TaskSpec, *, size: Sequence[int], draws: int) -> Anatomy:
    """Take the network of a spec apart. Raises `ConfigError` for a layer that the IPU worker does not know."""
    return taken_apart(build(model), task.kind, (draws, model.in_channels, *size))


def taken_apart(network: nn.Module, kind: str, shape: Sequence[int], *, nodes: Sequence[Node] | None = None) -> Anatomy:
    """Any network, for one patient whose images have this shape; `kind` is the task's.

    Where threads work beside each other the `nodes` of its graph are given: torch.fx traces for one thread at a time.
    """
    with torch.device("meta"):
        image = torch.empty(*shape)
        weights = {
            name: torch.empty(weight.shape).requires_grad_(weight.requires_grad)
            for name, weight in network.named_parameters()
        }
    return _Walk(weights, image).through(nodes or graph_of(network), kind)


@dataclass
class _Walk:
    weights: dict[str, Tensor]
    image: Tensor
    numbers: dict[int, int] = field(default_factory=dict)
    held: list[Tensor] = field(default_factory=list)
    """Every tensor that was seen, so that no later one takes its place."""

    def through(self, nodes: Sequence[Node], kind: str) -> Anatomy:
        values = {IMAGE: self.image}
        layers = tuple(self._layer(node, values) for node in nodes)
        logits = values[nodes[-1]["name"]]
        targets = logits.new_empty(len(logits)) if kind == "classification" else torch.empty_like(logits)
        trained = [weight for weight in self.weights.values() if weight.requires_grad]
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(patient_loss(kind, logits, targets), trained)
        operations = sum(layer.operations for layer in layers) + backward.get_total_flops()
        return Anatomy(layers, operations, self.image.numel() + targets.numel())

    def _layer(self, node: Node, values: dict[str, Tensor]) -> LayerCost:
        own = {role: self.weights[name] for role, name in node["weights"].items()}
        inputs = [values[name] for name in node["inputs"]]
        saved: list[Tensor] = []

        def keep(one: Tensor) -> Tensor:
            saved.append(one)
            return one

        with saved_tensors_hooks(keep, lambda one: one), FlopCounterMode(display=False) as forward:
            made = LAYERS[node["layer"]](inputs, own, node["options"])
        values[node["name"]] = made
        self.held += [*saved, made]
        weights = {_place(weight) for weight in self.weights.values()}
        return LayerCost(
            name=node["name"],
            layer=node["layer"],
            weights=sum(weight.numel() for weight in own.values()),
            place=self._number(made),
            made=made.numel(),
            gradients=made.numel() + sum(one.numel() for one in inputs if one is not self.image),
            takes={self._number(one): one.numel() for one in inputs},
            # Whole numbers say where a maximum was; PopTorch finds it again.
            kept={
                self._number(one): one.numel()
                for one in saved
                if one.is_floating_point() and _place(one) not in weights
            },
            operations=forward.get_total_flops(),
        )

    def _number(self, tensor: Tensor) -> int:
        return self.numbers.setdefault(_place(tensor), len(self.numbers))


def _place(tensor: Tensor) -> int:
    """Where a tensor's numbers would be; a view has the place of what it looks at. On the meta device all are at 0."""
    return int(tensor.untyped_storage()._cdata)
