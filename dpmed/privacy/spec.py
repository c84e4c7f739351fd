"""From a recipe and the size of a cohort to what a run promises."""

from scipy.stats import binom

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.recipe import PrivacyRecipe
from dpmed.core.specs import ClippingSpec, PrivacySpec
from dpmed.privacy.accounting import check_noise
from dpmed.privacy.calibration import calibrated
from dpmed.privacy.mechanisms import run_of

BANDS = 4
"""Of bandmf, where the recipe says nothing: more take back more noise, but draw each patient more surely."""


def privacy_spec(recipe: PrivacyRecipe, *, patients: int, private: bool = True) -> PrivacySpec:
    """The calibrated spec of a recipe on a cohort of `patients` training patients.

    Raises `NoInputError` without patients and `ConfigError` for a batch that is larger than the cohort or noise
    that protects nobody.
    """
    if patients == 0:
        raise NoInputError("the dataset has no training patient", hint="ingest more patients, or other splits")
    if recipe.expected_batch_size > patients:
        raise ConfigError(
            f"expected_batch_size {recipe.expected_batch_size} is more than the {patients} training patients",
            hint=f"--set privacy.expected_batch_size={max(1, patients // 2)}",
        )
    bands = (recipe.bands or BANDS) if recipe.mechanism == "bandmf" else 1
    if bands * recipe.expected_batch_size > patients:
        raise ConfigError(
            f"{bands} bands of {recipe.expected_batch_size} expected patients are more than the {patients} there are",
            hint=f"--set privacy.bands={patients // recipe.expected_batch_size}, or a smaller expected_batch_size",
        )
    spec = PrivacySpec(
        epsilon=recipe.epsilon if private and recipe.noise_multiplier is None else None,
        delta=recipe.delta,
        clipping=ClippingSpec(mode=recipe.clipping, l2_clip_norm=recipe.clip_norm if private else None),
        sample_rate=bands * recipe.expected_batch_size / patients,
        bands=bands,
        truncate_at=_truncate_at(recipe, patients),
        patients=patients if recipe.sampling == "truncated-poisson" else None,
        expected_batch_size=recipe.expected_batch_size,
        steps=recipe.steps,
        noise_multiplier=recipe.noise_multiplier if private else 0.0,
    )
    if spec.noise_multiplier is None:
        return calibrated(spec)
    if private:
        check_noise([run_of(spec)], delta=spec.delta)
    return spec


def _truncate_at(recipe: PrivacyRecipe, patients: int) -> int | None:
    """The recipe's own, or so many patients that all steps together exceed them with a hundredth of delta at most."""
    if recipe.sampling != "truncated-poisson" or recipe.truncate_at is not None:
        return recipe.truncate_at
    tail = recipe.delta / 100 / recipe.steps
    return int(binom.isf(tail, patients, recipe.expected_batch_size / patients)) + 1
