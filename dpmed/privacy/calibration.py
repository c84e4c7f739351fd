"""What a target needs: the noise, the steps or the batch for an epsilon; and what a run has spent so far."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from scipy.optimize import brentq

from dpmed.core.errors import ConfigError
from dpmed.core.specs import PrivacySpec
from dpmed.privacy.accounting import epsilon, epsilon_of_rdp, quick_epsilon, rdp_epsilon, rdp_of_one_step
from dpmed.privacy.mechanisms import MechanismRun, run_of

LEAST_NOISE, MOST_NOISE = 0.2, 1e5
"""The noise multipliers that calibration looks at."""

ROUGH = 2e-4
MOST_STEPS = 10_000_000
MOST_WORTHWHILE = 20
"""How many times the planned noise is offered to a run that does not fit: with more, nothing is learned."""

LEAST_RATE = 1e-6
"""Of sampling: below, a cohort would have more patients than there are."""

CALIBRATION_SLACK = 2e-4
"""How much of a target epsilon calibration may leave unused before it searches on the fine grid."""


@lru_cache  # a study asks for the same runs again and again
def noise_multiplier_for(target: float, *, delta: float, run: MechanismRun, rough: bool = False) -> float:
    """The least noise multiplier with which `run` does not pass `target`, to four digits, rounded up.

    `rough` is for tables of many: never too little noise either, but up to a thousandth too much.
    """

    def noised(noise_multiplier: float) -> MechanismRun:
        return run.model_copy(update={"noise_multiplier": noise_multiplier})

    def spent(noise_multiplier: float) -> float:
        return quick_epsilon(noised(noise_multiplier), delta, excess=target * ROUGH if rough else 1e-4)

    def exactly(noise_multiplier: float) -> float:
        return epsilon([noised(noise_multiplier)], delta=delta)

    high = _enough_by_rdp(noised, target, delta)
    while run.truncate_at is not None and spent(high) > target:  # RDP does not know what truncation costs
        high *= 1.25
    low = high
    while spent(low) < target:
        high, low = low, low * 0.8
        if low < LEAST_NOISE:
            raise ConfigError(
                f"epsilon {target:g} is so large that it needs almost no noise; it protects nobody",
                hint="ask for an epsilon of at most about 20",
            )
    if rough:
        root = float(brentq(lambda noise: spent(noise) - target, low, high, rtol=ROUGH))
        return math.ceil(root * (1 + 2 * ROUGH) * 1e4) / 1e4
    root = float(brentq(lambda noise: spent(noise) - target, low, high, xtol=2e-5))
    if target - exactly(root) > CALIBRATION_SLACK:
        root = float(brentq(lambda noise: exactly(noise) - target, 0.8 * root, root, xtol=2e-5))
    grid = math.ceil(root * 1e4) / 1e4
    while exactly(grid) > target:
        grid += 1e-4
    return round(grid, 4)


def max_steps_for(target: float, *, before: Sequence[MechanismRun], run: MechanismRun, delta: float) -> int:
    """How many steps of `run` fit under `target` after `before`; 0 if none does. At most `run.steps`."""

    def fits(steps: int) -> bool:
        part = run.model_copy(update={"steps": steps})
        return epsilon([*before, part], delta=delta) <= target

    low, high = 0, run.steps
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def noise_after(target: float, *, before: Sequence[MechanismRun], run: MechanismRun, delta: float) -> float | None:
    """A noise multiplier with which all of `run` fits under `target` after `before`; None if none of use does."""

    def fits(noise_multiplier: float) -> bool:
        part = run.model_copy(update={"noise_multiplier": noise_multiplier})
        return epsilon([*before, part], delta=delta) <= target

    if before and epsilon(before, delta=delta) >= target:
        return None
    noise = run.noise_multiplier
    while not fits(noise):
        noise *= 1.5
        if noise > MOST_WORTHWHILE * run.noise_multiplier:
            return None
    low, high = noise / 1.5, noise
    while high / low > 1.01:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
    return math.ceil(high * 100) / 100


def steps_for(target: float, *, delta: float, run: MechanismRun) -> int:
    """The most steps with which `run` does not pass `target`. Raises `ConfigError` if not even one fits."""
    run = run.model_copy(update={"steps": 1})
    if epsilon([run], delta=delta) > target:
        raise ConfigError(
            f"one step at this noise already spends more than epsilon {target:g}", hint="raise the noise multiplier"
        )
    high = 2
    while high < MOST_STEPS and rdp_epsilon([run.model_copy(update={"steps": high})], delta) <= target:
        high *= 2
    # By RDP, `high` is too many; by the exact accountant a few more may fit than RDP allows.
    while high < MOST_STEPS and epsilon([run.model_copy(update={"steps": high})], delta=delta) <= target:
        high *= 2
    return max_steps_for(target, before=(), run=run.model_copy(update={"steps": min(high, MOST_STEPS)}), delta=delta)


def sample_rate_for(target: float, *, delta: float, run: MechanismRun) -> float:
    """The largest rate with which `run` does not pass `target`, to four digits, rounded down; 1 if all fits."""

    def drawn(rate: float) -> MechanismRun:
        return run.model_copy(update={"sample_rate": rate})

    def spent(rate: float) -> float:
        return quick_epsilon(drawn(rate), delta)

    def passes(rate: float) -> bool:
        return rdp_epsilon([drawn(rate)], delta) > 2 * target + 1

    low, high = LEAST_RATE, LEAST_RATE
    if spent(low) > target:
        raise ConfigError(
            f"even one patient in {1 / LEAST_RATE:,.0f} a step spends more than epsilon {target:g}",
            hint="raise the noise multiplier, or take fewer steps",
        )
    while high < 1 and not passes(high) and spent(high) <= target:
        low, high = high, min(1.0, 2 * high)
    if high == 1 and not passes(high) and spent(high) <= target:
        return 1.0
    while passes(high):
        high = (low + high) / 2
    if spent(high) > target:
        high = float(brentq(lambda rate: spent(rate) - target, low, high, rtol=1e-5))
    digits = 4 - math.ceil(math.log10(high))
    found: float = math.floor(high * 10**digits) / 10**digits
    while epsilon([drawn(found)], delta=delta) > target:
        found = round(found - 10**-digits, digits)
    return found


def calibrated(spec: PrivacySpec) -> PrivacySpec:
    """The spec with the noise multiplier that its epsilon needs. Raises `ConfigError` if none is practical."""
    if spec.epsilon is None:
        raise ConfigError("there is neither an epsilon nor a noise multiplier", hint="give --epsilon")
    run = run_of(spec.model_copy(update={"noise_multiplier": 1.0}))
    noise_multiplier = noise_multiplier_for(spec.epsilon, delta=spec.delta, run=run)
    return spec.model_copy(update={"noise_multiplier": noise_multiplier})


class EpsilonCurve:
    """What a run has spent so far, never understated, for less than a tenth of a millisecond a step.

    In between it is RDP's upper bound, which is linear in steps, at most that of the whole run; at the end it is PLD's.
    Where the sampling is unknown to RDP, it is that of the whole run from the first step on.
    """

    def __init__(self, run: MechanismRun, *, delta: float) -> None:
        self._run, self._delta = run, delta
        self._whole = quick_epsilon(run, delta)
        self._one_step = None if run.truncate_at else rdp_of_one_step(run)

    def upper_bound(self, steps: int) -> float:
        """An epsilon that `steps` steps have not passed."""
        if self._one_step is None or steps >= self._run.steps:
            return self._whole
        participations = -(-steps // self._run.bands)
        return min(self._whole, epsilon_of_rdp(participations * self._one_step, self._delta))


def _enough_by_rdp(run: Callable[[float], MechanismRun], target: float, delta: float) -> float:
    """A noise multiplier that is enough: RDP is quick and never below PLD."""
    noise = LEAST_NOISE
    while rdp_epsilon([run(noise)], delta) > target:
        noise *= 1.25
        if noise > MOST_NOISE:
            raise ConfigError(
                f"epsilon {target:g} would need a noise multiplier above {MOST_NOISE:,.0f}",
                hint="allow a larger epsilon, fewer steps or a smaller sample rate",
            )
    return noise
