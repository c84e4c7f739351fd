"""What a dataset has spent in its life: `budget.jsonl` beside the manifest, shared by all runs (promise 4).

A run is charged in full before its first step (`reserve`) and for what it took at its end (`settle`). A run that
crashed stays charged in full until it is resumed and settles. A file lock keeps two processes from spending the same
remainder.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from filelock import FileLock

from dpmed.core.chain import Chain
from dpmed.core.errors import BudgetError, ConfigError
from dpmed.core.folders import DatasetFolder
from dpmed.core.record import Record
from dpmed.core.specs import Positive, Probability
from dpmed.privacy.accounting import MechanismRun, epsilon, max_steps_for


class Limit(Record):
    """The most that a dataset may ever spend."""

    epsilon: Positive
    delta: Probability


class Budget:
    """The lifetime ledger of one dataset."""

    def __init__(self, folder: DatasetFolder) -> None:
        self._folder = folder

    @property
    def limit(self) -> Limit | None:
        """The limit in force: the last one set."""
        limits = [record for record in self._records() if record["kind"] == "limit"]
        return Limit(epsilon=limits[-1]["epsilon"], delta=limits[-1]["delta"]) if limits else None

    @property
    def is_void(self) -> bool:
        """Whether a run without noise was trained: if its weights leave, no epsilon describes the dataset."""
        return any(record["kind"] == "reserve" and not record["private"] for record in self._records())

    @property
    def largest_delta(self) -> float:
        """The largest delta that a run named; 1e-5 before the first."""
        return max((record["delta"] for record in self._records() if record["kind"] == "reserve"), default=1e-5)

    def lifetime(self) -> tuple[MechanismRun, ...]:
        """Every private run, at the steps it is charged for."""
        return tuple(run for runs in _charged(self._records()).values() for run in runs)

    def set_limit(self, epsilon_limit: float, delta: float) -> None:
        """Set the limit; refused if more has been spent already."""
        limit = Limit(epsilon=epsilon_limit, delta=delta)
        with self._locked() as chain:
            spent = epsilon(self.lifetime(), delta=limit.delta)
            if spent > limit.epsilon:
                raise BudgetError(
                    f"the dataset has already spent epsilon {spent:.3f} at delta {limit.delta:g} per patient",
                    hint="set a limit above that; what is spent cannot be taken back",
                )
            chain.append({"kind": "limit", **limit.model_dump()})

    def reserve(self, run: str, planned: Sequence[MechanismRun], *, delta: float, private: bool) -> None:
        """Charge a run in full before its first step. A run that is resumed is not charged again.

        Raises `BudgetError` if the limit would be passed; nothing is written then.
        """
        with self._locked() as chain:
            if any(record["kind"] == "reserve" and record["run"] == run for record in chain.records):
                return
            if private:
                self._check(planned)
            runs = [part.model_dump() for part in planned] if private else []
            chain.append({"kind": "reserve", "run": run, "private": private, "delta": delta, "planned": runs})

    def settle(self, run: str, *, steps: int) -> None:
        """Charge a finished run for the steps it took."""
        with self._locked() as chain:
            if not any(record["kind"] == "settle" and record["run"] == run for record in chain.records):
                chain.append({"kind": "settle", "run": run, "steps": steps})

    def _check(self, planned: Sequence[MechanismRun]) -> None:
        limit = self.limit
        if limit is None:
            return
        before = self.lifetime()
        total = epsilon([*before, *planned], delta=limit.delta)
        if total <= limit.epsilon:
            return
        spent = epsilon(before, delta=limit.delta)
        steps = max_steps_for(limit.epsilon, before=before, run=planned[0], delta=limit.delta)
        raise BudgetError(
            f"this run would bring the dataset to epsilon {total:.3f} of {limit.epsilon:g} at delta {limit.delta:g} "
            f"per patient; {spent:.3f} is spent",
            hint=f"at this noise {steps} steps fit: --steps {steps} --set privacy.noise_multiplier="
            f"{planned[0].noise_multiplier:g}"
            if steps
            else "no step at this noise fits; ask for a smaller --epsilon",
        )

    def _records(self) -> list[dict[str, Any]]:
        return Chain(self._folder.budget).records

    @contextmanager
    def _locked(self) -> Iterator[Chain]:
        if not self._folder.root.is_dir():
            raise ConfigError("the dataset folder does not exist", hint="dpmed ingest SOURCE --out DIR")
        with FileLock(self._folder.budget.with_suffix(".lock")):
            yield Chain(self._folder.budget)


def _charged(records: Sequence[dict[str, Any]]) -> dict[str, tuple[MechanismRun, ...]]:
    settled = {record["run"]: record["steps"] for record in records if record["kind"] == "settle"}
    reserved = {record["run"]: record["planned"] for record in records if record["kind"] == "reserve"}
    return {
        run: _at_most((MechanismRun.model_validate(part) for part in planned), settled.get(run))
        for run, planned in reserved.items()
    }


def _at_most(planned: Iterator[MechanismRun], steps: int | None) -> tuple[MechanismRun, ...]:
    """The first `steps` steps of the planned runs; all of them for None."""
    kept = []
    for part in planned:
        taken = part.steps if steps is None else min(part.steps, steps)
        if taken:
            kept.append(part.model_copy(update={"steps": taken}))
        steps = None if steps is None else steps - taken
    return tuple(kept)
