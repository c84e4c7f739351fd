"""Before a patient is touched: which batch, steps and noise give the best signal at the same epsilon.

At one epsilon, larger batches need more noise but not as much more: the noise in the mean gradient,
noise_multiplier / batch, falls as batches grow, up to all patients ("virtual" large batches by accumulation; De et al.
2022, arXiv:2204.13650; Kurakin et al. 2022, arXiv:2201.12328). More steps need more noise per step, too.
"""

import math
from collections.abc import Sequence

from dpmed.core.record import Record
from dpmed.core.specs import Attacks
from dpmed.privacy.calibration import noise_multiplier_for
from dpmed.privacy.meaning import attacks
from dpmed.privacy.mechanisms import MechanismRun

EPSILONS_TO_CHOOSE = (1.0, 3.0, 8.0, 20.0)
SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Expected batches to compare, as shares of the cohort."""


class Choice(Record):
    """One epsilon a board may choose, and what it allows."""

    epsilon: float
    noise_multiplier: float
    attacks: Attacks


class Batch(Record):
    """One expected batch size at a fixed epsilon. `noise_per_patient`: noise of the mean gradient in clip norms.

    `signal_to_noise` is that of all steps together, for a gradient that all patients share at the clip norm: it adds up
    over steps, noise only by their root.
    """

    expected_batch_size: int
    sample_rate: float
    steps: int
    noise_multiplier: float
    noise_per_patient: float
    signal_to_noise: float


def choices(run: MechanismRun, *, delta: float, epsilons: Sequence[float] = EPSILONS_TO_CHOOSE) -> tuple[Choice, ...]:
    """The same run at several epsilons: the noise each needs, and the best attack it leaves."""
    found = []
    for target in epsilons:
        noise = noise_multiplier_for(target, delta=delta, run=run, rough=True)
        bounds = attacks([run.model_copy(update={"noise_multiplier": noise})])
        found.append(Choice(epsilon=target, noise_multiplier=noise, attacks=bounds))
    return tuple(found)


def batches(*, target: float, delta: float, steps: int, patients: int, also: int | None = None) -> tuple[Batch, ...]:
    """What each expected batch costs in noise at epsilon `target`: shares of the cohort, and `also` this one."""
    sizes = sorted({max(1, round(patients * share)) for share in SHARES} | ({also} if also else set()))
    found = []
    for size in sizes:
        run = MechanismRun(sample_rate=size / patients, noise_multiplier=1.0, steps=steps)
        noise = noise_multiplier_for(target, delta=delta, run=run, rough=True)
        found.append(
            Batch(
                expected_batch_size=size,
                sample_rate=run.sample_rate,
                steps=steps,
                noise_multiplier=noise,
                noise_per_patient=noise / size,
                signal_to_noise=math.sqrt(steps) * size / noise,
            )
        )
    return tuple(found)
