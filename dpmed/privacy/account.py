"""Answers to "how much privacy?": for bare numbers, runs, a recipe's plan, or a dataset's whole life."""

from collections.abc import Sequence
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
from dpmed.privacy.accounting import MechanismRun, agrees, epsilon, mechanism_runs, second_opinions
from dpmed.privacy.budget import Budget, Limit
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.spec import privacy_spec

NO_NOISE = "trained without noise (--non-private)"
FIXED_NOISE = "trained with noise fixed by --demo-seed"


class Account(Record):
    """An epsilon with all it depends on. It is None, and `valid` False, where nothing is guaranteed.

    `verified` is None unless `verify` was called; `limit` is the dataset's lifetime budget where one is set.
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


def of_runs(what: str, runs: Sequence[MechanismRun], *, delta: float, accountant: Accountant = "pld") -> Account:
    """The account of mechanisms given as numbers."""
    spent = epsilon(runs, delta=delta, accountant=accountant)
    return Account(what=what, epsilon=spent, delta=delta, accountant=accountant, runs=tuple(runs))


def of_trained(folders: Sequence[RunFolder], *, delta: float | None = None, accountant: Accountant = "pld") -> Account:
    """What one or several run folders have spent together, from their ledgers.

    Several runs are added up as if on the same patients. Without `delta` the largest of their deltas is used.
    """
    configs = [RunConfig.load(folder) for folder in folders]
    at = delta if delta is not None else max(config.recipe.privacy.delta for config in configs)
    ledgers = [_ledger(folder) for folder in folders]
    why = _why_invalid(configs)
    what = f"run {folders[0].root.name}" if len(folders) == 1 else f"{len(folders)} runs on the same patients"
    if why:
        return Account(what=what, epsilon=None, delta=at, accountant=accountant, runs=(), valid=False, why_invalid=why)
    return of_runs(what, [r for book in ledgers for r in mechanism_runs(book.entries)], delta=at, accountant=accountant)


def of_dataset(folder: DatasetFolder, *, delta: float | None = None, accountant: Accountant = "pld") -> Account:
    """What a dataset has spent in its life. Delta: the one asked for, else the limit's, else the runs' largest."""
    Manifest.load(folder.root)
    budget = Budget(folder)
    limit = budget.limit
    at = delta or (limit.delta if limit else budget.largest_delta)
    account = of_runs("dataset lifetime", budget.lifetime(), delta=at, accountant=accountant)
    if budget.is_void:
        why = f"a run on this dataset was {NO_NOISE} or {FIXED_NOISE}; the epsilon covers the other runs alone"
        account = account.model_copy(update={"valid": False, "why_invalid": why})
    return account.model_copy(update={"limit": limit})


def of_plan(recipe: Recipe, data: Path, *, accountant: Accountant = "pld") -> Account:
    """What a run of a recipe on a dataset would spend."""
    spec = privacy_spec(recipe.privacy, patients=len(Manifest.load(data).patients("train")))
    assert spec.noise_multiplier is not None, "privacy_spec calibrates"
    run = MechanismRun(sample_rate=spec.sample_rate, noise_multiplier=spec.noise_multiplier, steps=spec.steps)
    return of_runs(f"plan of {recipe.name}", [run], delta=spec.delta, accountant=accountant)


def verified(account: Account, folders: Sequence[RunFolder] = ()) -> Account:
    """Recompute by every accountant, and compare with the runs' own statements.

    The hash chains were replayed when the account was made. Raises `MismatchError` if anything disagrees.
    """
    if account.epsilon is None:
        return account
    reported = epsilon(account.runs, delta=account.delta)
    opinions = second_opinions(account.runs, delta=account.delta)
    if not agrees(reported, opinions):
        raise MismatchError(
            f"the accountants disagree: PLD {reported:.4f}, PRV {opinions['prv']:.4f}, RDP {opinions['rdp']:.4f}",
            hint="do not rely on this number; report it with the values of --json",
        )
    for folder in folders:
        _check_statement(folder)
    return account.model_copy(update={"verified": True, "second_opinions": opinions})


def _check_statement(folder: RunFolder) -> None:
    if not folder.statement.exists():
        return
    said = Statement.from_json(folder.statement.read_text())
    spent = of_trained([folder], delta=said.delta).epsilon
    if said.epsilon is None or spent is None or abs(said.epsilon - spent) > 1e-6:
        raise MismatchError(
            "release/statement.json does not follow from the ledger",
            hint="dpmed train ... --resume writes the statement of a finished or interrupted run again",
        )


def _why_invalid(configs: Sequence[RunConfig]) -> str:
    if any(config.privacy is None for config in configs):
        return NO_NOISE
    return FIXED_NOISE if any(config.demo_seed is not None for config in configs) else ""


def _ledger(folder: RunFolder) -> Ledger:
    if not folder.ledger.exists():
        raise MismatchError("the run has no ledger: no step was paid for", hint="dpmed train ... --resume")
    return Ledger(folder.ledger)
