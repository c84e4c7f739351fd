"""Convolutions and transposed convolutions in one, two and three dimensions."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import MOST_PAIRS, SPARE_VALUES, Collector, Later
from dpmed.backends.fused.convolution import Geometry, is_lone_volume
from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import lowered, raised


def is_plain(layer: _ConvNd) -> bool:
    """Whether its padding is so many zeros on each side."""
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


class ConvTap:
    """Conv and ConvTranspose in one, two and three dimensions."""

    def __init__(self, layer: _ConvNd, names: dict[str, str], chooser: Chooser) -> None:
        self._layer, self._names, self._chooser = layer, names, chooser
        self._is_transposed = isinstance(layer, _ConvTransposeNd)
        self._geometry = Geometry(
            tuple(layer.weight.shape),
            tuple(layer.stride),
            tuple(int(amount) for amount in layer.padding),
            tuple(layer.dilation),
            layer.groups,
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, Saved]:
        """As the layer does it."""
        layer, shape = self._layer, self._geometry
        inputs = lowered(inputs)
        is_lone = is_lone_volume(inputs) and shape.groups == 1
        output: Tensor = torch.ops.aten.convolution(
            inputs.to_mkldnn() if is_lone else inputs,
            layer.weight.to(inputs.dtype),
            None if layer.bias is None else layer.bias.to(inputs.dtype),
            shape.stride,
            shape.padding,
            shape.dilation,
            self._is_transposed,
            layer.output_padding,
            shape.groups,
        )
        return output.to_dense() if is_lone else output, ()

    def backward(self, given: Given) -> Tensor | None:
        """The stock kernel for the input; whole gradients of the weight where they are small, else norms now."""
        inputs, outputs = given.inputs.to(given.outputs.dtype), given.outputs
        self._collect(inputs, outputs, given.collector, once=given.once)
        return self._input_gradient(inputs, outputs) if given.wants_input else None

    def _input_gradient(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """By the stock kernel, or where the kernel moves in single steps, by sliding it back over the outputs."""
        stock = partial(self._stock_input_gradient, inputs, outputs)
        if self._is_transposed or not self._geometry.can_slide_back:
            return stock()
        ways = {"stock": stock, "slid back": partial(self._geometry.slid_back, outputs, self._layer.weight)}
        return ways[self._chooser.fastest((self._geometry, inputs.shape), dict(ways))]()

    def _stock_input_gradient(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        layer, shape = self._layer, self._geometry
        is_lone = is_lone_volume(inputs) and shape.groups == 1
        if is_lone:
            inputs, outputs = inputs.to_mkldnn(), outputs.to_mkldnn()
        gradient, *_ = torch.ops.aten.convolution_backward(
            outputs,
            inputs,
            layer.weight.to(outputs.dtype),
            None,
            shape.stride,
            shape.padding,
            shape.dilation,
            self._is_transposed,
            layer.output_padding,
            shape.groups,
            [True, False, False],
        )
        result: Tensor = gradient.to_dense() if is_lone else gradient
        return result

    def _collect(self, inputs: Tensor, outputs: Tensor, collector: Collector, *, once: bool) -> None:
        if "bias" in self._names:
            collector.keep(self._names["bias"], collector.over_space(outputs))
        if "weight" not in self._names:
            return
        over, made = (outputs, inputs) if self._is_transposed else (inputs, outputs)
        patients, geometry = collector.patients, self._geometry
        whole: dict[str, Callable[[], Tensor]] = {
            "by patient": lambda: geometry.by_patient(over, made, patients),
            "grouped": lambda: geometry.grouped(over, made, patients),
        }
        spare = max(SPARE_VALUES, inputs.numel() + outputs.numel())
        if geometry.can_unfold and geometry.patch_values(made) <= spare:
            whole["unfolded"] = lambda: geometry.unfolded(over, made, patients)
        norms = {"one by one": lambda: _one_by_one(geometry, over, made, patients)}
        if geometry.can_unfold and patients * geometry.positions(over, collector.draws) ** 2 <= MOST_PAIRS:
            norms["ghost"] = lambda: geometry.ghost_squares(over, made, patients)
        fits = patients * self._layer.weight.numel() <= spare
        weighted = _WeightedBatch(geometry, over, made, collector)
        ones = over.new_ones(patients, dtype=raised(over).dtype)
        ways: dict[str, Callable[[], object]] = dict(whole) if fits or not once else {}
        if once:
            ways |= {name: _and_then(way, lambda: weighted(ones, None)) for name, way in norms.items()}
        case = (self._names["weight"], over.shape[1:], patients == 1, once)
        name = self._chooser.fastest(case, ways)
        if name in whole:
            collector.keep(self._names["weight"], whole[name]())
        else:
            collector.later[self._names["weight"]] = Later(norms[name](), weighted)


def _and_then(first: Callable[[], object], second: Callable[[], object]) -> Callable[[], object]:
    return lambda: (first(), second())


class _WeightedBatch:
    """One batch gradient of all patients, each weighted. Keeps the layer's input and the gradient of its output.

    In the precision of sums: rounded to less, the sum of the others would move when one patient leaves, and norms would
    not be those of what is added.
    """

    def __init__(self, geometry: Geometry, over: Tensor, made: Tensor, collector: Collector) -> None:
        self._geometry, self._over, self._made, self._draws = geometry, over, made, collector.draws

    def __call__(self, factors: Tensor, present: Tensor | None) -> Tensor:
        """The weighted sum; who has no factor is left out."""
        over, made = (images.view(-1, self._draws, *images.shape[1:]) for images in (self._over, self._made))
        if present is not None:
            factors, over, made = factors[present], over[present], made[present]
        scaled = raised(made) * factors.view(-1, *[1] * (made.dim() - 1))
        if not len(scaled):
            return scaled.new_zeros(self._geometry.shape)
        return self._geometry.batch_gradient(raised(over).flatten(0, 1), scaled.flatten(0, 1))


def _one_by_one(geometry: Geometry, over: Tensor, made: Tensor, patients: int) -> Tensor:
    """Squared norms without ever holding more than one patient's gradient."""
    pairs = zip(raised(over).chunk(patients), raised(made).chunk(patients), strict=True)
    return torch.stack([geometry.batch_gradient(one, other).square().sum() for one, other in pairs])
