"""Published or own weights into a network of the catalogue, by name: what fits is taken, and what not is told.

BatchNorm with the statistics it was published with scales and shifts each channel; that is folded into the network's
`ChannelAffine`, so its outputs are the published ones. A network with GroupNorm takes the convolutions and begins with
BatchNorm's scale and shift; the statistics are dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from dpmed.core.errors import MismatchError
from dpmed.models.layers import ChannelAffine
from dpmed.models.layouts import OWN, Layout, Pixels, recognised
from dpmed.models.weight_files import read_weights

Layers = dict[str, dict[str, Tensor]]
"""A layer's tensors by role (`weight`, `running_var`, ...), by the layer's name in the network here."""

MAY_BE_NEW = ("head.", "fc.", "class_layers.", "settle.", "centre.", "body.model.2.")
"""Where the answer is given: these differ with the question."""
SHOWN = 4
STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class Taken:
    """What of the network's `tensors` came from weights of a `layout`.

    `new` ones stayed as they were, `left` ones found no place; `channels` are those of the weights' input and of the
    network's where they differ.
    """

    layout: str
    tensors: int
    new: tuple[str, ...]
    left: tuple[str, ...]
    channels: tuple[int, int] | None

    @property
    def words(self) -> str:
        """One line for the user."""
        said = f"took {self.tensors - len(self.new)} of {self.tensors} tensors from {self.layout} weights"
        said += f"; new: {_listed(self.new)}" if self.new else ""
        said += f"; left out: {_listed(self.left)}" if self.left else ""
        if self.channels is None:
            return said
        theirs, ours = self.channels
        return f"{said}; the first layer's {theirs} inputs are added up" + (
            f" and shared by {ours}" if ours > 1 else ""
        )


def _listed(names: Sequence[str]) -> str:
    """The layers that have these tensors, the first few by name."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
    more = f" and {len(layers) - SHOWN} more layers" if len(layers) > SHOWN else ""
    return ", ".join(layers[:SHOWN]) + more


def take_weights(model: nn.Module, path: Path) -> Taken:
    """Put the weights of a file into a network, in place.

    Only the head and an input of other channels may stay new or be adapted: `MismatchError` for anything else that is
    missing, and for weights that are no layout's. `ConfigError` for a file of another kind.
    """
    state = model.state_dict()
    layout, tensors = recognised(read_weights(path), state)
    layers = _by_layer(layout, tensors, state)
    first = next(name for name, layer in model.named_modules() if isinstance(layer, _ConvNd))
    channels = _channels(layers, first, state)
    if layout is not OWN:
        _add_bare_shortcuts(layers, state)
        _fix_statistics(model, layers, layout)
    if layout.pixels is not None and _norm_after(first) in _affine(model):
        _take_own_pixels(layers, first, layout.pixels)
    if channels is not None:
        weight = layers[first]["weight"]
        layers[first]["weight"] = weight.sum(1, keepdim=True).expand(-1, channels[1], *weight.shape[2:]) / channels[1]
    found = {f"{layer}.{role}": tensor for layer, roles in layers.items() for role, tensor in roles.items()}
    fitting = {name: tensor for name, tensor in found.items() if name in state and tensor.shape == state[name].shape}
    new = tuple(name for name in state if name not in fitting)
    left = tuple(name for name in found if name not in fitting and not name.startswith(MAY_BE_NEW))
    _check(model, layout, new, layers, first)
    if left and _affine(model) and layout is not OWN:
        raise MismatchError(
            f"these {layout.name} weights are of a larger network: {_listed(left)} would be left out",
            hint="set model.name to the network that they were published for",
        )
    model.load_state_dict(state | {name: tensor.to(state[name].dtype) for name, tensor in fitting.items()})
    return Taken(layout.name, len(state), new, left, channels)


def _by_layer(layout: Layout, tensors: dict[str, Tensor], state: dict[str, Tensor]) -> Layers:
    """Tensors under the names of the network's layers; those that have no place in any network here are gone."""
    ours = {name.rpartition(".")[0] for name in state}
    layers: Layers = {}
    for name, tensor in tensors.items():
        published, _, role = name.rpartition(".")
        if (layer := layout.rename(published)) is not None:
            layer = f"features.{layer}" if f"features.{layer}" in ours else layer
            layers.setdefault(layer, {})[role] = tensor.float() if tensor.is_floating_point() else tensor
    return layers


def _channels(layers: Layers, first: str, state: dict[str, Tensor]) -> tuple[int, int] | None:
    """Channels of the input there and here, where they differ."""
    weight = layers.get(first, {}).get("weight")
    ours = state[f"{first}.weight"].shape[1]
    return None if weight is None or weight.ndim < 4 or weight.shape[1] == ours else (weight.shape[1], ours)


def _add_bare_shortcuts(layers: Layers, state: dict[str, Tensor]) -> None:
    """MedicalNet's ResNets of 18 and 34 layers have shortcuts without weights: the input at a stride, then zeros.

    That is a 1x1 convolution with ones on its diagonal.
    """
    if any("downsample" in layer for layer in layers):
        return
    for name, weight in state.items():
        if name.endswith("downsample.0.weight") and name.split(".downsample")[0] + ".conv1" in layers:
            diagonal = torch.eye(*weight.shape[:2]).reshape(weight.shape)
            layers[name.removesuffix(".weight")] = {"weight": diagonal}
            norm = name.replace("downsample.0.weight", "downsample.1")
            layers[norm] = {"weight": torch.ones(weight.shape[0]), "bias": torch.zeros(weight.shape[0])}


def _fix_statistics(model: nn.Module, layers: Layers, layout: Layout) -> None:
    """Fold BatchNorm's statistics where the network has them fixed; drop them elsewhere."""
    affine = _affine(model)
    for name, roles in layers.items():
        if name in affine and "running_var" in roles:
            roles["weight"] = roles["weight"] * torch.rsqrt(roles["running_var"] + layout.epsilon)
            roles["bias"] = roles["bias"] - roles["running_mean"] * roles["weight"]
        elif name in affine and ".downsample" not in name:
            raise MismatchError(
                f"these {layout.name} weights hold no statistics of batches, which the recipe's model keeps fixed",
                hint="--set model.name=resnet18-gn normalises within the image, and takes them without",
            )
        for role in STATISTICS & roles.keys():
            del roles[role]


def _affine(model: nn.Module) -> set[str]:
    """The layers whose statistics are fixed, by name."""
    return {name for name, layer in model.named_modules() if isinstance(layer, ChannelAffine)}


def _norm_after(convolution: str) -> str:
    """The first normalisation, by the name of the convolution before it."""
    return convolution.removesuffix("conv1") + "bn1"


def _take_own_pixels(layers: Layers, first: str, pixels: Pixels) -> None:
    """Let the first layers take images in [-1, 1] in place of each channel at mean 0 and deviation 1.

    Exact but for the outermost pixels: the zeros around an image meant the mean, and now mean the middle of the range.
    """
    means, deviations = (torch.tensor(values) for values in pixels)
    weight, norm = layers[first]["weight"], layers[_norm_after(first)]
    if weight.shape[1] != len(means):
        return
    by_channel = (1, -1, *(1 for _ in weight.shape[2:]))
    shift = (weight * ((0.5 - means) / deviations).view(by_channel)).flatten(1).sum(1)
    layers[first]["weight"] = weight * (0.5 / deviations).view(by_channel)
    norm["bias"] = norm["bias"] + norm["weight"] * shift


def _check(model: nn.Module, layout: Layout, new: tuple[str, ...], layers: Layers, first: str) -> None:
    """Raise `MismatchError` where more than the ends of the network found no weights."""
    numbers = {name: tensor.numel() for name, tensor in model.state_dict().items()}
    missing = [name for name in new if not name.startswith(MAY_BE_NEW) and not _starts_plain(model, name)]
    if not missing:
        return
    share = sum(numbers[name] for name in missing) / sum(numbers.values())
    theirs, ours = layers.get(first, {}).get("weight"), model.get_submodule(first).weight
    hint = "weights of the same network and width: docs/networks.md says which fit which"
    if theirs is not None and isinstance(ours, Tensor) and theirs.shape[0] != ours.shape[0]:
        hint = f"--set model.width={theirs.shape[0]}, if the network is the same otherwise"
    raise MismatchError(
        f"these {layout.name} weights do not fit the recipe's model: for {len(missing)} of its {len(numbers)} tensors "
        f"({share:.0%} of its numbers) there is none of that name and shape",
        hint=hint,
    )


def _starts_plain(model: nn.Module, name: str) -> bool:
    """Whether a tensor is GroupNorm's: published networks may normalise without a scale, which is where it starts."""
    return isinstance(model.get_submodule(name.rpartition(".")[0]), nn.GroupNorm)
