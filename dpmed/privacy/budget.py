"""What a dataset has spent in its life: `budget.jsonl` beside the manifest, shared by all runs (promise 4).

A run is charged in full before its first step (`reserve`) and for what it took at its end (`settle`). A run that
crashed stays charged in full until it is resumed and settles. A file lock keeps two processes from spending the same
remainder.

The patients of a dataset never change: with patients added or left out it is another dataset. That one takes over the
account of the first (`inherit`), which is closed then. What was spent on some is charged to all, so that for every
patient the account is the truth or above it; what was spent on those who left stays in the closed account.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

from filelock import FileLock
from pydantic import Field, TypeAdapter, ValidationError

from dpmed.core.chain import Chain
from dpmed.core.errors import BudgetError, ConfigError, MismatchError
from dpmed.core.files import sha256_of
from dpmed.core.folders import DatasetFolder
from dpmed.core.record import Record, describe
from dpmed.core.specs import Positive, Probability
from dpmed.privacy.accounting import epsilon
from dpmed.privacy.calibration import max_steps_for, noise_after
from dpmed.privacy.mechanisms import MechanismRun


class Limit(Record):
    """The most that a dataset may ever spend."""

    epsilon: Positive
    delta: Probability


class SetLimit(Limit):
    """A limit that comes into force."""

    kind: Literal["limit"] = "limit"


class Reserve(Record):
    """A run charged in full, before its first step."""

    kind: Literal["reserve"] = "reserve"
    run: str
    private: bool
    delta: Probability
    planned: tuple[MechanismRun, ...]


class Settle(Record):
    """A finished run charged for the steps it took."""

    kind: Literal["settle"] = "settle"
    run: str
    steps: Annotated[int, Field(ge=0)]


class Inherit(Record):
    """What an earlier dataset of some of these patients had spent; `head` is the digest of its last line."""

    kind: Literal["inherit"] = "inherit"
    head: str
    private: bool
    delta: Probability
    spent: tuple[MechanismRun, ...]


class Close(Record):
    """The account goes on in another dataset, named by the digest of its manifest."""

    kind: Literal["close"] = "close"
    into: str


Line = SetLimit | Reserve | Settle | Inherit | Close
LINES: TypeAdapter[tuple[Line, ...]] = TypeAdapter(tuple[Annotated[Line, Field(discriminator="kind")], ...])


class Budget:
    """The lifetime ledger of one dataset."""

    def __init__(self, folder: DatasetFolder) -> None:
        self._folder = folder

    @property
    def limit(self) -> Limit | None:
        """The limit in force: the last one set."""
        limits = [line for line in self._lines() if isinstance(line, SetLimit)]
        return limits[-1] if limits else None

    @property
    def is_torn(self) -> bool:
        """Whether a crash cut off a line that was being written."""
        return Chain(self._folder.budget).is_torn

    @property
    def is_void(self) -> bool:
        """Whether a run without noise was trained: if its weights leave, no epsilon describes the dataset."""
        return any(isinstance(line, Reserve | Inherit) and not line.private for line in self._lines())

    @property
    def largest_delta(self) -> float:
        """The largest delta that a run named; 1e-5 before the first."""
        return max((line.delta for line in self._lines() if isinstance(line, Reserve | Inherit)), default=1e-5)

    def lifetime(self) -> tuple[MechanismRun, ...]:
        """Every private run, at the steps it is charged for, after what was inherited."""
        lines = self._lines()
        inherited = [run for line in lines if isinstance(line, Inherit) for run in line.spent]
        return (*inherited, *(run for runs in _charged(lines).values() for run in runs))

    def set_limit(self, epsilon_limit: float, delta: float) -> None:
        """Set the limit; refused if more has been spent already."""
        limit = SetLimit(epsilon=epsilon_limit, delta=delta)
        with self._locked() as chain:
            spent = epsilon(self.lifetime(), delta=limit.delta)
            if spent > limit.epsilon:
                raise BudgetError(
                    f"the dataset has already spent epsilon {spent:.3f} at delta {limit.delta:g} per patient",
                    hint="set a limit above that; what is spent cannot be taken back",
                )
            chain.append(limit.model_dump())

    def reserve(self, run: str, planned: Sequence[MechanismRun], *, delta: float, private: bool) -> None:
        """Charge a run in full before its first step. A run that is resumed is not charged again.

        Raises `BudgetError` if the limit would be passed; nothing is written then.
        """
        with self._locked() as chain:
            lines = _read(chain)
            if any(isinstance(line, Reserve) and line.run == run for line in lines):
                return
            if any(isinstance(line, Close) for line in lines):
                raise BudgetError(
                    "the account of this dataset goes on in another one, which took it over",
                    hint="train on that dataset: these patients are charged there",
                )
            if private:
                self._check(planned)
            line = Reserve(run=run, private=private, delta=delta, planned=tuple(planned) if private else ())
            chain.append(line.model_dump())

    def settle(self, run: str, *, steps: int) -> None:
        """Charge a finished run for the steps it took."""
        with self._locked() as chain:
            if not any(isinstance(line, Settle) and line.run == run for line in _read(chain)):
                chain.append(Settle(run=run, steps=steps).model_dump())

    def inherit(self, earlier: "Budget") -> None:
        """Take over the account of an earlier dataset of the same patients, or some of them; it is closed then.

        A run of it that has not ended is taken over in full. Asked again, it does nothing. Raises `BudgetError` where
        the earlier account went to another dataset, or where the limit of this dataset would be passed.
        """
        into = sha256_of(self._folder.manifest)
        with earlier._locked() as old, self._locked() as new:
            lines = _read(old)
            closed = [line.into for line in lines if isinstance(line, Close)]
            if closed and closed != [into]:
                raise BudgetError(
                    "another dataset took over this account already", hint="take over the account of that one"
                )
            spent = earlier.lifetime()
            if not closed:
                self._check(spent)
                # Closed first: a stop in between leaves an account that cannot be spent twice, and can be asked again.
                old.append(Close(into=into).model_dump())
            head = old.head
            if not any(isinstance(line, Inherit) and line.head == head for line in _read(new)):
                taken = Inherit(head=head, private=not earlier.is_void, delta=earlier.largest_delta, spent=spent)
                new.append(taken.model_dump())

    def _check(self, planned: Sequence[MechanismRun]) -> None:
        limit = self.limit
        if limit is None or not planned:
            return
        before = self.lifetime()
        total = epsilon([*before, *planned], delta=limit.delta)
        if total <= limit.epsilon:
            return
        spent = epsilon(before, delta=limit.delta)
        raise BudgetError(
            f"this run would bring the dataset to epsilon {total:.3f} of {limit.epsilon:g} at delta {limit.delta:g} "
            f"per patient; {spent:.3f} is spent",
            hint=_affordable(limit, before, planned[0]),
        )

    def _lines(self) -> tuple[Line, ...]:
        return _read(Chain(self._folder.budget))

    @contextmanager
    def _locked(self) -> Iterator[Chain]:
        if not self._folder.root.is_dir():
            raise ConfigError("the dataset folder does not exist", hint="dpmed ingest SOURCE --out DIR")
        with FileLock(self._folder.budget.with_suffix(".lock")):
            yield Chain(self._folder.budget)


def _read(chain: Chain) -> tuple[Line, ...]:
    try:
        return LINES.validate_python(chain.records)
    except ValidationError as error:
        raise MismatchError(
            f"{chain.path.name} is not a budget of this version: {describe(error)}", hint="restore it from a backup"
        ) from None


def _affordable(limit: Limit, before: Sequence[MechanismRun], run: MechanismRun) -> str:
    """What a run that does not fit could do instead: fewer steps, or more noise."""
    fit = []
    if steps := max_steps_for(limit.epsilon, before=before, run=run, delta=limit.delta):
        fit.append(f"--steps {steps} --set privacy.noise_multiplier={run.noise_multiplier:g}")
    if noise := noise_after(limit.epsilon, before=before, run=run, delta=limit.delta):
        fit.append(f"--steps {run.steps} --set privacy.noise_multiplier={noise:g}")
    if not fit:
        return "nothing is left for a run of any use; what is spent cannot be taken back"
    return f"what fits: {', or '.join(fit)}"


def _charged(lines: Sequence[Line]) -> dict[str, tuple[MechanismRun, ...]]:
    settled = {line.run: line.steps for line in lines if isinstance(line, Settle)}
    reserved = [line for line in lines if isinstance(line, Reserve)]
    return {line.run: _at_most(line.planned, settled.get(line.run)) for line in reserved}


def _at_most(planned: Sequence[MechanismRun], steps: int | None) -> tuple[MechanismRun, ...]:
    """The first `steps` steps of the planned runs; all of them for None."""
    kept = []
    for part in planned:
        taken = part.steps if steps is None else min(part.steps, steps)
        if taken:
            kept.append(part.model_copy(update={"steps": taken}))
        steps = None if steps is None else steps - taken
    return tuple(kept)
