"""Everything that can be wrong before the first expensive minute is found here."""

from dataclasses import dataclass

from dpmed.backends import resolve_device
from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.folders import DatasetFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import PrivacyRecipe, Recipe
from dpmed.core.specs import ClippingSpec, ModelSpec, PrivacySpec
from dpmed.data import PatientDataset, model_spec
from dpmed.engine.plan import Plan
from dpmed.engine.request import TrainRequest
from dpmed.models import build, check_image_size, check_private
from dpmed.privacy.accounting import calibrated


@dataclass(frozen=True)
class Prepared:
    """A request that was checked: the dataset, the model's description and the plan. No patient was read yet."""

    recipe: Recipe
    manifest: Manifest
    data: PatientDataset
    model: ModelSpec
    plan: Plan
    device: str


def prepare(request: TrainRequest) -> Prepared:
    """Check and bind a request. Raises `ConfigError`, `NoInputError` or `DeviceError` with the cure."""
    recipe = request.recipe
    device = resolve_device(recipe.hardware.device)
    manifest = Manifest.load(request.data)
    if manifest.task != recipe.task:
        raise ConfigError(
            f"the recipe is for task {recipe.task}, the dataset is for {manifest.task}",
            hint="dpmed recipes lists the recipes of each task",
        )
    data = PatientDataset(
        manifest, request.data, recipe.data, split="train", seed=request.seed, cache=DatasetFolder(request.data).cache
    )
    model = model_spec(recipe, manifest)
    check_image_size(model.name, recipe.data.image_size)
    check_private(build(model))
    spec = privacy_spec(recipe.privacy, patients=len(data.patients), private=request.private)
    plan = Plan(spec, data.patients, private=request.private, demo_seed=request.demo_seed)
    return Prepared(recipe, manifest, data, model, plan, device)


def privacy_spec(recipe: PrivacyRecipe, *, patients: int, private: bool = True) -> PrivacySpec:
    """The calibrated spec of a recipe on a cohort of `patients` training patients."""
    if patients == 0:
        raise NoInputError("the dataset has no training patient", hint="ingest more patients, or other splits")
    if recipe.expected_batch_size > patients:
        raise ConfigError(
            f"expected_batch_size {recipe.expected_batch_size} is more than the {patients} training patients",
            hint=f"--set privacy.expected_batch_size={max(1, patients // 2)}",
        )
    clip_norm = recipe.clip_norm if private else None
    spec = PrivacySpec(
        epsilon=recipe.epsilon if private and recipe.noise_multiplier is None else None,
        delta=recipe.delta,
        clipping=ClippingSpec(mode=recipe.clipping, l2_clip_norm=clip_norm),
        sample_rate=recipe.expected_batch_size / patients,
        expected_batch_size=recipe.expected_batch_size,
        steps=recipe.steps,
        noise_multiplier=recipe.noise_multiplier if private else 0.0,
    )
    return spec if spec.noise_multiplier is not None else calibrated(spec)
