"""What `dpmed bench engine` measures: three networks that others are measured on, and those of the shipped recipes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from monai.networks.nets.unet import UNet
from torch import nn

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import load_recipe, shipped_recipes
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.data.spec import model_for
from dpmed.models import build

COVID = TaskSpec(kind="classification", outputs=("covid",))
TUMOUR = TaskSpec(kind="segmentation", outputs=("whole_tumour", "tumour_core", "enhancing_tumour"))


@dataclass(frozen=True)
class Case:
    """A network, the size of its images, and how many patients and images of each a step has unless asked for."""

    network: Callable[[], nn.Module]
    task: TaskSpec
    channels: int
    size: tuple[int, ...]
    batch: int
    images: int = 1


def _monai_unet(dims: int) -> nn.Module:
    """MONAI's U-Net as its tutorials build it, five levels and residual units, with GroupNorm."""
    return UNet(
        dims,
        in_channels=4,
        out_channels=len(TUMOUR.outputs),
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=2,
        norm=("group", {"num_groups": 1}),
    )


NETWORKS = {
    "unet-2d": Case(partial(_monai_unet, 2), TUMOUR, channels=4, size=(128, 128), batch=16),
    "unet-3d": Case(partial(_monai_unet, 3), TUMOUR, channels=4, size=(64, 64, 64), batch=4),
    "resnet18": Case(
        partial(build, ModelSpec(name="resnet18-gn", spatial_dims=2, in_channels=1, out_channels=1, width=64)),
        COVID,
        channels=1,
        size=(224, 224),
        batch=16,
    ),
}
"""The batch sizes are those that fit a laptop."""


def case_names() -> tuple[str, ...]:
    """The networks above, then the shipped recipes."""
    return (*NETWORKS, *shipped_recipes())


def cases(names: Sequence[str]) -> dict[str, Case]:
    """The cases of these names, or the networks where none is given. Raises `ConfigError` for an unknown name."""
    if unknown := [name for name in names if name not in case_names()]:
        raise ConfigError(f"there is no case {unknown[0]!r}", hint=f"cases: {', '.join(case_names())}")
    return {name: NETWORKS.get(name) or _of_recipe(name) for name in names or NETWORKS}


def _of_recipe(name: str) -> Case:
    recipe = load_recipe(name)
    task = COVID if recipe.task == "covid-ct" else TUMOUR
    channels = len(recipe.data.modalities)
    model = model_for(recipe, task)
    size, images = recipe.data.image_size, recipe.data.draws_per_patient
    return Case(partial(build, model), task, channels, size, batch=16, images=images)
