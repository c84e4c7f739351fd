"""What else could be counted: a search for the best run on the same patients, and images drawn instead of patients."""

import math
from collections.abc import Sequence

from dp_accounting.dp_event import MixtureOfGaussiansDpEvent, RepeatAndSelectDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from scipy import stats

from dpmed.core.errors import ConfigError
from dpmed.privacy.accounting import REPORTED_INTERVAL, quiet, without_truncation
from dpmed.privacy.mechanisms import MechanismRun, composed

GEOMETRIC = 1.0
"""The shape of the number of tries: after each, another with a fixed probability (Papernot & Steinke 2022)."""
MOST_IMAGES = 64


def tuned_epsilon(runs: Sequence[MechanismRun], *, delta: float, mean_tries: float) -> float:
    """Epsilon at `delta` where the best of several tries was kept, by RDP: no tighter accountant is known.

    Each try spends `runs`; their number is random, geometric with mean `mean_tries`, and stays secret. A search of a
    fixed, known number of tries costs the sum of all of them instead. Raises `ConfigError` for less than one try.
    """
    if not mean_tries > 1:
        raise ConfigError("a search has more than one try on average", hint="leave --tuning-runs out for one run")
    counter = RdpAccountant()
    with quiet():
        counter.compose(RepeatAndSelectDpEvent(composed(without_truncation(runs)), mean_tries, GEOMETRIC))
        return float(counter.get_epsilon(delta))


def image_sampling_epsilon(
    run: MechanismRun, *, delta: float, images_per_patient: int, interval: float = REPORTED_INTERVAL
) -> float:
    """A patient's epsilon at `delta` if images were drawn and clipped one by one, each with `sample_rate`.

    A patient of k images then moves the sum by as many clip norms as fell into the step (mixture of Gaussians,
    Choquette-Choo et al. 2024, arXiv:2310.15526). Counted on a grid of `interval`, or coarser where the excess stays
    below 1e-3. Raises `ConfigError` beyond 64 images: the bound says nothing then.
    """
    if not 1 <= images_per_patient <= MOST_IMAGES:
        raise ConfigError(f"images per patient must be from 1 to {MOST_IMAGES}", hint="count whole patients instead")
    if run.truncate_at is not None or run.bands > 1:
        raise ConfigError(
            "drawing images is reckoned for plain Poisson sampling", hint="leave --images-per-patient out"
        )
    drawn = range(images_per_patient + 1)
    step = MixtureOfGaussiansDpEvent(
        run.noise_multiplier,
        [float(count) for count in drawn],
        [float(stats.binom.pmf(count, images_per_patient, run.sample_rate)) for count in drawn],
    )
    counter = PLDAccountant(value_discretization_interval=max(interval, math.sqrt(3e-4 / run.steps)))
    counter.compose(SelfComposedDpEvent(step, run.steps))
    return float(counter.get_epsilon(delta))
