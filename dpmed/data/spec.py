"""What a dataset asks of a network."""

from dpmed.core.errors import ConfigError
from dpmed.core.labels import label_scheme
from dpmed.core.manifest import Manifest, Task
from dpmed.core.recipe import Recipe
from dpmed.core.specs import ModelSpec, TaskSpec


def task_spec(manifest: Manifest) -> TaskSpec:
    """One logit for COVID; or one per region of the label scheme, each a yes or no of its own as regions overlap.

    Raises `ConfigError` for masks whose numbers nobody declared the meaning of.
    """
    if manifest.task == "covid-ct":
        return TaskSpec(kind="classification", outputs=("covid",))
    if manifest.label_scheme is None:
        raise ConfigError(
            "the dataset does not say what the numbers in its masks mean",
            hint="ingest again with --label-scheme brats|brats2013|binary|FILE",
        )
    return TaskSpec(kind="segmentation", outputs=tuple(manifest.label_scheme.regions))


def usual_task(task: Task) -> TaskSpec:
    """What most datasets of a task ask for, where there is none at hand: tumours have the regions of BraTS."""
    if task == "covid-ct":
        return TaskSpec(kind="classification", outputs=("covid",))
    return TaskSpec(kind="segmentation", outputs=tuple(label_scheme("brats").regions))


def model_spec(recipe: Recipe, manifest: Manifest) -> ModelSpec:
    """The recipe's network with an input per modality and an output per logit."""
    return model_for(recipe, task_spec(manifest))


def model_for(recipe: Recipe, task: TaskSpec) -> ModelSpec:
    """The recipe's network for a task."""
    return ModelSpec(
        name=recipe.model.name,
        spatial_dims=recipe.data.spatial_dims,
        in_channels=len(recipe.data.modalities),
        out_channels=len(task.outputs),
        width=recipe.model.width,
        weight_standardization=recipe.model.weight_standardization,
        norm=recipe.model.norm,
        trained=recipe.model.trained,
        rank=recipe.model.rank,
    )
