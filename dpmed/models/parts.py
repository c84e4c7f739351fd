"""The parts of a network that a recipe can name: its head, its stages in order, its normalisations."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from monai.networks.layers.simplelayers import SkipConnection
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

CONTAINERS = frozenset({"features", "body", "model", "blocks"})
"""Children by whose names networks hold their stages; a skip connection (U-Net) holds stages too."""


def head(model: nn.Module) -> str:
    """The name of the layer that makes the logits: the last that multiplies."""
    *_, last = (name for name, layer in model.named_modules() if multiplies(layer))
    return str(last)


def split(model: nn.Module, image: Float[Tensor, "image channel *space"]) -> tuple[nn.Module, nn.Linear] | None:
    """A network as what comes before its head, and the head; None where both in turn are not the network.

    The network given is the first part afterwards. `image` is what that is tried on.
    """
    name = head(model)
    last = model.get_submodule(name)
    if not isinstance(last, nn.Linear) or last.bias is None:
        return None
    with torch.no_grad():
        whole = model(image)
        model.set_submodule(name, nn.Identity())
        if torch.allclose(last(model(image)), whole, rtol=1e-4, atol=1e-5):
            return model, last
    model.set_submodule(name, last)
    return None


def stages(model: nn.Module) -> list[list[str]]:
    """Names of modules, stage by stage from the image on, without the head.

    A stage is a child that multiplies, of the network or of what holds its stages; what only normalises belongs to
    the stage before it, and so does DenseNet's transition.
    """
    found: list[list[str]] = []
    for name, child in _children(model, ""):
        if name == _top(head(model), name):
            continue
        joins = name.rpartition(".")[2].startswith("transition") or not any(map(multiplies, child.modules()))
        if joins and found:
            found[-1].append(name)
        else:
            found.append([name])
    return found


def norms(model: nn.Module) -> list[str]:
    """Names of the layers that scale and shift channels or values: two parameters of one axis each, and no more."""
    return [
        name
        for name, layer in model.named_modules()
        if not multiplies(layer) and [one.dim() for one in layer.parameters(recurse=False)] == [1, 1]
    ]


def multiplies(layer: nn.Module) -> bool:
    """Whether it is a convolution or a fully connected layer."""
    return isinstance(layer, _ConvNd | nn.Linear)


def _children(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for own, child in module.named_children():
        name = f"{prefix}{own}"
        if isinstance(child, SkipConnection):
            yield from _of_skip(child.submodule, f"{name}.submodule")
        elif own in CONTAINERS:
            yield from _children(child, f"{name}.")
        elif next(child.parameters(), None) is not None:
            yield name, child


def _of_skip(inner: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """What a skip connection leads around: the lowest level, or a level down, what lies between, and a level up."""
    if any(isinstance(child, SkipConnection) for child in inner.children()):
        yield from _children(inner, f"{name}.")
    else:
        yield name, inner


def _top(inner: str, outer: str) -> str:
    """The outer name where it holds the inner one."""
    return outer if inner == outer or inner.startswith(f"{outer}.") else inner
