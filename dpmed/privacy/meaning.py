"""What an epsilon means: the best that any attacker can do at this budget, whatever they know and however they compute.

An attacker who tells "with this patient" from "without" with false-positive rate x has a true-positive rate of at most
e^epsilon * x + delta, for every pair (epsilon, delta) that holds at once (Wasserman & Zhou 2010; Kairouz et al. 2015;
Dong et al. 2022). The privacy loss distribution gives all pairs, so the bound is the least over them. Rebuilding a
patient's record that succeeds by guessing with probability kappa succeeds with at most e^epsilon * kappa + delta
(Balle et al. 2022; Kaissis et al. 2023).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dpmed.core.specs import Attacks, Neighbouring
from dpmed.privacy.accounting import privacy_loss
from dpmed.privacy.mechanisms import MechanismRun

FALSE_POSITIVES = (0.001, 0.01)
PRIOR = 1e-4
"""Chance of guessing the record without the model, if nothing else is stated: one in ten thousand."""
GRID = np.concatenate([np.linspace(0, 5, 251), np.linspace(5, 60, 276)[1:]])
"""Epsilons at which the pairs are computed: every pair gives a true bound, so the grid only loosens it."""

BEST_ATTACK = (
    "Whoever tries to tell whether one patient took part, with any method and any knowledge, finds at most {low:.2%} "
    "of those who did while accusing 0.1 % of those who did not ({high:.1%} while accusing 1 %), and is right at most "
    "{accuracy:.1%} of the time where a coin is right 50 %. A record that is guessed with chance {prior:g} without "
    "the model is rebuilt with chance at most {reconstruction:.3g} with it."
)


def attacks(
    runs: Sequence[MechanismRun], *, neighbouring: Neighbouring = "add-or-remove-one", prior: float = PRIOR
) -> Attacks:
    """The best possible attacks on one patient against everything that `runs` released.

    `prior`: the chance of guessing the patient's record without it. Without runs nothing is better than guessing.
    """
    deltas = _deltas(runs, neighbouring)
    return Attacks(
        tpr_at_fpr={f"{rate:g}": best_tpr(rate, deltas) for rate in FALSE_POSITIVES},
        balanced_accuracy=(1 + float(deltas[0])) / 2,
        reconstruction=_bounded(prior, deltas),
        prior=prior,
    )


def in_words(bounds: Attacks) -> str:
    """Bounds for somebody who does not know what epsilon is."""
    return BEST_ATTACK.format(
        low=bounds.tpr_at_fpr["0.001"],
        high=bounds.tpr_at_fpr["0.01"],
        accuracy=bounds.balanced_accuracy,
        prior=bounds.prior,
        reconstruction=bounds.reconstruction,
    )


def receiver_curve(
    runs: Sequence[MechanismRun], *, neighbouring: Neighbouring = "add-or-remove-one"
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """False-positive rates from one in ten thousand to all, and the highest true-positive rate at each."""
    deltas = _deltas(runs, neighbouring)
    rates = np.logspace(-4, 0, 81)
    return rates, np.array([best_tpr(float(rate), deltas) for rate in rates])


def best_tpr(false_positives: float, deltas: Float[np.ndarray, " epsilon"]) -> float:
    """The highest true-positive rate; `deltas` are those that hold at the epsilons of `GRID`.

    Both ways round: no patient is easier to declare absent than present.
    """
    backward = 1 - np.exp(-GRID) * (1 - deltas - false_positives)
    return float(min(_bounded(false_positives, deltas), np.clip(backward, 0, 1).min()))


def _deltas(runs: Sequence[MechanismRun], neighbouring: Neighbouring) -> Float[np.ndarray, " epsilon"]:
    if not runs:
        return np.zeros_like(GRID)
    return np.asarray(privacy_loss(runs, neighbouring=neighbouring).get_delta(GRID))  # takes many at once


def _bounded(chance: float, deltas: Float[np.ndarray, " epsilon"]) -> float:
    return float(np.clip(np.exp(GRID) * chance + deltas, 0, 1).min())
