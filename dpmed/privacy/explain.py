"""An account made plain: what attacks it leaves, what other choices there are, what a search or other units cost."""

from dpmed.core.errors import ConfigError
from dpmed.core.record import Record
from dpmed.core.specs import Attacks
from dpmed.privacy.account import Account
from dpmed.privacy.alternatives import image_sampling_epsilon, tuned_epsilon
from dpmed.privacy.meaning import PRIOR, attacks
from dpmed.privacy.planning import Batch, Choice, batches, choices


class Explained(Record):
    """What `--explain`, `--tuning-runs` and `--images-per-patient` add to an account; None where it does not apply."""

    attacks: Attacks | None = None
    choices: tuple[Choice, ...] = ()
    batches: tuple[Batch, ...] = ()
    tuned_epsilon: float | None = None
    tuning_runs: float | None = None
    image_sampling_epsilon: float | None = None
    images_per_patient: int | None = None


def explained(
    account: Account,
    *,
    explain: bool = False,
    prior: float = PRIOR,
    tuning_runs: float | None = None,
    images_per_patient: int | None = None,
) -> Explained:
    """Raises `ConfigError` where an account has no mechanism to explain, or several where one is needed."""
    if account.epsilon is None:
        raise ConfigError("there is no guarantee to explain", hint="train without --non-private and --demo-seed")
    run = account.single
    if images_per_patient is not None and run is None:
        raise ConfigError("drawing images is reckoned for one mechanism", hint="ask for one run, or for bare numbers")
    has_plan = explain and run is not None and account.patients is not None and run.sampling == "Poisson"
    return Explained(
        attacks=attacks(account.runs, neighbouring=account.neighbouring, prior=prior) if explain else None,
        choices=choices(run, delta=account.delta) if explain and run is not None else (),
        batches=_batches(account) if has_plan else (),
        tuned_epsilon=tuned_epsilon(account.runs, delta=account.delta, mean_tries=tuning_runs) if tuning_runs else None,
        tuning_runs=tuning_runs,
        image_sampling_epsilon=image_sampling_epsilon(run, delta=account.delta, images_per_patient=images_per_patient)
        if run is not None and images_per_patient is not None
        else None,
        images_per_patient=images_per_patient,
    )


def _batches(account: Account) -> tuple[Batch, ...]:
    run, patients = account.single, account.patients
    assert run is not None and patients is not None and account.epsilon is not None, "asked by the caller"
    own = round(run.sample_rate * patients)
    return batches(target=account.epsilon, delta=account.delta, steps=run.steps, patients=patients, also=own)
