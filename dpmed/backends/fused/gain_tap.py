"""One factor for all of a branch."""

from torch import Tensor

from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import raised
from dpmed.models.norm_free import Gain


class GainTap:
    """`Gain`: the patient's own gradient is the inner product of what went in and the gradient of what came out."""

    def __init__(self, layer: Gain, names: dict[str, str]) -> None:
        self._layer, self._names = layer, names

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        return inputs * self._layer.weight.to(inputs.dtype), ()

    def backward(self, given: Given) -> Tensor | None:
        """A product and a sum for the weight, a product for the input."""
        inputs, outputs, collector = given.inputs, given.outputs, given.collector
        products = raised(inputs).flatten(1) * raised(outputs).flatten(1)
        collector.keep(self._names["weight"], collector.over_draws(products.sum(1, keepdim=True)))
        return outputs * self._layer.weight.to(outputs.dtype) if given.wants_input else None
