"""Everything that can be wrong before the first expensive minute is found here."""

from dataclasses import dataclass

from dpmed.backends import resolve_device
from dpmed.core.errors import ConfigError
from dpmed.core.folders import DatasetFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import Recipe
from dpmed.core.seen import Seen
from dpmed.core.specs import ModelSpec
from dpmed.data import PatientDataset, model_spec
from dpmed.engine import curves
from dpmed.engine.plan import Plan
from dpmed.engine.request import TrainRequest
from dpmed.models import build, check_image_size, check_private, trained_weights
from dpmed.privacy.spec import privacy_spec


@dataclass(frozen=True)
class Prepared:
    """A request that was checked: the dataset, the model's description, what of it is trained, and the plan.

    No patient was read yet.
    """

    recipe: Recipe
    manifest: Manifest
    data: PatientDataset
    model: ModelSpec
    trained: tuple[str, ...]
    plan: Plan
    device: str


def prepare(request: TrainRequest, *, planning: bool = False, labelled: bool = True) -> Prepared:
    """Check and bind a request. Raises `ConfigError`, `NoInputError`, `DeviceError` or `MismatchError` with the cure.

    While `planning`, the device need not be here; with `labelled` False, nobody looks whether there is a truth.
    """
    if request.tensorboard:
        curves.check_installed()
    recipe = _repeatable(request.recipe) if request.demo_seed is not None else request.recipe
    flags = recipe.hardware
    device = flags.device if planning else resolve_device(flags.device, flags)
    manifest = Manifest.load(request.data)
    if manifest.task != recipe.task:
        raise ConfigError(
            f"the recipe is for task {recipe.task}, the dataset is for {manifest.task}",
            hint="dpmed recipes lists the recipes of each task",
        )
    seen = Seen.beside(request.init)
    if seen is not None and request.private:
        seen.require_others(manifest)
    data = PatientDataset(
        manifest,
        request.data,
        recipe.data,
        split="train",
        seed=request.seed,
        cache=DatasetFolder(request.data).cache,
        labelled=labelled,
    )
    model = model_spec(recipe, manifest)
    check_image_size(model.name, recipe.data.image_size)
    check_private(network := build(model))
    spec = privacy_spec(recipe.privacy, patients=len(data.patients), private=request.private)
    momentum = recipe.optimizer.momentum if recipe.optimizer.name == "sgd" else 0.0
    plan = Plan(spec, data.patients, private=request.private, demo_seed=request.demo_seed, momentum=momentum)
    return Prepared(recipe, manifest, data, model, trained_weights(network), plan, device)


def _repeatable(recipe: Recipe) -> Recipe:
    """With an engine that does the same every time: which is fastest differs from run to run, and so do last digits."""
    if recipe.hardware.engine != "auto":
        return recipe
    return recipe.model_copy(update={"hardware": recipe.hardware.model_copy(update={"engine": "vmap"})})
