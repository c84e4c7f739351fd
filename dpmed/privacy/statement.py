"""What a run guarantees, in numbers and in words. An epsilon is never printed alone (promise 8)."""

from collections.abc import Sequence
from functools import lru_cache

from dpmed.core.errors import MismatchError
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Attacks, Entry, Statement
from dpmed.privacy.accounting import agrees, epsilon, in_numbers, second_opinions
from dpmed.privacy.meaning import attacks, in_words
from dpmed.privacy.mechanisms import MechanismRun, mechanism_runs

SAMPLING = "each step drew each training patient independently with the stated sample rate (Poisson), from OS entropy"
TRUNCATED = "draws of more than {most} patients were cut to so many at random; what that costs is counted"
CYCLIC = (
    "patients are in {bands} groups by pseudonym; each step drew from one group, in turn, each of its patients "
    "independently with the stated sample rate (Poisson), from OS entropy (DP-BandMF)"
)
NUMBER_IS_PUBLIC = "the number of training patients is public; it fixes the divisor of every step"
RECIPE_IS_PUBLIC = "the recipe was not chosen by looking at these patients; a search on them costs more"
PUBLIC_START = "the weights that training started from were made without these patients"

COVERS = (
    "for every training patient: the trained weights and what else of the training is in release/",
    "anything computed from them alone, by anybody, with any side knowledge",
)
DOES_NOT_COVER = (
    "metrics and pictures of held-out patients, and everything in curator/",
    "other runs on the same patients: their epsilons add up (dpmed epsilon --data DIR)",
    "what the model teaches about people in general, such as that a finding goes with a disease",
    "identifiers in the images themselves: that is de-identification, not differential privacy",
)
NO_GUARANTEE = "No guarantee: {why}. These weights may hold what can be traced to single patients; keep them inside."


def statement(config: RunConfig, entries: Sequence[Entry]) -> Statement:
    """The statement of the steps paid so far.

    Epsilon is by PLD; raises `MismatchError` if Opacus' PRV and RDP do not support it.
    """
    why = _why_invalid(config, entries)
    delta = config.recipe.privacy.delta
    runs = () if any(entry.mechanism == "none" for entry in entries) else mechanism_runs(entries)
    reckoned = None if why else _reckoned(runs, delta)
    spent, opinions, bounds = reckoned or (None, {}, None)
    words = _words(*reckoned, config) if reckoned else NO_GUARANTEE.format(why=why)
    last = entries[-1] if entries else None
    return Statement(
        epsilon=spent,
        delta=delta,
        sampling=_sampling(config),
        second_opinions=opinions,
        noise_multiplier=last.noise_multiplier if last else 0.0,
        sample_rate=last.sample_rate if last else 0.0,
        clip_norm=last.clip_norm if last else None,
        steps=len(entries),
        assumptions=_assumptions(config),
        covers=COVERS if spent is not None else (),
        does_not_cover=DOES_NOT_COVER,
        attacks=bounds,
        valid=not why,
        why_invalid=why,
        words=words,
    )


@lru_cache  # a study asks for the same runs again and again
def _reckoned(runs: tuple[MechanismRun, ...], delta: float) -> tuple[float, dict[str, float], Attacks]:
    """Epsilon, what other accountants say, and what attacks it leaves."""
    spent, opinions = epsilon(runs, delta=delta), second_opinions(runs, delta=delta)
    if not agrees(spent, opinions):
        raise MismatchError(
            f"the accountants disagree: {in_numbers({'pld': spent, **opinions}, digits=4)}",
            hint="do not release this run; report these numbers with the recipe",
        )
    return spent, opinions, attacks(runs)


def _why_invalid(config: RunConfig, entries: Sequence[Entry]) -> str:
    if config.privacy is None or any(entry.mechanism == "none" for entry in entries):
        return "the run was trained without noise or clipping (--non-private)"
    if config.demo_seed is not None:
        return "INVALID, the noise was fixed by --demo-seed and can be subtracted"
    return ""


def _sampling(config: RunConfig) -> str:
    return config.privacy.sampling if config.privacy else "Poisson"


def _assumptions(config: RunConfig) -> tuple[str, ...]:
    spec = config.privacy
    sampling: tuple[str, ...] = (SAMPLING,)
    if spec is not None and spec.truncate_at is not None:
        sampling = (SAMPLING, TRUNCATED.format(most=spec.truncate_at))
    elif spec is not None and spec.bands > 1:
        sampling = (CYCLIC.format(bands=spec.bands),)
    always = (*sampling, NUMBER_IS_PUBLIC, RECIPE_IS_PUBLIC)
    start = (PUBLIC_START,) if config.init_sha256 else ()
    delta = config.recipe.privacy.delta
    if delta * config.patients < 1:
        return always + start
    return (
        *always,
        *start,
        f"delta {delta:g} is not below 1/{config.patients} (one per patient): choose a smaller one",
    )


def _words(spent: float, opinions: dict[str, float], bounds: Attacks, config: RunConfig) -> str:
    return (
        f"For any one training patient, with all scans: whatever is released is at most e^epsilon times as likely with "
        f"that patient as without, and the other way round, but for a probability of about delta. Epsilon {spent:.3f} "
        f"at delta {config.recipe.privacy.delta:g}, per patient, add-or-remove-one, by the PLD accountant (Opacus: "
        f"{in_numbers(opinions)}), with patients drawn by {_sampling(config)} sampling. It covers the weights and what "
        f"else of the training is in release/; it does not cover metrics on held-out patients, curator/, or other runs "
        f"on the same patients. {in_words(bounds)}"
    )
