"""Four of five numbers give the fifth: sample rate, noise multiplier, steps, delta, epsilon."""

from dataclasses import replace

from dpmed.core.errors import ConfigError
from dpmed.core.record import Record
from dpmed.privacy.account import Account, Counting, fitting_delta, of_runs
from dpmed.privacy.calibration import noise_multiplier_for, sample_rate_for, steps_for
from dpmed.privacy.mechanisms import MechanismRun

NEEDED = (
    "--sample-rate, --noise-multiplier, --steps, and --delta or --patients; --target-epsilon stands for one of the "
    "first three"
)


class Numbers(Record):
    """A mechanism in bare numbers; what is None is looked for, so that `target_epsilon` is just not passed."""

    sample_rate: float | None = None
    noise_multiplier: float | None = None
    steps: int | None = None
    target_epsilon: float | None = None
    patients: int | None = None
    truncate_at: int | None = None
    bands: int = 1


def of_numbers(numbers: Numbers, by: Counting) -> Account:
    """The account of bare numbers. Raises `ConfigError` for a number out of range, and for too few or too many.

    Without a delta, but with the number of patients, delta is a tenth of one over that number.
    """
    if by.delta is None and numbers.patients:
        by = replace(by, delta=fitting_delta(numbers.patients))
    _check(numbers, by)
    return of_runs("these numbers", [_solved(numbers, by.delta or 0.0)], by, patients=numbers.patients)


def _check(numbers: Numbers, by: Counting) -> None:
    rate, noise, steps, target = (
        numbers.sample_rate,
        numbers.noise_multiplier,
        numbers.steps,
        numbers.target_epsilon,
    )
    if by.delta is None or [rate, noise, steps].count(None) != (target is not None):
        raise ConfigError("these numbers leave more or less than one open", hint=f"give {NEEDED}")
    right = {
        "--sample-rate": rate is None or 0 < rate <= 1,
        "--steps": steps is None or steps >= 1,
        "--target-epsilon": target is None or target > 0,
        "--noise-multiplier": noise is None or noise > 0,
        "--patients": numbers.patients is None or numbers.patients >= 1,
        "--truncate-at": numbers.truncate_at is None or numbers.truncate_at >= 1,
        "--bands": numbers.bands >= 1,
    }
    for option, is_right in right.items():
        if not is_right:
            raise ConfigError(f"{option} is out of range", hint="rate in (0, 1], counts at least 1, the others above 0")
    if numbers.truncate_at is not None and numbers.patients is None:
        raise ConfigError("what truncation costs depends on the size of the cohort", hint="add --patients N")
    if numbers.truncate_at is not None and numbers.bands > 1:
        raise ConfigError("what truncation costs with several bands is not known", hint="leave one of the two out")
    if target is not None and by.neighbouring == "replace-one":
        raise ConfigError(
            "a target is met under add-or-remove-one",
            hint="find the number first, then ask for its epsilon with --neighbouring replace-one",
        )


def _solved(numbers: Numbers, delta: float) -> MechanismRun:
    rate, noise, steps, target = (
        numbers.sample_rate,
        numbers.noise_multiplier,
        numbers.steps,
        numbers.target_epsilon,
    )
    run = MechanismRun(  # what is looked for is 1 until it is found
        sample_rate=rate or 1.0,
        noise_multiplier=noise or 1.0,
        steps=steps or 1,
        truncate_at=numbers.truncate_at,
        patients=numbers.patients if numbers.truncate_at else None,
        bands=numbers.bands,
    )
    if target is None:
        return run
    if noise is None:
        return run.model_copy(update={"noise_multiplier": noise_multiplier_for(target, delta=delta, run=run)})
    if steps is None:
        return run.model_copy(update={"steps": steps_for(target, delta=delta, run=run)})
    return run.model_copy(update={"sample_rate": sample_rate_for(target, delta=delta, run=run)})
