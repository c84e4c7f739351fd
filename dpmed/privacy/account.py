"""Answers to "how much privacy?": for bare numbers, runs, a recipe's plan, or a dataset's whole life."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dpmed.core.errors import MismatchError
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import Recipe
from dpmed.core.record import Record
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Accountant, Neighbouring, Statement, Unit
from dpmed.privacy.accounting import agrees, epsilon, in_numbers, second_opinions
from dpmed.privacy.budget import Budget, Limit
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import MechanismRun, mechanism_runs, run_of
from dpmed.privacy.spec import privacy_spec

NO_NOISE = "trained without noise (--non-private)"
FIXED_NOISE = "trained with noise fixed by --demo-seed"
TORN_LEDGER = "the last line of a ledger is cut off, as a crash leaves it; its step is counted as paid"
TORN_BUDGET = (
    "the last line of budget.jsonl is cut off, as a crash leaves it; what it would have changed is not counted"
)


class Account(Record):
    """An epsilon with all it depends on. It is None, and `valid` False, where nothing is guaranteed.

    `verified` is None unless `verify` was called; `limit` is the dataset's lifetime budget where one is set;
    `patients` is the size of the cohort where it is known; `warnings` are what a reader has to know.
    """

    what: str
    epsilon: Annotated[float, Field(ge=0)] | None
    delta: float
    accountant: Accountant = "pld"
    runs: tuple[MechanismRun, ...]
    unit: Unit = "patient"
    neighbouring: Neighbouring = "add-or-remove-one"
    valid: bool = True
    why_invalid: str = ""
    verified: bool | None = None
    second_opinions: dict[str, float] = Field(default_factory=dict)
    limit: Limit | None = None
    patients: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def single(self) -> MechanismRun | None:
        """The one mechanism, if all steps are alike."""
        return self.runs[0] if len(self.runs) == 1 else None


@dataclass(frozen=True)
class Counting:
    """How epsilon is counted: at which delta (None: as the runs say), by whom, and between which neighbours."""

    delta: float | None = None
    accountant: Accountant = "pld"
    neighbouring: Neighbouring = "add-or-remove-one"


PLAIN = Counting()


def of_runs(what: str, runs: Sequence[MechanismRun], by: Counting, *, patients: int | None = None) -> Account:
    """The account of mechanisms given as numbers."""
    assert by.delta is not None, "bare numbers come with their delta"
    spent = epsilon(runs, delta=by.delta, accountant=by.accountant, neighbouring=by.neighbouring)
    return Account(
        what=what,
        epsilon=spent,
        delta=by.delta,
        accountant=by.accountant,
        runs=tuple(runs),
        neighbouring=by.neighbouring,
        patients=patients,
        warnings=_warnings(by.delta, patients),
    )


def of_trained(folders: Sequence[RunFolder], by: Counting = PLAIN) -> Account:
    """What one or several run folders have spent together, from their ledgers.

    Several runs are added up as if on the same patients. Without `delta` the largest of their deltas is used.
    """
    configs = [RunConfig.load(folder) for folder in folders]
    by = _at(by, max(config.recipe.privacy.delta for config in configs))
    ledgers = [_ledger(folder) for folder in folders]
    why = _why_invalid(configs)
    what = f"run {folders[0].root.name}" if len(folders) == 1 else f"{len(folders)} runs on the same patients"
    if why:
        return Account(
            what=what,
            epsilon=None,
            delta=by.delta or 0.0,
            accountant=by.accountant,
            runs=(),
            neighbouring=by.neighbouring,
            valid=False,
            why_invalid=why,
        )
    patients = max(config.patients for config in configs)
    spent = [run for book, config in zip(ledgers, configs, strict=True) for run in _paid(book, config)]
    account = of_runs(what, spent, by, patients=patients)
    torn = (TORN_LEDGER,) if any(book.is_torn for book in ledgers) else ()
    return account.model_copy(update={"warnings": account.warnings + torn})


def of_dataset(folder: DatasetFolder, by: Counting = PLAIN) -> Account:
    """What a dataset has spent in its life. Delta: the one asked for, else the limit's, else the runs' largest."""
    patients = len(Manifest.load(folder.root).patients("train"))
    budget = Budget(folder)
    limit = budget.limit
    by = _at(by, limit.delta if limit else budget.largest_delta)
    account = of_runs("dataset lifetime", budget.lifetime(), by, patients=patients)
    if budget.is_void:
        why = f"a run on this dataset was {NO_NOISE} or {FIXED_NOISE}; the epsilon covers the other runs alone"
        account = account.model_copy(update={"valid": False, "why_invalid": why})
    torn = (TORN_BUDGET,) if budget.is_torn else ()
    return account.model_copy(update={"limit": limit, "warnings": account.warnings + torn})


def of_plan(recipe: Recipe, data: Path, by: Counting = PLAIN) -> Account:
    """What a run of a recipe on a dataset would spend, at the recipe's own delta."""
    patients = len(Manifest.load(data).patients("train"))
    spec = privacy_spec(recipe.privacy, patients=patients)
    return of_runs(f"plan of {recipe.name}", [run_of(spec)], replace(by, delta=spec.delta), patients=patients)


def verified(account: Account, folders: Sequence[RunFolder] = ()) -> Account:
    """Recompute by every accountant; compare ledgers with the runs' own configurations and statements.

    The hash chains were replayed when the account was made. Raises `MismatchError` if anything disagrees.
    """
    if account.epsilon is None:
        return account
    reported = epsilon(account.runs, delta=account.delta)
    opinions = second_opinions(account.runs, delta=account.delta)
    if not agrees(reported, opinions):
        raise MismatchError(
            f"the accountants disagree: {in_numbers({'pld': reported, **opinions}, digits=4)}",
            hint="do not rely on this number; report it with the values of --json",
        )
    for folder in folders:
        _check_run(folder)
    return account.model_copy(update={"verified": True, "second_opinions": opinions})


def _at(by: Counting, delta: float) -> Counting:
    return by if by.delta is not None else replace(by, delta=delta)


def fitting_delta(patients: int) -> float:
    """A tenth of one over the number of patients, to one digit."""
    return float(f"{0.1 / patients:.0e}")


def _warnings(delta: float, patients: int | None) -> tuple[str, ...]:
    if patients is None or delta * patients < 1:
        return ()
    return (
        f"delta {delta:g} is not below 1/{patients}: it would allow publishing one of {patients} patients' scans; "
        f"choose {fitting_delta(patients):.0e} or less",
    )


def _check_run(folder: RunFolder) -> None:
    config, ledger = RunConfig.load(folder), _ledger(folder)
    if config.privacy is None or any(entry != config.privacy.entry(entry.step) for entry in ledger.entries):
        raise MismatchError(
            "a line of the ledger does not follow from release/config.json",
            hint="one of the two was changed; restore both from a backup",
        )
    if not folder.statement.exists():
        return
    said = Statement.from_json(folder.statement.read_text())
    spent = of_trained([folder], Counting(said.delta)).epsilon
    if said.epsilon is None or spent is None or abs(said.epsilon - spent) > 1e-6:
        raise MismatchError(
            "release/statement.json does not follow from the ledger",
            hint="dpmed train ... --resume writes the statement of a finished or interrupted run again",
        )


def _why_invalid(configs: Sequence[RunConfig]) -> str:
    if any(config.privacy is None for config in configs):
        return NO_NOISE
    return FIXED_NOISE if any(config.demo_seed is not None for config in configs) else ""


def _paid(ledger: Ledger, config: RunConfig) -> tuple[MechanismRun, ...]:
    """What a ledger says was paid; a step whose line was cut off counts too, whether or not it was taken."""
    paid = mechanism_runs(ledger.entries)
    if not ledger.is_torn or config.privacy is None:
        return paid
    return mechanism_runs([*ledger.entries, config.privacy.entry(len(ledger.entries))])


def _ledger(folder: RunFolder) -> Ledger:
    if not folder.ledger.exists():
        raise MismatchError("the run has no ledger: no step was paid for", hint="dpmed train ... --resume")
    return Ledger(folder.ledger)
