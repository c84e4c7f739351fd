"""What a run does to privacy, as a value: dp-accounting events, from bare numbers, a plan or a ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from dp_accounting.dp_event import (
    ComposedDpEvent,
    DpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
    TruncatedSubsampledGaussianDpEvent,
)

from dpmed.core.specs import Count, Drawing, Entry, Positive, PrivacySpec


class MechanismRun(Drawing):
    """`steps` equal steps: who is drawn, and noise of `noise_multiplier` times the bound."""

    noise_multiplier: Positive
    steps: Count

    @property
    def participations(self) -> int:
        """In how many of the steps a patient may be drawn: in all, or in every `bands`-th."""
        return -(-self.steps // self.bands)

    def step(self) -> DpEvent:
        """One participation as a dp-accounting value."""
        if self.truncate_at is None or self.patients is None:
            return PoissonSampledDpEvent(self.sample_rate, GaussianDpEvent(self.noise_multiplier))
        return TruncatedSubsampledGaussianDpEvent(
            dataset_size=self.patients,
            sampling_probability=self.sample_rate,
            truncated_batch_size=self.truncate_at,
            noise_multiplier=self.noise_multiplier,
        )


def composed(runs: Sequence[MechanismRun]) -> DpEvent:
    """All runs on the same patients as one event; equal steps are counted together, which is quicker."""
    counts: Counter[DpEvent] = Counter()
    for run in runs:
        counts[run.step()] += run.participations
    return ComposedDpEvent([SelfComposedDpEvent(step, count) for step, count in counts.items()])


def run_of(spec: PrivacySpec) -> MechanismRun:
    """A whole run of a calibrated spec."""
    assert spec.noise_multiplier is not None, "only a calibrated spec is a mechanism"
    return MechanismRun(**spec.drawing, noise_multiplier=spec.noise_multiplier, steps=spec.steps)


def mechanism_runs(entries: Iterable[Entry]) -> tuple[MechanismRun, ...]:
    """A ledger's entries as composable runs, equal neighbours merged. Steps without noise have no mechanism.

    Raises `ValueError` for those: nothing bounds what they spend.
    """
    entries = tuple(entries)
    if any(entry.mechanism == "none" for entry in entries):
        raise ValueError("a step without noise has no finite epsilon")
    groups = groupby(entries, key=lambda entry: {**entry.drawing, "noise_multiplier": entry.noise_multiplier})
    return tuple(MechanismRun(**numbers, steps=len(list(group))) for numbers, group in groups)
