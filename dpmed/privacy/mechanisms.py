"""What a run does to privacy, as a value: dp-accounting events, from bare numbers, a plan or a ledger."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Self

from dp_accounting.dp_event import (
    ComposedDpEvent,
    DpEvent,
    GaussianDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
    TruncatedSubsampledGaussianDpEvent,
)
from pydantic import model_validator

from dpmed.core.record import Record
from dpmed.core.specs import Count, Entry, Positive, Rate


class MechanismRun(Record):
    """`steps` equal steps: each patient in with `sample_rate`, noise of `noise_multiplier` times the bound.

    With `truncate_at`, a draw of more patients than that is cut down to a random choice of so many (truncated Poisson
    sampling, Ganesh et al. 2025, arXiv:2508.15089); its cost depends on the number of `patients`, which is public.
    """

    sample_rate: Rate
    noise_multiplier: Positive
    steps: Count
    truncate_at: Count | None = None
    patients: Count | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.truncate_at is None) != (self.patients is None):
            raise ValueError("truncate_at needs the number of patients, and only it does")
        return self

    def event(self) -> DpEvent:
        """The mechanism as a dp-accounting value."""
        if self.truncate_at is None or self.patients is None:
            step = PoissonSampledDpEvent(self.sample_rate, GaussianDpEvent(self.noise_multiplier))
        else:
            step = TruncatedSubsampledGaussianDpEvent(
                dataset_size=self.patients,
                sampling_probability=self.sample_rate,
                truncated_batch_size=self.truncate_at,
                noise_multiplier=self.noise_multiplier,
            )
        return SelfComposedDpEvent(step, self.steps)


def composed(runs: Sequence[MechanismRun]) -> DpEvent:
    """All runs on the same patients as one event."""
    return ComposedDpEvent([run.event() for run in runs])


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
