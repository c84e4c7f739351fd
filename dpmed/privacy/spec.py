"""From a recipe and the size of a cohort to what a run promises."""

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.recipe import PrivacyRecipe
from dpmed.core.specs import ClippingSpec, PrivacySpec
from dpmed.privacy.accounting import check_noise
from dpmed.privacy.calibration import calibrated
from dpmed.privacy.mechanisms import MechanismRun


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
    spec = PrivacySpec(
        epsilon=recipe.epsilon if private and recipe.noise_multiplier is None else None,
        delta=recipe.delta,
        clipping=ClippingSpec(mode=recipe.clipping, l2_clip_norm=recipe.clip_norm if private else None),
        sample_rate=recipe.expected_batch_size / patients,
        expected_batch_size=recipe.expected_batch_size,
        steps=recipe.steps,
        noise_multiplier=recipe.noise_multiplier if private else 0.0,
    )
    if spec.noise_multiplier is None:
        return calibrated(spec)
    if private:
        run = MechanismRun(sample_rate=spec.sample_rate, noise_multiplier=spec.noise_multiplier, steps=spec.steps)
        check_noise([run], delta=spec.delta)
    return spec
