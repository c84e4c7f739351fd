"""Everything that can be wrong before the first expensive minute is found here."""

from dataclasses import dataclass
from pathlib import Path

from dpmed.backends import resolve_device
from dpmed.core.errors import ConfigError
from dpmed.core.folders import DatasetFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import Recipe
from dpmed.core.seen import Seen
from dpmed.core.specs import ModelSpec, TaskSpec
from dpmed.data import PatientDataset, model_spec
from dpmed.engine import curves
from dpmed.engine.plan import Plan
from dpmed.engine.request import TrainRequest
from dpmed.engine.rules import by_rule
from dpmed.engine.start import start_file, started
from dpmed.models import Taken, check_image_size, check_private, trained_weights
from dpmed.privacy.spec import privacy_spec


@dataclass(frozen=True)
class Prepared:
    """A request that was checked: the dataset, the model's description, what of it is trained, and the plan.

    No patient was read yet. `start` holds the weights to begin with, of which `taken` tells what fitted; None for
    random ones.
    """

    recipe: Recipe
    manifest: Manifest
    data: PatientDataset
    model: ModelSpec
    trained: tuple[str, ...]
    plan: Plan
    device: str
    start: Path | None
    taken: Taken | None
    chosen: dict[str, str]
    """What the rules chose of the recipe, and why."""

    @property
    def task(self) -> TaskSpec:
        """What the dataset asks of a network, with the recipe's loss."""
        return self.data.task.model_copy(update={"loss": self.recipe.loss})


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
    patients = len({case.patient for case in manifest.cases if case.split == "train"})
    recipe, chosen = by_rule(recipe, patients=patients)
    start = start_file(request.init, recipe.model)
    seen = Seen.beside(start)
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
    network, taken = started(model, start, seed=request.seed)
    check_private(network)
    spec = privacy_spec(recipe.privacy, patients=len(data.patients), private=request.private)
    momentum = recipe.optimizer.momentum if recipe.optimizer.name == "sgd" else 0.0
    plan = Plan(spec, data.patients, private=request.private, demo_seed=request.demo_seed, momentum=momentum)
    return Prepared(recipe, manifest, data, model, trained_weights(network), plan, device, start, taken, chosen)


def _repeatable(recipe: Recipe) -> Recipe:
    """With an engine that does the same every time: which is fastest differs from run to run, and so do last digits."""
    if recipe.hardware.engine != "auto":
        return recipe
    return recipe.model_copy(update={"hardware": recipe.hardware.model_copy(update={"engine": "vmap"})})
