"""From a network of the catalogue to the graph of plain layers that the worker runs: traced, so that they agree."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx, nn

from dpmed.backends.ipu.worker.network import IMAGE, Node
from dpmed.core.errors import ConfigError
from dpmed.models.layers import ChannelAffine
from dpmed.models.scattering import ScatteringNet
from dpmed.models.standardised import Standardised

Options = dict[str, Any]


def graph_of(model: nn.Module) -> list[Node]:
    """The nodes of a network, in order. Raises `ConfigError` for a layer that the worker does not know."""
    if any(isinstance(layer, Standardised) for layer in model.modules()):
        raise ConfigError(
            "the IPU worker does not standardise weights",
            hint="--set model.weight_standardization=false (and model.norm=group), or --device cpu or cuda",
        )
    if isinstance(model, ScatteringNet):
        raise _unknown("wavelets")
    if any(isinstance(layer, ChannelAffine) for layer in model.modules()):
        raise ConfigError(
            "the IPU worker has no layer for fixed statistics, which published networks have",
            hint="--set model.name=resnet18-gn takes published convolutions too; or --device cpu",
        )
    traced = fx.symbolic_trace(model)
    nodes: list[Node] = []
    names: dict[fx.Node, str] = {}
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            names[node] = IMAGE
        elif node.op == "output" or _is_size(node):
            continue
        else:
            layer, weights, options = _layer(traced, node)
            nodes.append(
                {
                    "name": node.name,
                    "layer": layer,
                    "inputs": [names[one] for one in node.all_input_nodes if one in names],
                    "weights": weights,
                    "options": options,
                }
            )
            names[node] = node.name
    return nodes


def check_explicit(nodes: Sequence[Node]) -> None:
    """Raise `ConfigError` for a layer whose gradient the worker cannot write out: PopTorch has no operator for it."""
    for node in nodes:
        options = node["options"]
        if node["layer"] == "convolution" and (options["groups"] != 1 or set(options["dilation"]) != {1}):
            raise ConfigError(
                "on an IPU, convolutions in groups or with dilation are clipped flat only",
                hint="--set privacy.clipping=flat, or --device cpu or cuda",
            )


def _is_size(node: fx.Node) -> bool:
    """The number of images, which flattening asks for."""
    return node.op == "call_method" and node.target == "size"


def _layer(traced: fx.GraphModule, node: fx.Node) -> tuple[str, dict[str, str], Options]:
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        for kinds, layer, options_of in _MODULES:
            if isinstance(module, kinds):
                weights = {name: f"{node.target}.{name}" for name, _ in module.named_parameters(recurse=False)}
                return layer, weights, options_of(module)
        raise _unknown(type(module).__name__)
    if node.target in {operator.add, torch.add}:
        return "add", {}, {}
    if node.target is torch.cat and _dimension(node) == 1:
        return "concatenate", {}, {}
    if node.op == "call_method" and node.target == "view" and node.args[2:] == (-1,):
        return "flatten", {}, {}
    raise _unknown(str(node.target))


def _dimension(node: fx.Node) -> object:
    return node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)


def _unknown(name: str) -> ConfigError:
    return ConfigError(
        f"the IPU worker has no layer for {name}",
        hint="use a ResNet, DenseNet or U-Net of the catalogue, or --device cpu or cuda",
    )


def _of_convolution(module: Any) -> Options:
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise _unknown("a convolution with such padding")
    sides = {name: list(getattr(module, name)) for name in ("stride", "padding", "dilation", "output_padding")}
    return sides | {"transposed": module.transposed, "groups": module.groups}


def _of_pool(module: Any) -> Options:
    if module.ceil_mode or getattr(module, "dilation", 1) != 1 or not getattr(module, "count_include_pad", True):
        raise _unknown("a pooling of such a kind")
    return {"size": module.kernel_size, "stride": module.stride, "padding": module.padding}


def _of_mean(module: Any) -> Options:
    sizes = module.output_size if isinstance(module.output_size, tuple) else (module.output_size,)
    if set(sizes) != {1}:
        raise _unknown("an average over parts of the image")
    return {}


def _none(_: Any) -> Options:
    return {}


_MODULES: tuple[tuple[tuple[type[nn.Module], ...], str, Callable[[Any], Options]], ...] = (
    ((nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d), "convolution", _of_convolution),
    ((nn.GroupNorm,), "group-norm", lambda module: {"groups": module.num_groups, "eps": module.eps}),
    ((nn.MaxPool2d, nn.MaxPool3d), "max-pool", _of_pool),
    ((nn.AvgPool2d, nn.AvgPool3d), "average-pool", _of_pool),
    ((nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), "mean-of-space", _of_mean),
    ((nn.ReLU,), "relu", _none),
    ((nn.PReLU,), "prelu", _none),
    ((nn.Linear,), "linear", _none),
    ((nn.Flatten,), "flatten", _none),
)
