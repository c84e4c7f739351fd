"""Every patient's weight gradient of a convolution, in several ways that give the same numbers at different speed.

`inputs` is what the kernel slides over and `outputs` what it makes: for a transposed convolution the two change roles.
Both lead with patient times draw. Which way is fastest depends on the shape: the stock kernel can be ten times slower
than a grouped convolution where few channels cover many pixels, and a hundred times faster where it is the other way.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dpmed.backends.precision import raised

Sized = Float[Tensor, "image channel *space"]


@dataclass(frozen=True)
class Geometry:
    """How the kernel of a convolution moves, and its size; `shape` is that of the weight."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def can_unfold(self) -> bool:
        """Whether the patches under the kernel can be laid out as a matrix here."""
        return self.groups == 1 and set(self.dilation) == {1}

    @property
    def can_slide_back(self) -> bool:
        """Whether the input gradient is a convolution of the outputs with the kernel turned round."""
        return self.can_unfold and set(self.stride) == {1} and max(self.padding) < min(self.shape[2:])

    def slid_back(self, outputs: Sized, weight: Tensor) -> Sized:
        """The input gradient. PyTorch's own kernel takes four times as long where few channels cover many pixels."""
        turned = weight.detach().to(outputs.dtype).transpose(0, 1).flip(*range(2, weight.dim()))
        margin = [size - 1 - amount for size, amount in zip(self.shape[2:], self.padding, strict=True)]
        result: Tensor = torch.ops.aten.convolution(
            outputs, turned, None, self.stride, margin, self.dilation, False, [0] * len(margin), 1
        )
        return result

    def batch_gradient(self, inputs: Sized, outputs: Sized) -> Tensor:
        """The weight gradient summed over all images: the stock kernel."""
        return self._stock(inputs, outputs, self.shape, self.groups)

    def by_patient(self, inputs: Sized, outputs: Sized, patients: int) -> Tensor:
        """Patient after patient by the stock kernel."""
        pairs = zip(inputs.chunk(patients), outputs.chunk(patients), strict=True)
        return torch.stack([raised(self.batch_gradient(one, other)) for one, other in pairs])

    def grouped(self, inputs: Sized, outputs: Sized, patients: int) -> Tensor:
        """All at once, each patient a group of channels of one wide convolution."""
        shape = (patients * self.shape[0], *self.shape[1:])
        wide = self._stock(
            _side_by_side(inputs, patients), _side_by_side(outputs, patients), shape, patients * self.groups
        )
        return wide.view(patients, *self.shape)

    def unfolded(self, inputs: Sized, outputs: Sized, patients: int) -> Tensor:
        """As products of matrices: the patches under the kernel times the gradient of what it made of them."""
        products = raised(torch.bmm(outputs.flatten(2), self._patches(inputs).transpose(1, 2)))
        return products.view(patients, -1, *self.shape).sum(1)

    def ghost_squares(self, inputs: Sized, outputs: Sized, patients: int) -> Float[Tensor, "patient"]:
        """Squared norms alone, from inner products of patches and of gradients (Goodfellow 2015; Bu et al. 2022).

        The inner product of two patches is the sum of those of their pixels, so pixels are multiplied once, not once
        for each place that they have under the kernel.
        """
        draws = len(inputs) // patients
        pixels, made = (_draws_behind(raised(images).flatten(2), patients) for images in (inputs, outputs))
        of_made = torch.bmm(made.transpose(1, 2), made)
        pairs = torch.bmm(pixels.transpose(1, 2), pixels).view(patients, *2 * (draws, *inputs.shape[2:]))
        patches = of_made.new_zeros(patients, *2 * (draws, *outputs.shape[2:]))
        for place in product(*(range(size) for size in self.shape[2:])):
            onto, met = self._under(place, inputs.shape[2:], outputs.shape[2:])
            patches[_both(onto)] += pairs[_both(met)]
        return (patches.view(of_made.shape) * of_made).sum((1, 2))

    def squares_one_by_one(self, inputs: Sized, outputs: Sized, patients: int) -> Float[Tensor, "patient"]:
        """Squared norms without ever holding more than one patient's gradient."""
        pairs = zip(raised(inputs).chunk(patients), raised(outputs).chunk(patients), strict=True)
        return torch.stack([self.batch_gradient(one, other).square().sum() for one, other in pairs])

    def patch_values(self, outputs: Sized) -> int:
        """How many values `unfolded` lays out."""
        return math.prod(self.shape[1:]) * outputs[:, 0].numel()

    def unfolded_values(self, outputs: Sized, patients: int) -> int:
        """How many values `unfolded` lays out for one patient: patches, and each image's own gradient."""
        return (self.patch_values(outputs) + len(outputs) * math.prod(self.shape)) // patients

    def ghost_values(self, inputs: Sized, outputs: Sized, draws: int) -> int:
        """How many values `ghost_squares` lays out for one patient: pairs of pixels, of patches and of gradients."""
        return self.positions(inputs, draws) ** 2 + 2 * self.positions(outputs, draws) ** 2

    def positions(self, inputs: Sized, draws: int) -> int:
        """How many pixels of one patient `ghost_squares` multiplies with each other."""
        return draws * math.prod(inputs.shape[2:])

    def _under(
        self, place: tuple[int, ...], inputs: Sequence[int], outputs: Sequence[int]
    ) -> tuple[list[slice], list[slice]]:
        """For one place of the kernel: which outputs meet a pixel there, and which pixels those are."""
        onto, met = [], []
        axes = zip(place, self.stride, self.padding, inputs, outputs, strict=True)
        for offset, step, margin, pixels, made in axes:
            first = max(0, -((offset - margin) // step))
            count = max(0, min(made, (pixels - 1 + margin - offset) // step + 1) - first)
            start = first * step + offset - margin
            onto.append(slice(first, first + count))
            met.append(slice(start, start + step * count, step))
        return onto, met

    def _stock(self, inputs: Sized, outputs: Sized, shape: tuple[int, ...], groups: int) -> Tensor:
        dims, weight = len(shape) - 2, inputs.new_empty(shape)  # its values play no part and are never touched
        if is_lone_volume(inputs) and groups == 1:
            inputs, outputs = inputs.to_mkldnn(), outputs.to_mkldnn()
        _, gradient, _ = torch.ops.aten.convolution_backward(
            outputs,
            inputs,
            weight,
            None,
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0] * dims,
            groups,
            [False, True, False],
        )
        result: Tensor = gradient
        return result

    def _patches(self, inputs: Sized) -> Float[Tensor, "image row position"]:
        dims = len(self.shape) - 2
        views = pad(inputs, _sides(self.padding))
        for axis in range(dims):
            views = views.unfold(2 + axis, self.shape[2 + axis], self.stride[axis])
        kernel, place = range(2 + dims, 2 + 2 * dims), range(2, 2 + dims)
        return views.permute(0, 1, *kernel, *place).flatten(2 + dims).flatten(1, 1 + dims)


Way = Callable[[Geometry, Sized, Sized, int], Tensor]
"""Of inputs, outputs and the number of patients, to something of every patient."""
WHOLE: dict[str, Way] = {"by patient": Geometry.by_patient, "grouped": Geometry.grouped, "unfolded": Geometry.unfolded}
SQUARES: dict[str, Way] = {"one by one": Geometry.squares_one_by_one, "ghost": Geometry.ghost_squares}


def is_lone_volume(images: Sized) -> bool:
    """Whether PyTorch would give these images to its slow kernel, five to ten times as slow as oneDNN's.

    It does so for a single small volume on a CPU, unless that comes in oneDNN's own layout (`to_mkldnn`).
    """
    if images.dim() != 5 or images.shape[0] != 1:
        return False
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return images.device.type == "cpu" and images.dtype == torch.float32 and has_onednn


def _both(places: list[slice]) -> tuple[slice, ...]:
    """The same places on both sides of all pairs, in every draw."""
    return (slice(None), slice(None), *places, slice(None), *places)


def _sides(padding: tuple[int, ...]) -> list[int]:
    """As `pad` wants it: the last axis first, before and behind."""
    return [side for amount in reversed(padding) for side in (amount, amount)]


def _side_by_side(images: Sized, patients: int) -> Sized:
    """Patients as channels, draws as images: the sum over images is then the sum over a patient's draws."""
    return images.view(patients, -1, *images.shape[1:]).transpose(0, 1).flatten(1, 2)


def _draws_behind(rows: Float[Tensor, "image row position"], patients: int) -> Float[Tensor, "patient row position"]:
    """A patient's draws as more positions of one image."""
    return rows.view(patients, -1, *rows.shape[1:]).transpose(1, 2).flatten(2)
