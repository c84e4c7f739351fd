"""The gradient of every layer in operators that run forward: PopTorch lowers no ATen operator of a backward pass.

Each takes a `Passed` layer and the gradient of its output, and gives those of its inputs, in order, and of its weights,
by role. Gradients of weights are sums over all images, in float32.
"""

from __future__ import annotations

import itertools
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from network import IMAGE, Node, Passed
from torch import Tensor


Gradients = Tuple[List[Tensor], Dict[str, Tensor]]


def patient_gradient(kind: str, logits: Tensor, targets: Tensor) -> Tensor:
    """The gradient of `network.patient_loss` with respect to the logits."""
    shares = torch.sigmoid(logits)
    if kind == "classification":
        return (shares - targets.reshape(logits.shape)) / logits.numel()
    space = tuple(range(2, logits.dim()))
    over = torch.sum(shares * targets, space, keepdim=True) * 2.0 + 1.0
    under = torch.sum(shares, space, keepdim=True) + torch.sum(targets, space, keepdim=True) + 1.0
    regions = logits.shape[0] * logits.shape[1]
    dice = (over - targets * under * 2.0) / (under * under) / regions
    return dice * shares * (1.0 - shares) + (shares - targets) / logits.numel()


def _convolution(passed: Passed, grad: Tensor) -> Gradients:
    """Of an ordinary or a transposed one: each is the other's gradient. The weight's is a convolution of images."""
    options, image, weight = passed.node["options"], passed.inputs[0], passed.own["weight"]
    weights = {}
    if "bias" in passed.own:
        weights["bias"] = _over_all_but(1, grad)
    large, small = (grad, image) if options["transposed"] else (image, grad)
    weights["weight"] = _kernel(large, small, options, weight.shape[2:])
    has_gradient = passed.node["inputs"][0] != IMAGE  # nobody asks for that of a patient's own image
    return [_of_image(passed, grad) if has_gradient else image], weights


def _of_image(passed: Passed, grad: Tensor) -> Tensor:
    options, image, weight = passed.node["options"], passed.inputs[0], passed.own["weight"]
    none = [0] * (image.dim() - 2)
    missing = none
    if not options["transposed"]:  # the size of an image before a stride is not known from that after it
        missing = [
            side - ((after - 1) * step - 2 * edge + kernel)
            for side, after, step, edge, kernel in zip(
                image.shape[2:], grad.shape[2:], options["stride"], options["padding"], weight.shape[2:]
            )
        ]
    return torch.convolution(
        grad,
        weight,
        None,
        options["stride"],
        options["padding"],
        [1] * len(none),
        not options["transposed"],
        missing,
        1,
    )


def _kernel(large: Tensor, small: Tensor, options: Node, sides: Sequence[int]) -> Tensor:
    """The sum over images and places of `small` times what each place of the kernel saw of `large`.

    Image and channel change places, so that the small image is the kernel: where one steps, the other is spread.
    """
    none = [0] * len(sides)
    found = torch.convolution(
        large.transpose(0, 1),
        small.transpose(0, 1),
        None,
        [1] * len(sides),
        options["padding"],
        options["stride"],
        False,
        none,
        1,
    )
    for axis, side in enumerate(sides):
        found = found.narrow(2 + axis, 0, side)
    return found.transpose(0, 1).float()


def _group_norm(passed: Passed, grad: Tensor) -> Gradients:
    """In float32: sums over a whole group do not fit in half precision."""
    image, weight = passed.inputs[0].float(), passed.own["weight"].float()
    grad, groups = grad.float(), passed.node["options"]["groups"]
    apart = (image.shape[0], groups, -1)
    centred = image.reshape(apart) - torch.mean(image.reshape(apart), 2, keepdim=True)
    rate = torch.rsqrt(torch.mean(centred * centred, 2, keepdim=True) + passed.node["options"]["eps"])
    normal = centred * rate
    inner = (grad * _by_channel(weight, grad)).reshape(apart)
    along = torch.mean(inner * normal, 2, keepdim=True)
    before = (inner - torch.mean(inner, 2, keepdim=True) - normal * along) * rate
    weights = {"weight": _over_all_but(1, grad * normal.reshape(image.shape)), "bias": _over_all_but(1, grad)}
    return [before.reshape(image.shape).to(passed.inputs[0].dtype)], weights


def _max_pool(passed: Passed, grad: Tensor) -> Gradients:
    """To the first place of each window that holds its largest value, as torch counts."""
    image, window = passed.inputs[0], _Window(passed)
    padded = window.padded(image, torch.finfo(image.dtype).min)
    free, parts = torch.ones_like(grad), []
    for place in window.places():
        is_largest = (window.seen(padded, place) == passed.output).to(grad.dtype) * free
        free = free - is_largest
        parts.append(window.spread(grad * is_largest, place))
    return [window.cut(added(parts))], {}


def _average_pool(passed: Passed, grad: Tensor) -> Gradients:
    window = _Window(passed)
    places = window.places()
    return [window.cut(added([window.spread(grad / len(places), place) for place in places]))], {}


class _Window:
    """A pooling's window on an image with a margin: what each of its places sees, and the way back."""

    def __init__(self, passed: Passed) -> None:
        self._sides, self._after = passed.inputs[0].shape[2:], passed.output.shape[2:]
        self._size, self._step, self._edge = (
            self._each(passed.node["options"][name]) for name in ("size", "stride", "padding")
        )
        self._canvas = [
            max(after * step + size, side + 2 * edge)
            for after, step, size, side, edge in zip(self._after, self._step, self._size, self._sides, self._edge)
        ]

    def _each(self, value: Any) -> list[int]:
        return list(value) if isinstance(value, (list, tuple)) else [value] * len(self._sides)

    def places(self) -> list[tuple[int, ...]]:
        return list(itertools.product(*[range(size) for size in self._size]))

    def padded(self, image: Tensor, value: float) -> Tensor:
        margins: list[int] = []
        for side, edge, canvas in reversed(list(zip(self._sides, self._edge, self._canvas))):
            margins += [edge, canvas - side - edge]
        return torch.constant_pad_nd(image, margins, value)

    def seen(self, padded: Tensor, place: tuple[int, ...]) -> Tensor:
        for axis, (first, after, step) in enumerate(zip(place, self._after, self._step)):
            padded = torch.ops.aten.slice(padded, 2 + axis, first, first + (after - 1) * step + 1, step)
        return padded

    def spread(self, grad: Tensor, place: tuple[int, ...]) -> Tensor:
        """Each value to the place of its window, with zeros between."""
        axes = zip(place, self._after, self._step, self._canvas)
        for axis, (first, after, step, canvas) in enumerate(axes):
            shape = list(grad.shape)
            apart = torch.constant_pad_nd(grad.unsqueeze(3 + axis), [0, 0] * (grad.dim() - 3 - axis) + [0, step - 1])
            shape[2 + axis] = after * step
            margins = [0, 0] * (grad.dim() - 3 - axis) + [first, canvas - first - after * step]
            grad = torch.constant_pad_nd(apart.reshape(shape), margins)
        return grad

    def cut(self, total: Tensor) -> Tensor:
        for axis, (side, edge) in enumerate(zip(self._sides, self._edge)):
            total = total.narrow(2 + axis, edge, side)
        return total


def _mean_of_space(passed: Passed, grad: Tensor) -> Gradients:
    image = passed.inputs[0]
    count = image[0, 0].numel()
    return [(grad / count).expand(image.shape)], {}


def _relu(passed: Passed, grad: Tensor) -> Gradients:
    return [torch.where(passed.output > 0, grad, torch.zeros_like(grad))], {}


def _prelu(passed: Passed, grad: Tensor) -> Gradients:
    image, slope = passed.inputs[0], passed.own["weight"]
    is_above = image > 0
    below = torch.where(is_above, torch.zeros_like(grad), grad * image).float()
    of_slope = torch.sum(below).reshape(1) if slope.numel() == 1 else _over_all_but(1, below)
    return [torch.where(is_above, grad, grad * _by_channel(slope, grad))], {"weight": of_slope}


def _linear(passed: Passed, grad: Tensor) -> Gradients:
    weights = {"weight": torch.matmul(grad.transpose(0, 1), passed.inputs[0]).float()}
    if "bias" in passed.own:
        weights["bias"] = _over_all_but(1, grad)
    return [torch.matmul(grad, passed.own["weight"])], weights


def _flatten(passed: Passed, grad: Tensor) -> Gradients:
    return [grad.reshape(passed.inputs[0].shape)], {}


def _add(passed: Passed, grad: Tensor) -> Gradients:
    return [grad, grad], {}


def _concatenate(passed: Passed, grad: Tensor) -> Gradients:
    parts, first = [], 0
    for image in passed.inputs:
        parts.append(grad.narrow(1, first, image.shape[1]))
        first += image.shape[1]
    return parts, {}


def added(tensors: Sequence[Tensor]) -> Tensor:
    """The sum of one tensor or more."""
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def _over_all_but(axis: int, grad: Tensor) -> Tensor:
    return torch.sum(grad.float(), [other for other in range(grad.dim()) if other != axis])


def _by_channel(weight: Tensor, image: Tensor) -> Tensor:
    return weight.reshape([1, -1] + [1] * (image.dim() - 2))


BACKWARD: dict[str, Callable[[Passed, Tensor], Gradients]] = {
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
