"""What was spent: epsilon by three accountants of two code bases.

The number that dpmed reports is dp-accounting's privacy loss distribution (PLD; Koskela et al. 2020, Doroshenko et al.
2022), under add-or-remove-one unless another neighbouring relation is asked for. Opacus' RDP (Mironov 2017) and PRV
(Gopi et al. 2021) are second opinions from another code base. The Gaussian-DP (CLT) accountant lies below the truth
and is not offered.
"""

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from dp_accounting import NeighboringRelation
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from jaxtyping import Float

from dpmed.core.errors import ConfigError
from dpmed.core.specs import Accountant, Neighbouring
from dpmed.privacy.mechanisms import MechanismRun, composed

PRV_ERROR = 0.01
"""Opacus' PRV gives an upper estimate at most this far (and rounding) above the truth."""

MOST_EPSILON = 1000.0
"""Above this (by RDP) no number is computed: it protects nobody, and the exact accountants need gigabytes for it."""

REPORTED_INTERVAL = 1e-4
"""The grid of the privacy loss on which a reported epsilon is computed."""

AGREEMENT = 1e-3
"""How far PLD may lie outside what the second opinions allow."""

ORDERS = tuple([1 + tenths / 10 for tenths in range(1, 100)] + [*range(11, 64), *(2**power for power in range(6, 14))])
"""Of Renyi divergences, for the second opinion."""

FEW_ORDERS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)

RELATIONS = {
    "add-or-remove-one": NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace-one": NeighboringRelation.REPLACE_ONE,
    "zero-out": NeighboringRelation.REPLACE_SPECIAL,
}


def epsilon(
    runs: Sequence[MechanismRun],
    *,
    delta: float,
    accountant: Accountant = "pld",
    neighbouring: Neighbouring = "add-or-remove-one",
) -> float:
    """Epsilon at `delta` of all `runs` together. No run has spent nothing.

    Raises `ConfigError` for noise that protects nobody, and where only PLD knows the mechanism or the relation.
    """
    if not runs:
        return 0.0
    if neighbouring == "replace-one" and any(run.bands > 1 for run in runs):
        raise ConfigError(
            "under replace-one a patient and the replacement may be in different groups of bandmf",
            hint="--neighbouring add-or-remove-one or zero-out",
        )
    check_noise(runs, delta=delta)
    if accountant == "pld":
        return float(privacy_loss(runs, neighbouring=neighbouring).get_epsilon(delta))
    if neighbouring == "replace-one" or any(run.truncate_at for run in runs):
        raise ConfigError(
            f"{accountant.upper()} does not know this sampling or neighbouring relation", hint="--accountant pld"
        )
    return _opacus_prv(runs, delta) if accountant == "prv" else _rdp(runs, delta)


def privacy_loss(
    runs: Sequence[MechanismRun],
    *,
    neighbouring: Neighbouring = "add-or-remove-one",
    interval: float = REPORTED_INTERVAL,
) -> PLDAccountant:
    """The privacy loss distribution of all runs together; gives epsilon for delta and delta for epsilon."""
    counter = PLDAccountant(RELATIONS[neighbouring], value_discretization_interval=interval)
    counter.compose(composed(runs))
    return counter


def quick_epsilon(run: MechanismRun, delta: float, *, excess: float = 1e-4) -> float:
    """PLD on a coarser grid: never below the exact value, and above it by about `excess`.

    The excess of dp-accounting's pessimistic grid was measured as 0.3 * steps * interval^2.
    """
    interval = max(REPORTED_INTERVAL, math.sqrt(excess / 0.3 / run.steps))
    return float(privacy_loss([run], interval=interval).get_epsilon(delta))


def rdp_epsilon(runs: Sequence[MechanismRun], delta: float) -> float:
    """An upper bound in milliseconds, by few Renyi orders: any order gives one."""
    return _rdp(runs, delta, orders=FEW_ORDERS)


def without_truncation(runs: Sequence[MechanismRun]) -> tuple[MechanismRun, ...]:
    """The same with plain Poisson sampling, which every accountant knows: near, but not above, the truncated cost."""
    return tuple(run.model_copy(update={"truncate_at": None, "patients": None}) for run in runs)


def check_noise(runs: Sequence[MechanismRun], *, delta: float) -> None:
    """Raises `ConfigError` for noise so small that its epsilon means nothing."""
    if rdp_epsilon(runs, delta) > MOST_EPSILON:
        raise ConfigError(
            f"so little noise spends an epsilon of about {MOST_EPSILON:,.0f} or more; it protects nobody",
            hint="raise the noise multiplier, or take fewer steps; --non-private trains without noise and says so",
        )


def second_opinions(runs: Sequence[MechanismRun], *, delta: float) -> dict[str, float]:
    """Epsilon by Opacus: `rdp` (an upper bound, looser) and `prv` (an upper estimate, as tight as PLD).

    Truncated sampling is unknown to Opacus: there it is `prv_untruncated` alone, of the run without truncation, which
    costs less.
    """
    if any(run.truncate_at for run in runs):
        return {"prv_untruncated": _opacus_prv(without_truncation(runs), delta)}
    if not runs:
        return {"rdp": 0.0, "prv": 0.0}
    total = sum(run.participations * rdp_of_one_step(run) for run in runs)
    return {"rdp": epsilon_of_rdp(np.asarray(total), delta), "prv": _opacus_prv(runs, delta)}


def agrees(reported: float, opinions: dict[str, float]) -> bool:
    """Whether the second opinions support a PLD epsilon: PRV within its stated error, RDP and truncation not below."""
    slack = AGREEMENT * max(1.0, reported)
    if "prv_untruncated" in opinions:
        return reported >= opinions["prv_untruncated"] - 2 * PRV_ERROR - slack
    near = -slack <= opinions["prv"] - reported <= 2 * PRV_ERROR + slack
    return near and opinions["rdp"] >= reported - slack


def in_numbers(opinions: dict[str, float], *, digits: int = 3) -> str:
    """Epsilons by accountant, in words."""
    names = {"prv_untruncated": "PRV without truncation"}
    return ", ".join(f"{names.get(name, name.upper())} {value:.{digits}f}" for name, value in opinions.items())


def _rdp(runs: Sequence[MechanismRun], delta: float, *, orders: Sequence[float] | None = None) -> float:
    counter = RdpAccountant(orders)
    with quiet():
        counter.compose(composed(without_truncation(runs)))
        return float(counter.get_epsilon(delta))


@contextmanager
def quiet() -> Iterator[None]:
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


def rdp_of_one_step(run: MechanismRun) -> Float[np.ndarray, " order"]:
    """The Renyi divergence of one step at each of `ORDERS`; that of several is the sum."""
    from opacus.accountants.analysis import rdp

    return np.asarray(rdp.compute_rdp(q=run.sample_rate, noise_multiplier=run.noise_multiplier, steps=1, orders=ORDERS))


def epsilon_of_rdp(divergence: Float[np.ndarray, " order"], delta: float) -> float:
    """The epsilon that divergences at `ORDERS` allow: an upper bound, by whichever order is best."""
    from opacus.accountants.analysis import rdp

    with quiet():
        spent, _ = rdp.get_privacy_spent(orders=ORDERS, rdp=divergence, delta=delta)
    return float(spent)


def _opacus_prv(runs: Sequence[MechanismRun], delta: float) -> float:
    from opacus.accountants import PRVAccountant

    counter = PRVAccountant()
    counter.history = [(run.noise_multiplier, run.sample_rate, run.participations) for run in runs]
    with quiet():
        return float(counter.get_epsilon(delta, eps_error=PRV_ERROR))
