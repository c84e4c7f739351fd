"""One object that binds the vault's parts, so that what is sampled, noised and written down cannot drift apart."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dpmed.core.specs import Entry, PrivacySpec
from dpmed.privacy.banded import BandedNoise
from dpmed.privacy.entropy import SecureSource
from dpmed.privacy.gradients import ClippedSum, NoisyGradient
from dpmed.privacy.noise import add_noise, without_noise
from dpmed.privacy.sampling import of_turn, poisson_sample, truncated


@dataclass(frozen=True)
class Plan:
    """What every step does. The `spec` is public; the sampled patients are not.

    Each draw takes a new generator keyed by the operating system, so nothing about past or future draws is ever held
    in memory or written to disk, and a resumed run repeats no noise. `demo_seed` fixes the keys instead: the run is
    then reproducible and its statement INVALID. With `private` False nothing is clipped, noised or promised.

    With several bands the noise of the last steps is held in memory, and nowhere else, to be partly taken back by the
    next; `momentum`, the optimizer's, decides by how much.
    """

    spec: PrivacySpec
    patients: tuple[str, ...]
    private: bool = True
    demo_seed: int | None = None
    momentum: float = 0.0

    def sample(self, step: int) -> tuple[str, ...]:
        """The patients of a step: each whose turn it is with probability `sample_rate`, independently. Secret."""
        source = self._source("sampling", step)
        drawn = poisson_sample(of_turn(self.patients, step, self.spec.bands), self.spec.sample_rate, source)
        return drawn if self.spec.truncate_at is None else truncated(drawn, self.spec.truncate_at, source)

    def entry(self, step: int) -> Entry:
        """What the step costs, for the ledger."""
        return self.spec.entry(step)

    def noise(self, step: int, count: int) -> np.ndarray:
        """So many standard normals for one step, drawn once; none for a run without noise. Secret."""
        return self._source("noise", step).normals(count if self.private else 0)

    def add_noise(self, clipped: ClippedSum, noise: np.ndarray) -> NoisyGradient:
        """The mean gradient that may be released: noised, then divided by the fixed expected number of patients.

        `noise` is what `noise` drew for this step, at least one number for each weight.
        """
        if not self.private:
            return without_noise(clipped, expected_batch_size=self.spec.expected_batch_size)
        return add_noise(
            clipped,
            noise_multiplier=self._noise_multiplier,
            expected_batch_size=self.spec.expected_batch_size,
            draw=lambda count: self._banded.correlated(noise[:count]),
        )

    @cached_property
    def _banded(self) -> BandedNoise:
        return BandedNoise(self.spec.bands, momentum=self.momentum)

    @property
    def _noise_multiplier(self) -> float:
        assert self.spec.noise_multiplier is not None, "a plan is made from a calibrated spec"
        return self.spec.noise_multiplier

    def _source(self, purpose: str, step: int) -> SecureSource:
        if self.demo_seed is None:
            return SecureSource.system()
        return SecureSource.fixed(self.demo_seed, f"{purpose} of step {step}")
