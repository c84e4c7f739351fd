"""Convolutions and transposed convolutions in one, two and three dimensions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import Collector, Later
from dpmed.backends.fused.convolution import SQUARES, WHOLE, Geometry, is_lone_volume
from dpmed.backends.fused.room import Room
from dpmed.backends.fused.tap import Given, Saved
from dpmed.backends.precision import lowered, raised
from dpmed.models.standardised import Standardised

MOST_PAIRS, MOST_PATCHES = 1 << 24, 1 << 23
"""Pairs of positions, and values of patches, in all: a way that goes through more is too slow to be worth a try."""


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
            self._used_weight().to(inputs.dtype),
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
        ways = {"stock": stock, "slid back": partial(self._geometry.slid_back, outputs, self._used_weight())}
        return ways[self._chooser.fastest((self._geometry, inputs.shape), dict(ways))]()

    def _used_weight(self) -> Tensor:
        return self._layer.used_weight() if isinstance(self._layer, Standardised) else self._layer.weight

    def _stock_input_gradient(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        layer, shape = self._layer, self._geometry
        is_lone = is_lone_volume(inputs) and shape.groups == 1
        if is_lone:
            inputs, outputs = inputs.to_mkldnn(), outputs.to_mkldnn()
        gradient, *_ = torch.ops.aten.convolution_backward(
            outputs,
            inputs,
            self._used_weight().to(outputs.dtype),
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
        name, batch = self._names["weight"], self._batch(over, made, collector)
        case = (name, over.shape, collector.draws, once)
        if case not in self._chooser.plans:
            self._chooser.plans[case] = self._planned(name, batch, collector.room, once=once)
        way, at_once = self._chooser.plans[case]
        found = batch.in_blocks(way, at_once)
        if way in WHOLE:
            collector.keep(name, found)
        else:
            collector.put_off(name, Later(found, batch.weighted), batch.values)

    def _batch(self, over: Tensor, made: Tensor, collector: Collector) -> "_Batch":
        stored = self._layer.of_stored if isinstance(self._layer, Standardised) else None
        return _Batch(self._geometry, over, made, collector.patients, collector.draws, stored)

    def _planned(self, name: str, batch: "_Batch", room: Room, *, once: bool) -> tuple[str, int]:
        """The fastest way that there is room for, and how many patients it takes at once."""
        keeping, at_once = room.beside_one(self._layer.weight.numel()), batch.at_once(room.spare)
        ways: dict[str, Callable[[], object]] = {}
        if not once or room.fits(keeping) or keeping <= batch.values:
            ways |= {way: partial(batch.in_blocks, way, at_once[way]) for way in WHOLE if way in at_once}
        if once and (room.fits(batch.values) or batch.values < keeping):
            ways |= {way: partial(batch.sum_later, way, at_once[way]) for way in SQUARES if way in at_once}
        case = (name, batch.over.shape[1:], batch.patients == 1, once, *ways)
        way = self._chooser.fastest(case, ways)
        return way, at_once[way]


@dataclass(frozen=True)
class _Batch:
    """What the kernel slides over and what it makes, for all patients.

    `stored` turns gradients of the weight that was used into those of the one that is stored, where the two differ.
    """

    geometry: Geometry
    over: Tensor
    made: Tensor
    patients: int
    draws: int
    stored: Callable[[Tensor], Tensor] | None = None

    @property
    def values(self) -> int:
        """How many values are held as long as this is."""
        return self.over.numel() + self.made.numel()

    def at_once(self, spare: int) -> dict[str, int]:
        """How many patients each way takes at once if it may lay out so much; left out: what cannot, what is slow."""
        geometry, over, made, patients = self.geometry, self.over, self.made, self.patients
        ways = dict.fromkeys(("by patient", "grouped", "one by one"), patients)
        if geometry.can_unfold and geometry.patch_values(made) <= max(MOST_PATCHES, self.values):
            ways["unfolded"] = min(patients, spare // geometry.unfolded_values(made, patients))
        if (
            self.stored is None
            and geometry.can_unfold
            and patients * geometry.positions(over, self.draws) ** 2 <= MOST_PAIRS
        ):
            ways["ghost"] = min(patients, spare // geometry.ghost_values(over, made, self.draws))
        return {way: count for way, count in ways.items() if count}

    def in_blocks(self, way: str, at_once: int) -> Tensor:
        """Every patient's gradient or squared norm, for so many patients at once."""
        if self.stored is not None and way in SQUARES:  # norms are those of the stored weight's gradient
            return torch.stack([self._run("by patient", *one).square().sum() for one in self._blocks(1)])
        found = [self._run(way, *block) for block in self._blocks(at_once)]
        return torch.cat(found) if len(found) > 1 else found[0]

    def _run(self, way: str, over: Tensor, made: Tensor) -> Tensor:
        run = WHOLE.get(way) or SQUARES[way]
        found = run(self.geometry, over, made, len(over) // self.draws)
        return found if self.stored is None else self.stored(raised(found))

    def _blocks(self, at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(*(torch.split(images, at_once * self.draws) for images in (self.over, self.made)), strict=True)

    def sum_later(self, way: str, at_once: int) -> None:
        """All that a way by norms costs."""
        self.in_blocks(way, at_once)
        self.weighted(self.over.new_ones(self.patients, dtype=raised(self.over).dtype), None)

    def weighted(self, factors: Tensor, present: Tensor | None) -> Tensor:
        """The weighted sum as one batch gradient; who has no factor is left out.

        In the precision of sums: rounded to less, the sum of the others would move when one patient leaves, and norms
        would not be those of what is added.
        """
        over, made = (images.view(-1, self.draws, *images.shape[1:]) for images in (self.over, self.made))
        if present is not None:
            factors, over, made = factors[present], over[present], made[present]
        scaled = raised(made) * factors.view(-1, *[1] * (made.dim() - 1))
        if not len(scaled):
            return scaled.new_zeros(self.geometry.shape)
        found = self.geometry.batch_gradient(raised(over).flatten(0, 1), scaled.flatten(0, 1))
        return found if self.stored is None else self.stored(found.unsqueeze(0)).squeeze(0)
