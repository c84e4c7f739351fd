"""What was spent, what a run would cost, what noise a target needs.

The number that dpmed reports is dp-accounting's privacy loss distribution (PLD; Koskela et al. 2020, Doroshenko et al.
2022) for Poisson-subsampled Gaussian mechanisms under add-or-remove-one. Opacus' RDP (Mironov 2017) and PRV (Gopi et
al. 2021) are second opinions from another code base. The Gaussian-DP (CLT) accountant lies below the truth and is
not offered.
"""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

from dp_accounting import (
    DpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from scipy.optimize import brentq

from dpmed.core.errors import ConfigError
from dpmed.core.record import Record
from dpmed.core.specs import Accountant, Count, Entry, Positive, PrivacySpec, Rate

PRV_ERROR = 0.01
"""Opacus' PRV gives an upper estimate at most this far (and rounding) above the truth."""

LEAST_NOISE, MOST_NOISE = 0.2, 1e5
"""The noise multipliers that calibration looks at."""

CALIBRATION_SLACK = 2e-4
"""How much of a target epsilon calibration may leave unused before it searches on the fine grid."""

MOST_EPSILON = 1000.0
"""Above this (by RDP) no number is computed: it protects nobody, and the exact accountants need gigabytes for it."""

REPORTED_INTERVAL = 1e-4
"""The grid of the privacy loss on which a reported epsilon is computed."""

AGREEMENT = 1e-3
"""How far PLD may lie outside what the second opinions allow."""


class MechanismRun(Record):
    """`steps` equal steps: each patient in with `sample_rate`, noise of `noise_multiplier` times the bound."""

    sample_rate: Rate
    noise_multiplier: Positive
    steps: Count

    def event(self) -> DpEvent:
        """The mechanism as a dp-accounting value."""
        step = PoissonSampledDpEvent(self.sample_rate, GaussianDpEvent(self.noise_multiplier))
        return SelfComposedDpEvent(step, self.steps)


def mechanism_runs(entries: Iterable[Entry]) -> tuple[MechanismRun, ...]:
    """A ledger's entries as composable runs, equal neighbours merged. Steps without noise have no mechanism.

    Raises `ValueError` for those: nothing bounds what they spend.
    """
    entries = tuple(entries)
    if any(entry.mechanism == "none" for entry in entries):
        raise ValueError("a step without noise has no finite epsilon")
    groups = groupby(entries, key=lambda entry: (entry.sample_rate, entry.noise_multiplier))
    return tuple(
        MechanismRun(sample_rate=rate, noise_multiplier=noise, steps=len(list(group)))
        for (rate, noise), group in groups
    )


def epsilon(runs: Sequence[MechanismRun], *, delta: float, accountant: Accountant = "pld") -> float:
    """Epsilon at `delta` of all `runs` together. No run has spent nothing."""
    if not runs:
        return 0.0
    check_noise(runs, delta=delta)
    return {"pld": _pld, "prv": _opacus_prv, "rdp": _rdp}[accountant](runs, delta)


def check_noise(runs: Sequence[MechanismRun], *, delta: float) -> None:
    """Raises `ConfigError` for noise so small that its epsilon means nothing."""
    if _rdp(runs, delta, orders=range(2, 256)) > MOST_EPSILON:
        raise ConfigError(
            f"so little noise spends an epsilon of about {MOST_EPSILON:,.0f} or more; it protects nobody",
            hint="raise the noise multiplier, or take fewer steps; --non-private trains without noise and says so",
        )


def second_opinions(runs: Sequence[MechanismRun], *, delta: float) -> dict[str, float]:
    """Epsilon by Opacus: `rdp` (an upper bound, looser) and `prv` (an upper estimate, as tight as PLD)."""
    if not runs:
        return {"rdp": 0.0, "prv": 0.0}
    return {"rdp": _opacus_rdp(runs, delta), "prv": _opacus_prv(runs, delta)}


def agrees(reported: float, opinions: dict[str, float]) -> bool:
    """Whether the second opinions support a PLD epsilon: PRV within its stated error, RDP not below."""
    slack = AGREEMENT * max(1.0, reported)
    near = -slack <= opinions["prv"] - reported <= 2 * PRV_ERROR + slack
    return near and opinions["rdp"] >= reported - slack


def noise_multiplier_for(target: float, *, delta: float, sample_rate: float, steps: int) -> float:
    """The least noise multiplier whose epsilon does not pass `target`, to four digits, rounded up."""

    def run(noise_multiplier: float) -> MechanismRun:
        return MechanismRun(sample_rate=sample_rate, noise_multiplier=noise_multiplier, steps=steps)

    def spent(noise_multiplier: float) -> float:
        return _quick_pld(run(noise_multiplier), delta)

    high = _enough_by_rdp(run, target, delta)
    low = high
    while spent(low) < target:
        high, low = low, low * 0.8
        if low < LEAST_NOISE:
            raise ConfigError(
                f"epsilon {target:g} is so large that it needs almost no noise; it protects nobody",
                hint="ask for an epsilon of at most about 20",
            )
    root = float(brentq(lambda noise: spent(noise) - target, low, high, xtol=2e-5))
    if target - epsilon([run(root)], delta=delta) > CALIBRATION_SLACK:
        root = float(brentq(lambda noise: epsilon([run(noise)], delta=delta) - target, 0.8 * root, root, xtol=2e-5))
    grid = math.ceil(root * 1e4) / 1e4
    while epsilon([run(grid)], delta=delta) > target:
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


def calibrated(spec: PrivacySpec) -> PrivacySpec:
    """The spec with the noise multiplier that its epsilon needs. Raises `ConfigError` if none is practical."""
    if spec.epsilon is None:
        raise ConfigError("there is neither an epsilon nor a noise multiplier", hint="give --epsilon")
    noise_multiplier = noise_multiplier_for(
        spec.epsilon, delta=spec.delta, sample_rate=spec.sample_rate, steps=spec.steps
    )
    return spec.model_copy(update={"noise_multiplier": noise_multiplier})


@dataclass(frozen=True)
class EpsilonCurve:
    """What a run has spent so far, never understated: computed at a few steps, and in between that of the next one.

    A run computes it at most `points` times, so the live display costs nothing to speak of.
    """

    run: MechanismRun
    delta: float
    points: int = 25
    _known: dict[int, float] = field(default_factory=dict, repr=False)

    def upper_bound(self, steps: int) -> float:
        """An epsilon that `steps` steps have not passed."""
        stride = math.ceil(self.run.steps / self.points)
        at = min(self.run.steps, math.ceil(steps / stride) * stride)
        if at not in self._known:
            self._known[at] = _quick_pld(self.run.model_copy(update={"steps": at}), self.delta)
        return self._known[at]


def _enough_by_rdp(run: Callable[[float], MechanismRun], target: float, delta: float) -> float:
    """A noise multiplier that is enough: RDP is quick and never below PLD."""
    noise = LEAST_NOISE
    while _rdp([run(noise)], delta, orders=range(2, 256)) > target:
        noise *= 1.25
        if noise > MOST_NOISE:
            raise ConfigError(
                f"epsilon {target:g} would need a noise multiplier above {MOST_NOISE:,.0f}",
                hint="allow a larger epsilon, fewer steps or a smaller sample rate",
            )
    return noise


def _quick_pld(run: MechanismRun, delta: float) -> float:
    """PLD on a coarser grid: never below the exact value, and above it by about 1e-4.

    The excess of dp-accounting's pessimistic grid was measured as 0.3 * steps * interval^2.
    """
    return _pld([run], delta, interval=max(REPORTED_INTERVAL, math.sqrt(3e-4 / run.steps)))


def _rdp(runs: Sequence[MechanismRun], delta: float, *, orders: Sequence[float] | None = None) -> float:
    counter = RdpAccountant(orders)
    with _quiet():
        for run in runs:
            counter.compose(run.event())
        return float(counter.get_epsilon(delta))


def _pld(runs: Sequence[MechanismRun], delta: float, *, interval: float = REPORTED_INTERVAL) -> float:
    counter = PLDAccountant(value_discretization_interval=interval)
    for run in runs:
        counter.compose(run.event())
    return float(counter.get_epsilon(delta))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep remarks of the libraries off the terminal: an order left out or a log of 0 only loosens an upper bound."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _opacus_rdp(runs: Sequence[MechanismRun], delta: float) -> float:
    from opacus.accountants.analysis import rdp

    orders = [1 + x / 10 for x in range(1, 100)] + [*range(11, 64), *(2**power for power in range(6, 14))]
    total = sum(
        rdp.compute_rdp(q=run.sample_rate, noise_multiplier=run.noise_multiplier, steps=run.steps, orders=orders)
        for run in runs
    )
    with _quiet():
        spent, _ = rdp.get_privacy_spent(orders=orders, rdp=total, delta=delta)
    return float(spent)


def _opacus_prv(runs: Sequence[MechanismRun], delta: float) -> float:
    from opacus.accountants import PRVAccountant

    counter = PRVAccountant()
    counter.history = [(run.noise_multiplier, run.sample_rate, run.steps) for run in runs]
    with _quiet():
        return float(counter.get_epsilon(delta, eps_error=PRV_ERROR))
